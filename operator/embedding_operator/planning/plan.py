"""From an EmbeddingService and what was observed to what must be applied: the heart of the operator, and pure.

    observed ─► profile ─► weights ─► revision ─► children ─► status

It never talks to the API server, reads no clock and rolls no dice: same input, same plan.
"""

from dataclasses import dataclass

from embedding_operator.api import names
from embedding_operator.api.conditions import Reason
from embedding_operator.api.exposure import Gateway
from embedding_operator.api.json import JsonObject
from embedding_operator.api.service import EmbeddingService, EmbeddingServiceStatus
from embedding_operator.planning import exposure, gateway, revision, scripts
from embedding_operator.planning.choosing import REFERENCES, refuse_one_pod, revision_to_run
from embedding_operator.planning.deployment import deployment
from embedding_operator.planning.devicehealth import Ill, Replacing, replacing
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.networkpolicy import network_policy
from embedding_operator.planning.observed import Observed, replicas_of
from embedding_operator.planning.owner import owner_reference
from embedding_operator.planning.podmonitor import POD_MONITOR, pod_monitor
from embedding_operator.planning.revision import Revision
from embedding_operator.planning.rolling import Rolling, Situation, budget, rolling
from embedding_operator.planning.space import SpacePlan, plan_space
from embedding_operator.planning.status import Facts, service_status
from embedding_operator.planning.weights import is_one_pod, made_claim, staged

DEFAULT_HISTORY = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: `create` once and `apply` in order, then `delete` (kind and name), then write the status."""

    status: EmbeddingServiceStatus
    create: tuple[JsonObject, ...] = ()
    apply: tuple[JsonObject, ...] = ()
    delete: tuple[tuple[str, str], ...] = ()
    evict: Ill | None = None  # a pod whose device is unhealthy, once another one serves in its place
    lacks_device: bool = False  # which Observed.has_waited is about
    lacks_reference: bool = False  # which Observed.may_come is about


def plan_service(service: EmbeddingService, spec_as_written: JsonObject, seen: Observed) -> Plan:
    """Plan one service. `spec_as_written` is the stored spec, whose hash decides about a new revision."""
    problem = seen.refused
    wanted = staged(seen.cache)
    chosen = revision.current(seen.revisions)
    try:
        refuse_one_pod(service, seen)
        chosen = revision_to_run(service, spec_as_written, seen, wanted)
        _refuse_doubled(service.spec.exposure.gateway)
    except PlanError as error:
        problem = error
    claim = made_claim(service) if not seen.has_claim else None
    digest = wanted.digest if wanted else None
    pending = chosen is None or not chosen.serves(revision.spec_hash(spec_as_written), digest)
    replaced = _replaced(service, seen)
    space = _space(service, seen, chosen) if chosen else SpacePlan()
    rolls = _rolling(service, seen, chosen) if chosen else Rolling()
    return Plan(
        status=service_status(Facts(service, seen, wanted, chosen, pending, problem, rolls, replaced, space)),
        create=(claim,) if claim else (),
        apply=_children(service, seen, chosen, rolls, space, replaced.extra) if chosen else (),
        delete=_leftovers(service, seen, chosen) + space.delete,
        evict=replaced.evict,
        lacks_device=rolls.lacks_device,
        lacks_reference=problem is not None and problem.reason in REFERENCES,
    )


def _replaced(service: EmbeddingService, seen: Observed) -> Replacing:
    return replacing(seen.pods, replicas_of(service), seen.deployment, one_pod=is_one_pod(seen.cache))


def _refuse_doubled(ways: Gateway | None) -> None:
    """All else goes on: pods are rolled, and a route that there is stays as it is."""
    if ways and (problem := gateway.doubled(ways)):
        raise PlanError(Reason.INVALID_SPEC, problem)


def _metadata(service: EmbeddingService) -> JsonObject:
    """What children have in common."""
    return {
        "name": service.metadata.name,
        "namespace": service.metadata.namespace,
        "labels": names.service_labels(service.metadata.name),
        "ownerReferences": [owner_reference(names.EMBEDDING_SERVICE, service.metadata)],
    }


def _space(service: EmbeddingService, seen: Observed, chosen: Revision) -> SpacePlan:
    return plan_space(
        service,
        _metadata(service),
        spaces=seen.spaces,
        measured=seen.measured,
        pods=seen.pods,
        revisions=seen.revisions,
        chosen=chosen,
    )


def _children(
    service: EmbeddingService, seen: Observed, chosen: Revision, rolls: Rolling, space: SpacePlan, extra: int
) -> tuple[JsonObject, ...]:
    """What is applied, in an order in which nothing refers to what is not there yet."""
    name, replicas, exposed = service.metadata.name, replicas_of(service), service.spec.exposure
    metadata = _metadata(service)
    children = [
        revision.controller_revision(metadata, chosen),
        *space.apply,
        exposure.service_object(metadata, name, exposed),
        deployment(metadata, name, template=chosen.template, replicas=replicas + extra, rolling=rolls),
    ]
    if keeps := budget(service.spec.rollout, replicas):
        children.append(exposure.disruption_budget(metadata, name, keeps))
    if exposed.network_policy:
        children.append(
            network_policy(metadata, name, exposed.network_policy, operator_namespace=seen.operator_namespace)
        )
    if exposed.gateway and gateway.HTTP_ROUTE not in seen.absent and not gateway.doubled(exposed.gateway):
        children.append(gateway.http_route(metadata, exposed.gateway, exposure.port_of(exposed)))
    if service.spec.monitoring.pod_monitor and POD_MONITOR not in seen.absent:
        children.append(pod_monitor(metadata, name, service.spec.monitoring.labels or {}))
    if chosen.scripts == scripts.config_map_name(seen.script_sources):
        children.insert(0, scripts.config_map(service.metadata.namespace or "", seen.script_sources))
    return tuple(children)


def _rolling(service: EmbeddingService, seen: Observed, chosen: Revision) -> Rolling:
    return rolling(
        service.spec.rollout,
        Situation(
            replicas=replicas_of(service),
            resource=chosen.resolved.get("resourceName") or "",
            revision=chosen.name,
            deployment=seen.deployment,
            pods=seen.pods,
            stuck=seen.stuck,
            replacing=seen.is_replacing,
            waited=seen.has_waited,
        ),
    )


def _leftovers(service: EmbeddingService, seen: Observed, chosen: Revision | None) -> tuple[tuple[str, str], ...]:
    """What is ours and not wanted any more."""
    limit = service.spec.rollout.revision_history_limit
    used = set(map(revision.revision_of, seen.pods))
    if chosen:
        used.add(chosen.name)
    expired = revision.expired(seen.revisions, keep=used, limit=DEFAULT_HISTORY if limit is None else limit)
    gone = [("ControllerRevision", old.name) for old in expired]
    if seen.has_budget and budget(service.spec.rollout, replicas_of(service)) is None:
        gone.append(("PodDisruptionBudget", service.metadata.name))
    if seen.has_network_policy and not service.spec.exposure.network_policy:
        gone.append(("NetworkPolicy", service.metadata.name))
    if seen.route and not service.spec.exposure.gateway:
        gone.append((gateway.HTTP_ROUTE, service.metadata.name))
    if seen.has_pod_monitor and not service.spec.monitoring.pod_monitor:
        gone.append((POD_MONITOR, service.metadata.name))
    return tuple(gone)
