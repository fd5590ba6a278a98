"""`diff`: what a changed manifest would change, in the service, in its children, and for the pods that run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject
from embedding_operator.commands import CommandError, options
from embedding_operator.commands.difference import painted, unified
from embedding_operator.commands.foresight import Foreseen, foresee
from embedding_operator.commands.live import known_in, observed
from embedding_operator.commands.manifests import services, with_services
from embedding_operator.commands.session import Session, in_words, with_cluster
from embedding_operator.commands.terminal import BOLD, GREEN, YELLOW, Screen
from embedding_operator.commands.threeway import applied
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import Object, ObjectKey
from embedding_operator.planning.history import differences
from embedding_operator.planning.observed import replicas_of
from embedding_operator.planning.revision import pod_spec

ERROR = 2
_KEPT: Final = ("ControllerRevision", "ConfigMap")  # the template once more, and scripts that are the operator's own


def add(parser: argparse.ArgumentParser) -> None:
    """`diff -f FILE`."""
    parser.usage = "{prog} diff -f FILE [-n NAME]"
    parser.description = """
What would come of applying these files: which fields of a service change, whether that replaces its pods, and every \
line that changes in the objects that come of it. The API server checks the manifest as if it were applied; nothing is \
changed.
"""
    parser.epilog = """
examples:
  {prog} diff -f service.yaml
  {prog} diff -f service.yaml -f profile.yaml      what an edited profile would come to, too
  kustomize build . | {prog} diff -f -

Templates are rendered by this version of the program ({prog} --version): the operator's should be the same. It takes \
the right to patch (or create) embeddingservices, though nothing is written, and to read runtimeprofiles, modelcaches, \
controllerrevisions, deployments and pods.
exit codes: 0 nothing would change, 1 something would, 2 the manifest is refused, or something cannot be read.
"""
    options.add_files(parser, "manifests: EmbeddingServices, and profiles that would change with them")
    options.add_namespace(parser)
    options.add_cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare every service of the files; 1 where one of them would change."""

    async def compare(session: Session) -> int:
        manifests = with_services(arguments.filename, session.namespace)
        screen = Screen(sys.stdout)
        changed = False
        for manifest in services(manifests):
            change = await change_of(session, manifest, manifests)
            lines = list(told(change, screen))
            changed |= change.is_one
            screen.print(lines)
        return 1 if changed else 0

    return with_cluster(arguments, compare)


@dataclass(frozen=True, slots=True)
class Change:
    """A service as it is and as it would be; what is not there yet is not."""

    live: Object | None
    after: Object
    before: Foreseen | None
    foreseen: Foreseen
    has_weights: bool  # a ModelCache of that name is there

    @property
    def fields(self) -> list[str]:
        """The fields of the spec that would be others, each with what it was and would be."""
        return list(differences((self.live or {}).get("spec") or {}, self.after["spec"]))

    @property
    def is_rollout(self) -> bool:
        """Whether pods that run would be replaced."""
        return self.before is not None and _template(self.before) != _template(self.foreseen)

    @property
    def objects(self) -> list[tuple[str, JsonObject | None, JsonObject | None]]:
        """Kind and name of each child that would be another one, before and after."""
        old, new = _children(self.before), _children(self.foreseen)
        if not self.has_weights and self.foreseen.refused is None:
            own = [one for one in self.foreseen.objects() if one["kind"] == names.MODEL_CACHE]
            new = {**_by_name(own), **new}
        every = [*new, *(name for name in old if name not in new)]
        return [(name, old.get(name), new.get(name)) for name in every if old.get(name) != new.get(name)]

    @property
    def is_one(self) -> bool:
        """Whether anything would change."""
        return self.live is None or bool(self.fields or self.objects)


async def change_of(session: Session, manifest: JsonObject, manifests: list[JsonObject]) -> Change:
    """Look at the cluster, and plan before and after. Raises CommandError where the manifest would be refused."""
    metadata, client = manifest["metadata"], session.client
    key = ObjectKey(names.EMBEDDING_SERVICE, metadata["namespace"], metadata["name"])
    live = await client.get(key)
    try:
        after = await applied(client, manifest, live)
    except ApiError as error:
        raise CommandError(f"{key}: {in_words(error)}") from None
    now = await known_in(client, [manifest])
    then = await known_in(client, manifests)
    seen = await observed(client, manifest, now)
    before = foresee(live, now, seen) if live is not None else None
    foreseen = foresee(after, then, replace(seen, may_follow=_profile_changes(manifests)))
    if foreseen.refused is not None and (before is None or before.refused != foreseen.refused):
        raise CommandError(f"{foreseen.title} would be refused: {foreseen.refused.reason}: {foreseen.refused.message}")
    there = (metadata["namespace"], foreseen.cache.metadata.name) in now.caches
    return Change(live, after, before, foreseen, has_weights=there)


def _profile_changes(manifests: Iterable[JsonObject]) -> bool:
    return any(one["kind"] == names.RUNTIME_PROFILE for one in manifests)


def told(change: Change, screen: Screen) -> Iterator[str]:
    """What changes in words, then line by line."""
    yield screen.paint(BOLD, f"# {change.foreseen.title}")
    if not change.is_one:
        yield "# nothing would change"
        return
    if change.live is not None:
        in_pods = {name.partition(":")[0] for name in _of_pods(change)}
        for field in change.fields:
            reaches = "" if field.partition(":")[0] in in_pods else " (reaches no pod)"
            yield f"# {field}{reaches}"
    yield f"# {_rollout(change, screen)}"
    if not change.foreseen.staged:
        told_of = "staged first" if change.has_weights else "made, and its weights are staged first"
        stay = "; until then pods stay as they are" if change.live is not None else ""
        yield f"# weights: ModelCache {change.foreseen.cache.metadata.name} is {told_of}{stay}"
    for name, old, new in change.objects:
        was, will_be = (name if one is not None else "/dev/null" for one in (old, new))
        yield from painted(unified(old, new, was, will_be), screen)


def _rollout(change: Change, screen: Screen) -> str:
    count = replicas_of(change.foreseen.service)
    pods = f"{count} pod{'' if count == 1 else 's'}"
    if change.live is None:
        return screen.paint(GREEN, f"new: {pods} would be started")
    if not change.is_rollout:
        return screen.paint(GREEN, "rollout: no, no pod is replaced")
    return screen.paint(YELLOW, f"rollout: yes, {pods} {'is' if count == 1 else 'are'} replaced, each drained first")


def _of_pods(change: Change) -> list[str]:
    return list(differences(pod_spec((change.live or {}).get("spec") or {}), pod_spec(change.after["spec"])))


def _children(foreseen: Foreseen | None) -> dict[str, JsonObject]:
    if foreseen is None:
        return {}
    plan = foreseen.plan
    return _by_name(one for one in (*plan.create, *plan.apply) if one["kind"] not in _KEPT)


def _by_name(objects: Iterable[JsonObject]) -> dict[str, JsonObject]:
    return {f"{one['kind']} {one['metadata']['name']}": one for one in objects}


def _template(foreseen: Foreseen) -> JsonObject | None:
    template: JsonObject | None = next(
        (one["spec"]["template"] for one in foreseen.plan.apply if one["kind"] == "Deployment"), None
    )
    return template
