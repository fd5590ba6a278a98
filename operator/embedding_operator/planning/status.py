"""The status of an EmbeddingService: conditions by kstatus' rules, counts, and where to find it.

Nothing in it changes while nothing happens: no times, no random names but those of pods in trouble.
"""

from dataclasses import dataclass, replace

from embedding_operator.api import names
from embedding_operator.api.conditions import Condition, Reason, Type, find_condition, is_true
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.service import EmbeddingService, EmbeddingServiceStatus, ModelStatus, ResolvedStatus
from embedding_operator.planning.choosing import REFERENCES
from embedding_operator.planning.counts import Counts, counts_of
from embedding_operator.planning.devicehealth import Replacing
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.exposure import endpoint
from embedding_operator.planning.follow import newer_profile
from embedding_operator.planning.gateway import HTTP_ROUTE, routed
from embedding_operator.planning.observed import Observed, replicas_of
from embedding_operator.planning.obstacles import REFUSALS
from embedding_operator.planning.onenode import crowded, held_elsewhere
from embedding_operator.planning.podmonitor import POD_MONITOR, monitored
from embedding_operator.planning.pods import Trouble, explained, serving_nodes, trouble
from embedding_operator.planning.podsecurity import forbidden
from embedding_operator.planning.problems import problems_of, situation_of, told
from embedding_operator.planning.revision import Revision
from embedding_operator.planning.rolling import Rolling
from embedding_operator.planning.space import SpacePlan
from embedding_operator.planning.trust import missing
from embedding_operator.planning.verdict import Verdict
from embedding_operator.planning.weights import Weights, cache_name, is_one_node

