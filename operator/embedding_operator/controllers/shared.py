"""What belongs to nobody alone: profiles that the operator brings, and the script ConfigMaps that revisions share."""

import logging
from collections.abc import Iterator

from embedding_operator.api import names
from embedding_operator.controllers import routing
from embedding_operator.controllers.context import Context, script_sources
from embedding_operator.controllers.siteprofiles import is_superseded, look, reconcile_site_profile, unmark
from embedding_operator.kube.compact import unpacked
from embedding_operator.kube.errors import ApiError, NameTaken
from embedding_operator.kube.resources import REVISIONS, ObjectKey
from embedding_operator.planning import scripts
from embedding_operator.planning.profiles import BUILT_IN

logger = logging.getLogger(__name__)

_BUILT_IN = {profile["metadata"]["name"]: profile for profile in BUILT_IN}


def built_in_keys() -> list[ObjectKey]:
    """The built-in profiles."""
    return [ObjectKey(names.RUNTIME_PROFILE, "", name) for name in _BUILT_IN]


async def make_profiles(context: Context) -> None:
    """Make the profiles before any service looks for one; what fails now is left to the workers."""
    for key in dict.fromkeys([*look(context), *built_in_keys()]):
        try:
            await reconcile_profile(context, key)
        except (ApiError, NameTaken) as error:
            logger.info("%s: %s; trying again", key, error)
            context.queue.add(key)


async def reconcile_profile(context: Context, key: ObjectKey) -> float | None:
    """Make a built-in profile where none of its name exists; what exists is the site's and stays. What the site's files
    say of a profile comes first."""
    if (wish := context.site.wishes.get(key.name)) is not None:
        return await reconcile_site_profile(context, key, wish)
    if is_superseded(context, key):
        await unmark(context, key)
    if key.name in _BUILT_IN and key not in context.cache:
        routing.made(context, await context.applier.create(_BUILT_IN[key.name]))
    return None


async def reconcile_scripts(context: Context, key: ObjectKey) -> float | None:
    """Delete the script ConfigMaps of a namespace that no revision and no Job refers to."""
    labels = {names.SCRIPTS_LABEL: "true"}
    existing = {obj["metadata"]["name"]: obj for obj in context.cache.list("ConfigMap", key.namespace, labels)}
    unused = scripts.unused(
        existing,
        scripts.config_map_name(script_sources()),
        referred=_referred(context, key.namespace),
        has_services=any(
            context.cache.keys(kind, key.namespace) for kind in (names.EMBEDDING_SERVICE, names.EMBEDDING_JOB)
        ),
    )
    for name in unused:
        await context.applier.delete(existing[name])
    return None


def _referred(context: Context, namespace: str) -> Iterator[str]:
    """The script ConfigMaps that Jobs name, and revisions; there may be thousands of these, and each is unpacked."""
    for job in context.cache.list("Job", namespace):
        if name := (job["metadata"].get("annotations") or {}).get(names.SCRIPTS_ANNOTATION):
            yield str(name)
    for revision in context.cache.keys(REVISIONS.kind, namespace):
        stored = unpacked(context.cache.get(revision) or {})
        # read leniently: a revision of a newer operator, met after a downgrade, keeps its scripts too
        yield str((stored.get("data") or {}).get("scripts"))
