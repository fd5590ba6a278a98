"""How things stand, as lines: tables of services, jobs and weights, and below each row what is worth a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from embedding_operator.commands.ages import age
from embedding_operator.commands.jobpicture import jobs_table
from embedding_operator.commands.shown import (
    AT_WORK,
    READY,
    STALLED,
    condition,
    model_of,
    notes,
    reason,
    standing,
    status_of,
)
from embedding_operator.commands.terminal import GREEN, YELLOW, Screen, cut, duration
from embedding_operator.kube.resources import Object
from embedding_operator.planning.cacheplan import human_bytes
from embedding_operator.planning.pods import is_ready
from embedding_operator.planning.revision import revision_of

_NOTED = ("Degraded", "UpdateAvailable")  # conditions that are worth a line beside a Ready that is True
_SUMMED_UP = 6  # services, from which on their number is told


@dataclass(frozen=True, slots=True)
class Scene:
    """What was seen, and how much of it is asked for."""

    services: Sequence[Object]
    caches: Sequence[Object]
    pods: Mapping[tuple[str, str], Sequence[Object]] = field(default_factory=dict)  # of services that are looked into
    namespaces: bool = False
    wide: bool = False
    jobs: Sequence[Object] = ()


def picture(scene: Scene, screen: Screen, now: datetime) -> list[str]:
    """All of it."""
    if not scene.services and not scene.caches and not scene.jobs:
        return ["no EmbeddingServices, no EmbeddingJobs and no ModelCaches here"]
    parts = []
    if scene.services:
        parts.append(_services(scene, screen, now))
    if scene.jobs:
        parts.append(jobs_table(scene.jobs, screen, now, namespaces=scene.namespaces, wide=scene.wide))
    if scene.caches:
        parts.append(_caches(scene, screen, now))
    if len(scene.services) >= _SUMMED_UP:
        parts.append([summary(scene.services)])
    return [line for part in parts for line in ["", *part]][1:]


def summary(services: Iterable[Object]) -> str:
    """How many are how."""
    counts = Counter(map(standing, services))
    told = ", ".join(f"{counts[one]} {one}" for one in (READY, AT_WORK, STALLED) if counts[one])
    return f"{counts.total()} services: {told}"


def _services(scene: Scene, screen: Screen, now: datetime) -> list[str]:
    header = [*(["NAMESPACE"] if scene.namespaces else []), "SERVICE", "READY", "STATUS", "AGE", "MODEL"]
    header += ["VLLM", "REVISION", "ENDPOINT"] if scene.wide else []
    rows = [_place(scene, one) + _service(one, screen, now, scene.wide) for one in scene.services]
    lines = screen.table(header, rows)
    yielded = [lines[0]]
    for line, one in zip(lines[1:], scene.services, strict=True):
        pods = scene.pods.get((one["metadata"]["namespace"], one["metadata"]["name"]))
        yielded += [line, *_notes(one, screen), *(_pods(pods, screen, now) if pods else ())]
    return yielded


def _service(obj: Object, screen: Screen, now: datetime, wide: bool) -> list[str]:
    status, spec = status_of(obj), obj.get("spec") or {}
    wanted = 0 if spec.get("suspend") else spec.get("replicas", 1)
    cells = [
        obj["metadata"]["name"],
        f"{status.get('readyReplicas') or 0}/{wanted}",
        reason(obj, screen),
        age(obj["metadata"].get("creationTimestamp") or "", now),
        model_of(spec),
    ]
    if not wide:
        return cells
    resolved, model = status.get("resolved") or {}, status.get("model") or {}
    return [*cells, resolved.get("vllm") or "", str(model.get("revision") or "")[:12], status.get("endpoint") or ""]


def _notes(obj: Object, screen: Screen) -> Iterator[str]:
    yield from notes(obj, screen)
    for kind in _NOTED:
        one = condition(obj, kind)
        if one.get("status") == "True":
            yield from screen.told(f"{kind}: {one.get('message') or one.get('reason')}", YELLOW)


def _pods(pods: Sequence[Object], screen: Screen, now: datetime) -> list[str]:
    rows = []
    for pod in sorted(pods, key=lambda one: str(one["metadata"]["name"])):
        status, metadata = status_of(pod), pod["metadata"]
        containers = status.get("containerStatuses") or ()
        waits = next((c["state"]["waiting"].get("reason") for c in containers if c.get("state", {}).get("waiting")), "")
        phase = "Ending" if metadata.get("deletionTimestamp") else waits or status.get("phase") or "Unknown"
        ready = is_ready(pod)
        rows.append(
            [
                f"  {metadata['name']}",
                screen.paint(GREEN if ready else YELLOW, "ready" if ready else str(phase)),
                str(sum(c.get("restartCount") or 0 for c in containers)),
                age(metadata.get("creationTimestamp") or "", now),
                (pod.get("spec") or {}).get("nodeName") or "",
                revision_of(pod),
            ]
        )
    return screen.table(["  POD", "STATE", "RESTARTS", "AGE", "NODE", "REVISION"], rows)


def _caches(scene: Scene, screen: Screen, now: datetime) -> list[str]:
    header = [*(["NAMESPACE"] if scene.namespaces else []), "WEIGHTS", "STATUS", "SIZE", "AGE", "USED BY"]
    header += ["REVISION", "CLAIM"] if scene.wide else []
    rows = [_place(scene, one) + _cache(one, screen, now, scene.wide) for one in scene.caches]
    lines = screen.table(header, rows)
    yielded = [lines[0]]
    for line, one in zip(lines[1:], scene.caches, strict=True):
        at = progress(one, screen)
        yielded += [line, *([cut(f"  {at}", screen.width)] if at else _notes(one, screen))]
    return yielded


def _cache(obj: Object, screen: Screen, now: datetime, wide: bool) -> list[str]:
    status = status_of(obj)
    size = status.get("bytes") or (status.get("progress") or {}).get("totalBytes")
    users = [str(user.get("name")) for user in status.get("usedBy") or ()]
    cells = [
        obj["metadata"]["name"],
        reason(obj, screen),
        human_bytes(size) if size else "",
        age(obj["metadata"].get("creationTimestamp") or "", now),
        ", ".join(users[:3]) + (f" and {len(users) - 3} more" if len(users) > 3 else "") if users else "nobody",
    ]
    if not wide:
        return cells
    return [
        *cells,
        str(status.get("revision") or "")[:12],
        str(((obj.get("spec") or {}).get("storage") or {}).get("claimName") or ""),
    ]


def progress(obj: Object, screen: Screen) -> str:
    """A bar while weights are staged, with how much and how long; empty else."""
    at = status_of(obj).get("progress") or {}
    if not at.get("totalBytes"):
        return ""
    text = (
        f"{screen.bar(at.get('percent') or 0)}  {human_bytes(at.get('bytes') or 0)} of {human_bytes(at['totalBytes'])}"
    )
    if at.get("bytesPerSecond"):
        text += f"  {human_bytes(at['bytesPerSecond'])}/s"
    return text + (f"  {duration(at['secondsLeft'])} left" if "secondsLeft" in at else "")


def _place(scene: Scene, obj: Object) -> list[str]:
    return [str(obj["metadata"].get("namespace"))] if scene.namespaces else []


def used_by(service: Object) -> str:
    """The name of the ModelCache that a service has or waits for, where its status says one."""
    named = (status_of(service).get("model") or {}).get("cache")
    return str(named or (((service.get("spec") or {}).get("model") or {}).get("cacheRef") or {}).get("name") or "")
