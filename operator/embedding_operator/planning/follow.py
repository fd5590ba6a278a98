"""Services that follow their profile: `RuntimeProfile.spec.rollout.policy: Follow`.

What has changed in the profile is adopted without a change of the spec, by `maxConcurrent` services at a time. Here is
said how far one service is; who is next is decided over all of them (controllers/following.py).
"""

from dataclasses import dataclass
from enum import StrEnum

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning import revision
from embedding_operator.planning.choosing import profile_hash, rollback_to
from embedding_operator.planning.observed import Observed, replicas_of
from embedding_operator.planning.pods import is_live, is_ready
from embedding_operator.planning.revision import Revision, revision_of
from embedding_operator.planning.weights import staged


class Phase(StrEnum):
    """How far a service is with what its profile says now."""

    APART = "Apart"
    """It does not follow, or cannot just now: held at a revision, other weights or another spec to come, refused."""
    BEHIND = "Behind"
    """Its pods were made of the former content, and it may adopt the present one."""
    ROLLING = "Rolling"
    """It has adopted the present content, and not all its pods are ready."""
    SETTLED = "Settled"
    """All its pods are of the present content, and ready."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One service among those of its profile."""

    phase: Phase
    profile: str = ""
    limit: int = 1  # how many may be rolling
    whole: bool = True  # all its pods are of its revision, and ready; what is broken goes before what is not


APART = Standing(Phase.APART)


def standing(service: EmbeddingService, spec: JsonObject, seen: Observed) -> Standing:
    """How far this service is. One whose pods are not ready for another reason counts as rolling: nobody can tell."""
    present = revision.current(seen.revisions)
    profile = _followed(service, seen, present)
    if present is None or profile is None:
        return APART
    name, limit = profile.metadata.name, _limit(profile)
    whole = _is_whole(service, seen, present)
    if present.profile_hash == profile_hash(profile):
        return Standing(Phase.SETTLED if whole else Phase.ROLLING, name, limit, whole)
    weights = staged(seen.cache)
    if weights is None or not present.serves(revision.spec_hash(spec), weights.digest):
        return APART
    return Standing(Phase.BEHIND, name, limit, whole)


def newer_profile(service: EmbeddingService, seen: Observed, present: Revision) -> str:
    """What keeps a service on the former content of its profile, and what adopts the new one; empty without one."""
    profile = seen.profiles.get(present.resolved.get("profile", ""))
    if profile is None or profile_hash(profile) == present.profile_hash:
        return ""
    what = "the RuntimeProfile changed after these pods were made"
    if present.name == rollback_to(service):
        return f"{what}; the annotation {names.ROLLBACK_ANNOTATION} holds them at that revision until the spec changes"
    if profile.follows:
        turns = f"{_limit(profile)} at a time, and this one waits for its turn"
        return f"{what}; its services adopt it by themselves, {turns}"
    return f"{what}; the next change of the spec adopts it"


def _limit(profile: RuntimeProfile) -> int:
    """How many of its services may adopt it at a time."""
    return profile.spec.rollout.max_concurrent or 1


def _followed(service: EmbeddingService, seen: Observed, present: Revision | None) -> RuntimeProfile | None:
    """The profile whose content this service adopts by itself: that of its pods, if it is still the one it asks for."""
    if present is None or present.name == rollback_to(service):
        return None
    profile = seen.profiles.get(present.resolved.get("profile", ""))
    if profile is None or not profile.follows:
        return None
    asked = service.spec.runtime.profile
    return profile if asked == profile.metadata.name or (asked is None and profile.is_default) else None


def _is_whole(service: EmbeddingService, seen: Observed, present: Revision) -> bool:
    """By the pods alone: the Deployment's counts say nothing of a template that is still to be applied.

    There may be one pod more, which is to take over from one on an unhealthy device and may never find another; and
    pods that ended for good stay until somebody deletes them.
    """
    live = [pod for pod in seen.pods if is_live(pod)]
    return all(revision_of(pod) == present.name for pod in live) and sum(map(is_ready, live)) >= replicas_of(service)