# Stages of a download: their words change every few seconds, and are the ModelCache's alone to tell.
PASSING = frozenset(
    {Reason.PENDING, Reason.STAGING, Reason.LISTING, Reason.DOWNLOADING, Reason.VERIFYING, Reason.PUBLISHING}
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the status is made of: what is asked for, what is seen, and what was made of it."""

    service: EmbeddingService
    seen: Observed
    weights: Weights | None
    revision: Revision | None
    pending: bool  # the spec asks for what no revision serves yet
    problem: PlanError | None
    rolls: Rolling
    replaced: Replacing
    space: SpacePlan

    @property
    def replicas(self) -> int:
        return replicas_of(self.service)

    @property
    def cache_name(self) -> str:
        return cache_name(self.service)


def service_status(facts: Facts) -> EmbeddingServiceStatus:
    """Build the status; condition times are filled in by whoever writes it."""
    service, shown, counts = facts.service, facts.revision, counts_of(facts.seen.deployment)
    metadata = service.metadata
    return EmbeddingServiceStatus(
        observed_generation=metadata.generation,
        conditions=_conditions(facts, counts),
        replicas=counts.total,
        ready_replicas=counts.ready,
        selector=",".join(f"{key}={value}" for key, value in names.service_selector(metadata.name).items()),
        endpoint=endpoint(metadata.name, metadata.namespace or "", service.spec.exposure) if _has_pods(facts) else None,
        model=_model(shown) if shown else ModelStatus(cache=facts.cache_name),
        embedding_space=facts.space.status,
        resolved=ResolvedStatus.from_dict(shown.resolved) if shown else ResolvedStatus(),
    )


def _has_pods(facts: Facts) -> bool:
    """Whether pods are made; some may serve on whose revision somebody has deleted."""
    return facts.revision is not None or facts.seen.deployment is not None


def _model(shown: Revision) -> ModelStatus:
    return ModelStatus.from_dict(shown.weights | {"digest": shown.digest})


_Row = tuple[Type, bool, Reason, str]


def _conditions(facts: Facts, counts: Counts) -> tuple[Condition, ...]:
    service, seen, shown = facts.service, facts.seen, facts.revision
    rows = [_weights_row(facts)]
    if _has_pods(facts):
        rows.append(_available_row(facts, counts))
    if degraded := _degraded_row(facts):
        rows.append(degraded)
    if shown and (gateway := service.spec.exposure.gateway):
        rows.append((Type.ROUTED, *routed(gateway, seen.route, installed=HTTP_ROUTE not in seen.absent)))
    if shown and service.spec.monitoring.pod_monitor:
        installed = POD_MONITOR not in seen.absent
        rows.append((Type.MONITORED, *monitored(installed=installed, made=seen.has_pod_monitor)))
    if shown and (newer := newer_profile(service, seen, shown)):
        rows.append((Type.UPDATE_AVAILABLE, True, Reason.NEWER_PROFILE, newer))
    if shown and (found := problems_of(situation_of(shown.resolved))):
        done, message = told(found, tuple(shown.resolved.get("args") or ()))
        rows.append((Type.KNOWN_PROBLEMS, True, Reason.WORKED_AROUND if done else Reason.KNOWN_PROBLEM, message))
    generation = service.metadata.generation
    return (
        *_verdict(facts, counts).conditions(generation),
        *(Condition(kind, "True" if true else "False", reason, text, generation) for kind, true, reason, text in rows),
    )


def _weights_row(facts: Facts) -> _Row:
    if facts.weights is not None:
        told = facts.weights.revision or facts.weights.digest
        return (Type.WEIGHTS_READY, True, Reason.VERIFIED, f"ModelCache {facts.cache_name} at {told}")
    waiting = _weights_verdict(facts)
    return (Type.WEIGHTS_READY, False, waiting.reason, waiting.message)


def _degraded_row(facts: Facts) -> _Row | None:
    """What is wrong with pods that serve."""
    device, space = facts.replaced.message, facts.space.degraded
    if not device and not space:
        return None
    reason = Reason.DEVICE_UNHEALTHY if device else Reason.EMBEDDING_SPACE_CHANGED
    return (Type.DEGRADED, True, reason, "; ".join(filter(None, (device, space))))


def _available_row(facts: Facts, counts: Counts) -> _Row:
    if counts.ready:
        return (Type.AVAILABLE, True, Reason.MINIMUM_AVAILABLE, "requests are answered")
    if facts.replicas == 0:
        return (Type.AVAILABLE, False, Reason.SCALED_TO_ZERO, "no pods are asked for")
    return (Type.AVAILABLE, False, Reason.NO_REPLICA_AVAILABLE, "no replica answers")


def _verdict(facts: Facts, counts: Counts) -> Verdict:
    if facts.problem is not None:
        waits = facts.seen.may_come and facts.problem.reason in REFERENCES
        return Verdict(facts.problem.reason, facts.problem.message, stalled=not waits)
    if facts.pending:
        return _weights_verdict(facts)
    if facts.replicas == 0:
        return _idle_verdict(facts.service, counts)
    serving = f"{min(counts.ready, facts.replicas)} of {facts.replicas} replicas serving"
    if counts.settled and counts.total == counts.updated and _all_serve(facts, counts):
        nodes = serving_nodes(facts.seen.pods) or 1
        return Verdict(Reason.SERVING, f"{serving} on {nodes} node{'s' * (nodes != 1)}", ready=True)
    kept_out = forbidden(counts.refused, facts.service.metadata.namespace or "") if counts.settled else None
    if kept_out is not None:
        return replace(kept_out, message=f"{serving}; {kept_out.message}")
    if facts.space.stopped:
        return Verdict(Reason.EMBEDDING_SPACE_CHANGED, f"{serving}; {facts.space.stopped}", stalled=True)
    found = _trouble(facts)
    refused = counts.refused and explained(REFUSALS, counts.refused, facts.cache_name)
    if counts.overdue:
        why = found.message if found else refused or counts.overdue
        return Verdict(Reason.PROGRESS_DEADLINE_EXCEEDED, f"{serving}: {why}{facts.rolls.note}", stalled=True)
    if found is not None:
        return Verdict(found.reason, f"{serving}; {found.message}{facts.rolls.note}")
    if refused:
        return Verdict(Reason.PODS_REFUSED, f"{serving}; pods cannot be made: {refused}")
    return Verdict(_progress(facts, counts), f"{serving}, {counts.updated} of the newest revision{facts.rolls.note}")


def _all_serve(facts: Facts, counts: Counts) -> bool:
    """All that are asked for; one more may be on its way, or go, while a pod on an unhealthy device is replaced."""
    if facts.replaced.extra:
        return counts.ready >= facts.replicas
    return counts.total == counts.ready == facts.replicas


def _trouble(facts: Facts) -> Trouble | None:
    """Why pods do not get on, and what their claim has to do with it."""
    pods = [pod for pod in facts.seen.pods if pod["metadata"]["name"] not in facts.rolls.seen_to]
    found = trouble(pods, facts.cache_name, facts.seen.stuck)
    if found is not None and found.reason is Reason.VOLUMES_NOT_MOUNTED and facts.revision is not None:
        found = Trouble(found.reason, f"{found.message}{missing(facts.revision.template)}")
    if facts.seen.cache is None or not is_one_node(facts.seen.cache):
        return found
    claim = facts.seen.cache.spec.storage.claim_name
    if found is None or found.reason is Reason.VOLUMES_NOT_MOUNTED:
        elsewhere = held_elsewhere(facts.seen.pods, claim, facts.seen.holders)
        return Trouble(Reason.CLAIM_NOT_SHARED, elsewhere) if elsewhere else found
    if found.reason is Reason.UNSCHEDULABLE and "pod affinity rules" in found.message:
        return Trouble(found.reason, f"{found.message}; {crowded(claim)}")
    return found


def _progress(facts: Facts, counts: Counts) -> Reason:
    if counts.ready == 0:
        return Reason.STARTING
    if counts.updated < counts.total:
        return Reason.ROLLING_OUT
    if counts.total != facts.replicas:  # also before its controller has seen the number: no rollout for a moment
        return Reason.SCALING
    return Reason.REPLICAS_UNAVAILABLE if counts.settled else Reason.ROLLING_OUT


def _idle_verdict(service: EmbeddingService, counts: Counts) -> Verdict:
    reason = Reason.SUSPENDED if service.spec.suspend else Reason.SCALED_TO_ZERO
    told = "spec.suspend is true" if service.spec.suspend else "spec.replicas is 0"
    if counts.total:
        return Verdict(Reason.SCALING, f"{told}: {counts.total} pods are ending")
    return Verdict(reason, f"{told}: no pods run", ready=True)


def _weights_verdict(facts: Facts) -> Verdict:
    return waiting_for_weights(facts.cache_name, facts.seen.cache)


def waiting_for_weights(name: str, cache: ModelCache | None) -> Verdict:
    """What is said by those that wait for a ModelCache: the cache's own words."""
    if cache is None:
        return Verdict(Reason.WAITING_FOR_WEIGHTS, f"ModelCache {name} does not exist yet")
    if cache.metadata.deletion_timestamp is not None:
        return Verdict(Reason.WAITING_FOR_WEIGHTS, f"ModelCache {name} is being deleted")
    conditions = cache.status.conditions
    ready = find_condition(conditions, Type.READY)
    words = f"ModelCache {name}: {ready.message if ready else 'not yet looked at'}"
    if is_true(conditions, Type.STALLED):
        return Verdict(Reason.CACHE_STALLED, words, stalled=True)
    if ready is not None and ready.reason not in PASSING:
        return Verdict(Reason.WAITING_FOR_WEIGHTS, words)
    reason = ready.reason if ready else Reason.PENDING
    return Verdict(Reason.WAITING_FOR_WEIGHTS, f"ModelCache {name} is not ready: {reason}")
