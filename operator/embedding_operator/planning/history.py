"""The revisions of a service as people look at them: what each runs, and how it differs from the one before."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from embedding_operator.api.json import JsonObject
from embedding_operator.planning import revision
from embedding_operator.planning.pods import is_ready
from embedding_operator.planning.revision import Revision, revision_of

_SHOWN = 48  # characters of a value


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored revision, and who runs it."""

    revision: Revision
    created: str
    current: bool
    changes: tuple[str, ...]  # against the one before; nothing for the oldest
    pods: tuple[str, ...]
    ready: int


def history(stored: Iterable[JsonObject], pods: Iterable[JsonObject]) -> list[Entry]:
    """All revisions that can be read, the oldest first."""
    known = [(one, parsed) for one in stored if (parsed := revision.parse(one))]
    known.sort(key=lambda pair: pair[1].number)
    entries: list[Entry] = []
    for one, parsed in known:
        running = [pod for pod in pods if revision_of(pod) == parsed.name]
        entries.append(
            Entry(
                revision=parsed,
                created=str(one["metadata"].get("creationTimestamp") or ""),
                current=parsed is known[-1][1],
                changes=tuple(changes(entries[-1].revision, parsed)) if entries else (),
                pods=tuple(sorted(pod["metadata"]["name"] for pod in running)),
                ready=sum(map(is_ready, running)),
            )
        )
    return entries


def changes(before: Revision, after: Revision) -> Iterator[str]:
    """What made another revision: fields of the spec, the content of the profile, the weights."""
    if before.spec is not None and after.spec is not None:
        yield from differences(before.spec, after.spec)
    else:  # stored by a version that did not keep the spec: what came of it tells, too
        yield from differences(before.resolved, after.resolved)
    profile = after.resolved.get("profile")
    if before.resolved.get("profile") == profile and before.profile_hash != after.profile_hash:
        yield f"RuntimeProfile {profile} was edited"
    if before.digest != after.digest:
        old, new = (one.weights.get("revision") or one.digest for one in (before, after))
        yield f"weights: {short(old)} -> {short(new)}"


def differences(before: Mapping[str, object], after: Mapping[str, object], path: str = "") -> Iterator[str]:
    """The fields that differ, each with what it was and what it is."""
    for field in sorted(before.keys() | after.keys()):
        old, new = before.get(field), after.get(field)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from differences(old, new, f"{path}{field}.")
        else:
            yield f"{path}{field}: {_said(old)} -> {_said(new)}"


def short(version: str) -> str:
    """A commit as people tell it; a name of a branch or a tag as it is."""
    digits = version.removeprefix("sha256:")
    return digits[:12] if len(digits) >= 40 else version


def _said(value: object) -> str:
    if value is None:
        return "unset"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
