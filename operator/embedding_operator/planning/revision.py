"""Revisions of a service: the rendered pod template, kept in a ControllerRevision.

The template is rendered again only when its inputs change: the parts of the spec that reach the pod as written,
or the digest of the weights. Profile and renderer are not among the triggers, so neither an upgrade of the
operator nor an edit of a profile restarts a pod; the profile is adopted with the next change of the spec.

What of the spec reaches the pod is stored beside the template: whoever goes back to a revision writes it again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from embedding_operator.api import names
from embedding_operator.api.codec import ApiValueError, View, wire_names
from embedding_operator.api.json import JsonObject
from embedding_operator.api.service import ModelStatus, ResolvedStatus

ANNOTATION = f"{names.GROUP}/revision"  # on pods: which revision made them
# spec fields that do not reach the pod: changing them makes no revision
_NOT_IN_POD = frozenset({"replicas", "suspend", "exposure", "monitoring"})
_IN_POD_EXPOSURE = frozenset({"apiKeySecretRef", "tls"})  # beside which nothing of it does
_NOT_IN_POD_CACHE = frozenset({"securityContext", "deletionPolicy", "ttlAfterUnused"})
_NOT_IN_POD_ROLLOUT = frozenset({"strategy", "minAvailable", "revisionHistoryLimit", "embeddingSpace"})


@dataclass(frozen=True, slots=True)
class Revision(View):
    """One stored revision. `number` grows; the highest is the current one.

    What it resolved and its weights are kept as they were stored, since `data` cannot be changed, but must be
    what a status can show.
    """

    name: str
    number: int
    spec_hash: str
    profile_hash: str
    digest: str
    scripts: str
    template: JsonObject
    resolved: JsonObject
    weights: JsonObject  # cache, revision and path, for the status
    spec: JsonObject | None = None  # what of the spec reaches the pods; earlier versions did not store it
    refresh: str | None = None  # the service's refresh annotation, which chose the weights with the spec
    later: JsonObject | None = None  # what a later version stored with it: it cannot be changed, nor left away

    def __post_init__(self) -> None:
        ResolvedStatus.from_dict(self.resolved)
        ModelStatus.from_dict(self.weights)

    def serves(self, spec_hash: str, digest: str | None) -> bool:
        """Whether this is what the spec asks for; weights that are not known yet do not speak against it."""
        return self.spec_hash == spec_hash and digest in (None, self.digest)


_STORED = frozenset(wire_names(Revision).values()) - {"name", "number", "later"}


def revision_of(pod: JsonObject) -> str:
    """The name of the revision that made a pod; empty where it does not say."""
    return str((pod["metadata"].get("annotations") or {}).get(ANNOTATION) or "")


def content_hash(value: object) -> str:
    """A short hash of any JSON value."""
    return names.digest_of(value, 16)


def pod_spec(spec: JsonObject) -> JsonObject:
    """What a service's spec, as written, says about its pods."""
    relevant = {field: value for field, value in spec.items() if field not in _NOT_IN_POD}
    if "cache" in relevant:
        relevant["cache"] = {f: v for f, v in (spec["cache"] or {}).items() if f not in _NOT_IN_POD_CACHE}
    rollout = {f: v for f, v in (spec.get("rollout") or {}).items() if f not in _NOT_IN_POD_ROLLOUT}
    exposure = {f: v for f, v in (spec.get("exposure") or {}).items() if f in _IN_POD_EXPOSURE}
    return relevant | {"rollout": rollout} | ({"exposure": exposure} if exposure else {})


def spec_hash(spec: JsonObject) -> str:
    """The hash of what a service's spec, as written, says about its pods."""
    return content_hash(pod_spec(spec))


def parse(stored: JsonObject) -> Revision | None:
    """A Revision from its ControllerRevision, or None where it is not one of ours that we can read."""
    data = stored.get("data")
    if not isinstance(data, dict):
        return None
    later = {field: value for field, value in data.items() if field not in _STORED}
    told = {field: value for field, value in data.items() if field in _STORED} | ({"later": later} if later else {})
    try:
        return Revision.from_dict(told | {"name": stored["metadata"]["name"], "number": stored.get("revision")})
    except ApiValueError:
        return None


def controller_revision(metadata: JsonObject, revision: Revision) -> JsonObject:
    """The ControllerRevision of a revision. `data` is immutable on the API server; `revision` may be raised."""
    data = revision.to_dict()
    data |= data.pop("later", {})
    cache = revision.weights.get("cache")
    served = {"annotations": {names.CACHE_ANNOTATION: cache}} if cache else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata | {"name": data.pop("name")} | served,
        "revision": data.pop("number"),
        "data": data,
    }


def revision_name(service: str, *inputs: str) -> str:
    """Named by its inputs, so that going back to an earlier spec finds the earlier template."""
    return names.controller_revision_name(service, content_hash(inputs))


def current(revisions: Iterable[Revision]) -> Revision | None:
    """The newest revision, or None."""
    return max(revisions, key=lambda revision: revision.number, default=None)


def held(revisions: Iterable[Revision], name: str, spec_hash: str, digest: str | None) -> Revision | None:
    """The revision of that name, to which somebody went back, while spec and proven weights are those it was made of.

    It stays the one to run whatever became of the profile. A change of the spec ends that.
    """
    if digest is None:
        return None
    return next((one for one in revisions if one.name == name and one.serves(spec_hash, digest)), None)


def raised(earlier: Revision, number: int) -> Revision:
    """An earlier revision, made the current one again: its template as it was."""
    return replace(earlier, number=number)


def expired(revisions: Sequence[Revision], *, keep: Iterable[str], limit: int) -> list[Revision]:
    """The revisions beyond the history limit, oldest first, without the current one and those live pods still use."""
    kept = set(keep)
    newest_first = sorted(revisions, key=lambda revision: revision.number, reverse=True)[1:]
    past = [revision for revision in newest_first if revision.name not in kept]
    return past[limit:][::-1]
