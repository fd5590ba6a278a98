"""`render`: the objects that would be made from a manifest, for other tools to look at."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Protocol

import yaml

from embedding_operator.api.conditions import Condition
from embedding_operator.api.json import JsonObject
from embedding_operator.commands import CommandError, argvalues, options
from embedding_operator.commands.foresight import foresee, of_files
from embedding_operator.commands.jobforesight import foresee_job, services_of
from embedding_operator.commands.manifests import jobs, services, with_services

OPERATOR_NAMESPACE = "embedding-operator-system"
_WIDTH = 110


class AnyForeseen(Protocol):
    """What comes of a service, or of a job."""

    @property
    def title(self) -> str: ...

    @property
    def refused(self) -> Condition | None: ...

    def objects(self) -> Iterator[JsonObject]: ...


def add(parser: argparse.ArgumentParser) -> None:
    """`render -f FILE`."""
    parser.usage = "{prog} render -f FILE [--kind KIND] [--from-cluster]"
    parser.description = """
The objects that come of the EmbeddingServices of these files, but for Jobs that stage weights, and of the \
EmbeddingJobs, whose three Jobs are shown as far as they are known before they run: nothing is written. \
Without --from-cluster no cluster is asked: profiles are the built-in ones and those in the files, weights are taken \
as staged, and their commit, which staging finds out, is written as COMMIT.

With --from-cluster, the profiles, weights and revisions that are there are looked at as the operator does, and those \
in the files go before.
"""
    parser.epilog = """
examples:
  {prog} render -f service.yaml | kubeconform -strict
  {prog} render -f service.yaml --kind Deployment
  {prog} render -f service.yaml --from-cluster | kubectl diff -f -

What is rendered is to be looked at: applied by hand, the operator would take it for somebody else's.
With --from-cluster it takes the rights that `diff` takes.
exit codes: 0 rendered, 1 a service or job is refused, or something cannot be read, 2 wrong arguments.
"""
    options.add_files(parser, "manifests: EmbeddingServices, EmbeddingJobs, and what they refer to")
    parser.add_argument("--from-cluster", action="store_true", help="look at what is in the cluster, too")
    parser.add_argument(
        "--kind",
        action="append",
        metavar="KIND",
        help="objects of this kind alone, such as Deployment; repeatable (default: all)",
    )
    parser.add_argument(
        "-o",
        "--output",
        choices=("yaml", "json"),
        default="yaml",
        metavar="FORMAT",
        help="yaml, or json: a List (default: %(default)s)",
    )
    parser.add_argument(
        "--operator-namespace",
        type=argvalues.object_name,
        default=OPERATOR_NAMESPACE,
        metavar="NAME",
        help="where the operator runs, which a NetworkPolicy lets in (default: %(default)s)",
    )
    options.add_namespace(parser)
    options.add_cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    """Render every service and job of the files."""
    if arguments.from_cluster:
        from embedding_operator.commands.live import foreseen_in_cluster
        from embedding_operator.commands.session import Session, with_cluster

        async def render(session: Session) -> int:
            return _show(await foreseen_in_cluster(session, arguments), arguments)

        return with_cluster(arguments, render)
    if arguments.kubeconfig or arguments.context:
        raise CommandError("--kubeconfig and --context name a cluster, which is asked with --from-cluster only")
    manifests = with_services(arguments.filename, arguments.namespace or "default", or_jobs=True)
    known, serving = of_files(manifests, arguments.operator_namespace), services_of(manifests)
    foreseen: list[AnyForeseen] = [foresee(obj, known) for obj in services(manifests)]
    return _show([*foreseen, *(foresee_job(obj, known, serving) for obj in jobs(manifests))], arguments)


def _show(foreseen: Iterable[AnyForeseen], arguments: argparse.Namespace) -> int:
    refused = 0
    objects: list[JsonObject] = []
    for one in foreseen:
        if (stalled := one.refused) is not None:
            refused = 1
            told = f"{one.title} is refused: {stalled.reason}: {stalled.message}"
            print(f"{arguments.prog} render: {told}", file=sys.stderr)
        else:
            objects += one.objects()
    kinds = {kind.lower() for kind in arguments.kind or ()}
    wanted = [obj for obj in _once(objects) if not kinds or obj["kind"].lower() in kinds]
    if objects and not wanted:
        there_are = ", ".join(sorted({obj["kind"] for obj in objects}))
        raise CommandError(f"no object of kind {' or '.join(arguments.kind)}: there are {there_are}")
    if arguments.output == "json":
        print(json.dumps({"apiVersion": "v1", "kind": "List", "items": wanted}, indent=2, ensure_ascii=False))
    elif wanted:
        print("---")
        yaml.safe_dump_all(wanted, sys.stdout, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return refused


def _once(objects: Iterable[JsonObject]) -> list[JsonObject]:
    """Without what several services share and each would make."""
    found: dict[tuple[str, str, str], JsonObject] = {}
    for obj in objects:
        metadata = obj["metadata"]
        found.setdefault((obj["kind"], metadata.get("namespace") or "", metadata["name"]), obj)
    return list(found.values())
