"""RuntimeProfiles that a site keeps in files beside the operator: made, and kept as they are written there.

The files are manifests, mounted from a ConfigMap, and may change while the operator runs. What is wrong with one is
told once, in the log and as an Event of the operator's pod, and keeps nothing else from work. A profile that is in no
file any more stays: services may be served by it.
"""

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject
from embedding_operator.controllers import routing
from embedding_operator.controllers.context import Context
from embedding_operator.controllers.refusal import problem_of, try_again
from embedding_operator.controllers.site import Wish
from embedding_operator.kube.encoding import encode
from embedding_operator.kube.errors import ApiError, NameTaken
from embedding_operator.kube.resources import Object, ObjectKey
from embedding_operator.planning import siteprofiles

logger = logging.getLogger(__name__)

_PERIOD = 2.0  # seconds between looks at the files; a kubelet brings a changed ConfigMap within about a minute
_METADATA = {"name", "labels", "annotations"}


def look(context: Context) -> list[ObjectKey]:
    """Read the files. Returns the profiles that they say anything else of than before, and the former default."""
    directory = context.settings.profiles
    if directory is None:
        return []
    try:
        files = _files(directory)
    except OSError as error:
        _tell(context, str(directory), f"{directory}: cannot be read: {error.strerror}")
        return []
    context.site.settled(str(directory))
    if files == context.site.files:
        return []
    context.site.files = files
    before, problems = context.site.wishes, dict[str, str]()
    context.site.wishes = dict(_read(files, context.settings.installation, problems))
    for where in {wish.where for wish in context.site.wishes.values()} - problems.keys():
        context.site.settled(where)
    for where, problem in problems.items():
        _tell(context, where, f"{where}: {problem}")
    changed = [name for name, wish in context.site.wishes.items() if wish != before.get(name)]
    known = [key.name for key in context.cache.keys(names.RUNTIME_PROFILE) if is_superseded(context, key)]
    return [ObjectKey(names.RUNTIME_PROFILE, "", name) for name in (*changed, *known)]


async def follow_files(context: Context) -> None:
    """Look at the files again and again, until cancelled."""
    while context.settings.profiles is not None:
        await asyncio.sleep(_PERIOD)
        for key in look(context):
            context.queue.add(key)


async def reconcile_site_profile(context: Context, key: ObjectKey, wish: Wish) -> float | None:
    """Make the profile, or put it right where it is this installation's."""
    known = context.cache.get(key)
    if known is not None and siteprofiles.is_in_force(known, wish.profile):
        context.site.settled(key.name)
        return None
    try:
        await _bring(context, key, wish)
    except (ApiError, NameTaken) as error:
        problem = problem_of(error)
        if problem is None:
            raise
        _tell(context, key.name, f"{wish.where}: RuntimeProfile {key.name}: {problem}")
        return try_again(error)
    return None


def is_superseded(context: Context, key: ObjectKey) -> bool:
    """Whether the profile that is known by that name is the default only by what the files said before."""
    known = context.cache.get(key)
    return known is not None and _is_superseded(context, known)


async def unmark(context: Context, key: ObjectKey) -> None:
    """Take the mark of the default off a profile."""
    live = await context.client.get(key)
    if live is not None and _is_superseded(context, live):
        routing.made(context, await context.applier.replace(siteprofiles.unmarked(live)))


def _is_superseded(context: Context, profile: Object) -> bool:
    wishes = {name: wish.profile for name, wish in context.site.wishes.items()}
    return siteprofiles.is_superseded(profile, wishes, context.settings.installation)


async def _bring(context: Context, key: ObjectKey, wish: Wish) -> None:
    live = await context.client.get(key)
    if live is None:
        routing.made(context, await context.applier.create(wish.profile))
        return
    if whose := siteprofiles.stranger(live, context.settings.installation):
        mark = f"{names.INSTALLED_BY_ANNOTATION}={context.settings.installation}"
        hint = f"to have it kept as it is written there: kubectl annotate rp {key.name} --overwrite {mark}"
        _tell(context, key.name, f"{wish.where}: RuntimeProfile {key.name} {whose} and stays as it is; {hint}")
        return
    written = await context.applier.replace(siteprofiles.replacement(live, wish.profile))
    if written["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]:
        routing.made(context, written)


def _files(directory: Path) -> dict[str, bytes]:
    """What lies in the directory, by name, but for what a kubelet keeps there for itself."""
    paths = sorted(path for path in directory.iterdir() if path.is_file() and not path.name.startswith("."))
    return {path.name: path.read_bytes() for path in paths}


def _read(files: Mapping[str, bytes], installation: str, problems: dict[str, str]) -> Iterator[tuple[str, Wish]]:
    """Each profile of the files, by name; what is wrong is added to `problems` by file."""
    found: dict[str, str] = {}
    for file, text in files.items():
        try:
            documents = _documents(text)
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            problems[file] = f"cannot be read: {' '.join(str(error).split())}"
            continue
        except TypeError:
            problems[file] = "a key in it is true, false or null to YAML: put it into quotes, such as 'on'"
            continue
        for document in documents:
            problem = _problem(document, found)
            if problem:
                problems[file] = problem
            elif document is not None:
                name = str(document["metadata"]["name"])
                found[name] = file
                yield name, Wish(file, siteprofiles.desired(name, document, installation))


def _documents(text: bytes) -> list[Any]:
    """As the API server will have them: YAML knows more than JSON does. Raises what is against one of them."""
    return [json.loads(encode(document)) for document in yaml.safe_load_all(text.decode())]


def _problem(document: Any, found: Mapping[str, str]) -> str:
    """What is wrong with a document before the API server is asked, which looks at all the rest."""
    if document is None:
        return ""
    said = document if isinstance(document, dict) else JsonObject()
    if (said.get("apiVersion"), said.get("kind")) != (names.API_VERSION, names.RUNTIME_PROFILE):
        return f"expected a RuntimeProfile of {names.API_VERSION}, found {said.get('kind') or 'something else'}"
    metadata = said.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        return "a RuntimeProfile without metadata.name"
    if unknown := sorted(map(str, metadata.keys() - _METADATA)):
        return f"RuntimeProfile {metadata['name']}: metadata.{unknown[0]} is not for a file to say: leave it out"
    if any(not isinstance(metadata.get(part) or {}, dict) for part in ("labels", "annotations")):
        return f"RuntimeProfile {metadata['name']}: labels and annotations are maps"
    if metadata["name"] in found:
        return f"RuntimeProfile {metadata['name']} is in {found[metadata['name']]}, too: keep one of them"
    return ""


def _tell(context: Context, about: str, problem: str) -> None:
    if not context.site.is_news(about, problem):
        return
    logger.error("%s", problem)
    if context.settings.pod_name:
        metadata = {
            "name": context.settings.pod_name,
            "namespace": context.settings.lease_namespace,
            "uid": context.settings.pod_uid,
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
        context.recorder.emit(pod, "Warning", "ProfileRefused", "ApplyProfile", problem)
