"""Which image a service runs, and which vLLM is in it: spec over profile, and told where it was written.

An image whose version nobody says is refused, since the flags depend on it; so is a flag that the version lacks.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from embedding_operator.api.conditions import Reason
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning.commandline import flag_of
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.releases import (
    RELEASES,
    SUGGESTED,
    Release,
    having,
    lacks,
    release_for,
    retag,
    version_of_image,
)


@dataclass(frozen=True, slots=True)
class ServerImage:
    """The image, the vLLM in it, and who says so."""

    image: str
    version: str
    release: Release
    image_from: str
    version_from: str


def server_image(service: EmbeddingService, profile: RuntimeProfile) -> ServerImage:
    """Choose. Raises PlanError, which names the field to change."""
    runtime, site = service.spec.runtime, profile.spec.runtime
    theirs = f"RuntimeProfile {profile.metadata.name}"
    if runtime.image is not None:
        version = runtime.version or _told_version(runtime.image)
        told = "spec.runtime.version" if runtime.version else "the tag of spec.runtime.image"
        return _checked(service, profile, runtime.image, version, "spec.runtime.image", told)
    if runtime.version is None or runtime.version == site.version:
        told = "spec.runtime.version" if runtime.version else f"runtime.version of {theirs}"
        return _checked(service, profile, site.image, site.version, f"runtime.image of {theirs}", told)
    image = retag(site.image, site.version, runtime.version)
    if image == site.image:
        raise PlanError(
            Reason.INVALID_SPEC,
            f"spec.runtime.version is {runtime.version}, but the tag of image {image!r} of {theirs} "
            f"does not hold the version {site.version} to be replaced: write spec.runtime.image as well",
        )
    origin = f"runtime.image of {theirs}, with the version of the service in its tag"
    return _checked(service, profile, image, runtime.version, origin, "spec.runtime.version")


def refuse_args(service: EmbeddingService, profile: RuntimeProfile, version: str) -> None:
    """Raise PlanError for `args` with a flag that this version lacks."""
    _refuse_args(
        profile.spec.serving.args,
        version,
        Reason.PROFILE_INVALID,
        f"serving.args of RuntimeProfile {profile.metadata.name}",
    )
    _refuse_args(service.spec.runtime.args, version, Reason.INVALID_SPEC, "spec.runtime.args")


def _checked(
    service: EmbeddingService, profile: RuntimeProfile, image: str, version: str, image_from: str, version_from: str
) -> ServerImage:
    return ServerImage(image, version, _release(service, profile, version), image_from, version_from)


def _told_version(image: str) -> str:
    told = version_of_image(image)
    if told is None:
        raise PlanError(
            Reason.INVALID_SPEC,
            f"the vLLM version of image {image!r} cannot be told from its tag: "
            "write it in spec.runtime.version, like 0.23.0",
        )
    return told


def _release(service: EmbeddingService, profile: RuntimeProfile, version: str) -> Release:
    """What this version understands. Raises PlanError, which names where the version was written."""
    release = release_for(version)
    if release is not None:
        return release
    is_own = service.spec.runtime.version is not None or service.spec.runtime.image is not None
    where = "spec.runtime.version" if is_own else f"runtime.version of RuntimeProfile {profile.metadata.name}"
    raise PlanError(
        Reason.INVALID_SPEC if is_own else Reason.PROFILE_INVALID,
        f"vLLM {version!r} is not supported: set {where} to {RELEASES[0]} or newer, like {SUGGESTED}",
    )


def _refuse_args(args: Iterable[str] | None, version: str, reason: Reason, where: str) -> None:
    """A flag that came after this version, or is gone: vLLM would end at once, in every pod and for ever."""
    for flag in map(flag_of, args or ()):
        if flag and lacks(version, flag):
            known = ", ".join(map(str, having(flag)))
            raise PlanError(
                reason,
                f"{where} has {flag}, which vLLM {version} does not know (of the releases known here, {known} do): "
                "remove it, or choose such a version",
            )
