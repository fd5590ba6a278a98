"""The embedding space of a service: the vectors that it gave first, in a ConfigMap, and who gives others.

    weights, dimensions, pooling, prompt ─► name of a ConfigMap ─► mounted by the pods, absent at first
    first pod ready ─► its vectors are recorded there ─► every later pod of that name is held against them

What may rightly give other vectors is in the name, so with other weights another ConfigMap is recorded, pods that still
serve the former ones keep theirs, and going back finds it again. It stays as long as a stored revision or a pod names
it. Image, version, flags and chip are not in the name: those are guarded.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject
from embedding_operator.api.service import EmbeddingService, EmbeddingSpaceStatus
from embedding_operator.planning import scripts
from embedding_operator.planning.pods import is_ready
from embedding_operator.planning.resolve import Resolution
from embedding_operator.planning.revision import Revision, revision_of
from embedding_operator.planning.vectors import Comparison, Record
from embedding_operator.planning.weights import Weights

DEFAULT_POLICY = "Enforce"
DEFAULT_THRESHOLD = "0.999"
FILE = "space.json"
VECTORS_PATH = f"{scripts.STATE_PATH}/vectors.json"  # where a pod's startup probe leaves what it measured
_THRESHOLD = re.compile(r"0[.][0-9]{1,6}")  # the schema takes no other
_MOUNT_PATH = "/etc/embedding-operator/space"
_DECIDES = ("dimensions", "pooling", "promptFormat", "instruction")  # about vectors, in spec.serving
_CHANGES = ("image", "vllm", "dtype", "chip", "resourceName", "args")  # in what a revision resolved


@dataclass(frozen=True, slots=True)
class Measured:
    """What a pod gives for the probe texts; the vectors only where somebody may need them."""

    id: str
    record: Record | None
    comparison: Comparison | None  # with the reference of its space, where there is one


@dataclass(frozen=True, slots=True)
class SpacePlan:
    """What to record, what to forget, and what to say."""

    status: EmbeddingSpaceStatus = field(default_factory=EmbeddingSpaceStatus)
    apply: tuple[JsonObject, ...] = ()
    delete: tuple[tuple[str, str], ...] = ()
    stopped: str = ""  # why new pods are kept out
    degraded: str = ""  # why answers are not all of one space


def policy_of(service: EmbeddingService) -> tuple[str, str]:
    """Policy and threshold."""
    asked = service.spec.rollout.embedding_space
    threshold = asked.threshold or ""
    return asked.policy or DEFAULT_POLICY, threshold if _THRESHOLD.fullmatch(threshold) else DEFAULT_THRESHOLD


def space_name(service: str, resolved: Resolution, weights: Weights) -> str | None:
    """The ConfigMap of the vectors that such a pod must give; None where it gives none."""
    if resolved.task != "Embed":
        return None
    serving = resolved.serving.to_dict()
    decides = {field: serving[field] for field in _DECIDES if serving.get(field) not in (None, "", "Raw")}
    return names.space_config_map_name(service, {"weights": weights.digest, **decides})


def volume(name: str) -> JsonObject:
    """Optional, since it comes after the first pod."""
    return {"name": "space", "configMap": {"name": name, "defaultMode": 0o444, "optional": True}}


def mount() -> JsonObject:
    return {"name": "space", "mountPath": _MOUNT_PATH, "readOnly": True}


def space_of(labelled: JsonObject) -> str | None:
    """The ConfigMap that a pod, or the template of one, is held against; None for what was made without."""
    name = ((labelled.get("metadata") or {}).get("annotations") or {}).get(names.SPACE_ANNOTATION)
    return str(name) if name else None


def plan_space(
    service: EmbeddingService,
    metadata: JsonObject,
    *,
    spaces: Mapping[str, Record | None],
    measured: Mapping[str, Measured],
    pods: Sequence[JsonObject],
    revisions: Sequence[Revision],
    chosen: Revision,
) -> SpacePlan:
    """Plan the recorded vectors of a service. `spaces` are its ConfigMaps, `metadata` is that of its children."""
    policy, threshold = policy_of(service)
    live = {str(pod["metadata"]["name"]): pod for pod in pods if not pod["metadata"].get("deletionTimestamp")}
    told = {name: measured[name] for name in sorted(live) if name in measured} if policy != "Off" else {}
    known = {name: record for name, record in spaces.items() if record is not None}
    wanted = known | _first(known, live, told) | _accepted(service, live, told)
    used = {space_of(pod) for pod in pods} | {space_of(one.template) for one in (*revisions, chosen)}
    current = known.get(space_of(chosen.template) or "")
    others = {
        name: one for name, one in told.items() if one.comparison and not one.comparison.is_same(float(threshold))
    }
    kept_out = [name for name in others if policy == "Enforce" and _is_kept_out(live[name], chosen)]
    let_in = [name for name in others if name not in kept_out]
    return SpacePlan(
        status=EmbeddingSpaceStatus(current.id, current.dimensions) if current else EmbeddingSpaceStatus(),
        apply=tuple(
            _config_map(metadata, name, wanted[name], policy, threshold) for name in sorted(wanted) if name in used
        ),
        delete=tuple(("ConfigMap", name) for name in sorted(spaces) if name not in used),
        stopped=_stopped(service, kept_out, others, live, told, revisions) if kept_out else "",
        degraded=_degraded(service, let_in, others, policy) if let_in else "",
    )


def _first(
    known: Mapping[str, Record], live: Mapping[str, JsonObject], told: Mapping[str, Measured]
) -> dict[str, Record]:
    """What nothing was recorded for yet: the vectors of a pod that serves."""
    found: dict[str, Record] = {}
    for name, one in told.items():
        space = space_of(live[name])
        if space and space not in known and one.record and one.record.texts and is_ready(live[name]):
            found.setdefault(space, one.record)
    return found


def _accepted(
    service: EmbeddingService, live: Mapping[str, JsonObject], told: Mapping[str, Measured]
) -> dict[str, Record]:
    """The vectors whose id somebody has written on the service, as long as a pod gives them."""
    welcome = (service.metadata.annotations or {}).get(names.ACCEPT_SPACE_ANNOTATION)
    found = {space_of(live[name]): one.record for name, one in told.items() if one.record and one.id == welcome}
    return {space: record for space, record in found.items() if space}


def _is_kept_out(pod: JsonObject, chosen: Revision) -> bool:
    return not is_ready(pod) and revision_of(pod) == chosen.name


def _config_map(metadata: JsonObject, name: str, record: Record, policy: str, threshold: str) -> JsonObject:
    content = {"policy": policy, "threshold": threshold, "texts": record.texts}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata | {"name": name, "labels": metadata["labels"] | {names.SPACE_LABEL: "true"}},
        "data": {FILE: json.dumps(content, sort_keys=True)},
    }


def _stopped(
    service: EmbeddingService,
    kept_out: Sequence[str],
    others: Mapping[str, Measured],
    live: Mapping[str, JsonObject],
    told: Mapping[str, Measured],
    revisions: Sequence[Revision],
) -> str:
    name = kept_out[0]
    same = [live[other] for other in told if other not in others]
    changed = _changed(revisions, live[name], same)
    return (
        f"pod {name} gives other vectors than this service did before: {_numbers(service, others[name])}{changed}; it "
        "is kept out and nothing else is replaced: go back to the former spec or, with an index that is built anew, "
        f"accept them: {_cure(service, others[name])}"
    )


def _degraded(service: EmbeddingService, let_in: Sequence[str], others: Mapping[str, Measured], policy: str) -> str:
    name = let_in[0]
    more = f" and {len(let_in) - 1} more" if len(let_in) > 1 else ""
    why = "rollout.embeddingSpace.policy is Warn" if policy == "Warn" else "it served before these were recorded"
    return (
        f"pod {name}{more} gives other vectors than those recorded: {_numbers(service, others[name])}; {why}. To "
        f"accept them: {_cure(service, others[name])}"
    )


def _numbers(service: EmbeddingService, one: Measured) -> str:
    return f"{one.comparison}, the threshold {policy_of(service)[1]}"


def _cure(service: EmbeddingService, one: Measured) -> str:
    return f"`kubectl annotate emb {service.metadata.name} --overwrite {names.ACCEPT_SPACE_ANNOTATION}={one.id}`"


def _changed(revisions: Sequence[Revision], pod: JsonObject, same: Sequence[JsonObject]) -> str:
    """What is different from the pods that give the vectors of before."""
    by_name = {one.name: one for one in revisions}
    now = by_name.get(revision_of(pod))
    serving = [by_name[revision_of(one)] for one in same if revision_of(one) in by_name]
    before = max(serving, key=lambda one: one.number, default=None)
    if now is None or before is None or now.name == before.name:
        return ""
    changes = [_change(field, before.resolved.get(field), now.resolved.get(field)) for field in _CHANGES]
    told = ", ".join(change for change in changes if change)
    return f" ({told or 'a change that is not in status.resolved'})"


def _change(field: str, before: object, now: object) -> str:
    if before == now:
        return ""
    return "other args" if field == "args" else f"{field} {before or 'none'} -> {now or 'none'}"
