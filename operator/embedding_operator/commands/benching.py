"""Makes an EmbeddingBenchmark from the command line, reads one, and follows one to its end."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime

import yaml

from embedding_operator.api import names
from embedding_operator.api.benchmark import EmbeddingBenchmark
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.json import JsonObject
from embedding_operator.commands import CommandError
from embedding_operator.commands.session import Session
from embedding_operator.commands.shown import READY, STALLED, condition, standing, status_of
from embedding_operator.commands.status import redraw
from embedding_operator.commands.terminal import Screen
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.podlogs import Wanted, log_lines
from embedding_operator.kube.resources import PODS, Object

FIELD_MANAGER = "embedding-operator-bench"
EVERY = 2.0  # seconds between two looks
OVER = (READY, STALLED)
_SAID = "embedding-operator bench: "  # how the script in the pod begins a line of progress
_TAIL = 400  # lines in which that is looked for
_LONGEST_NAME = 50


def manifest(service: Object, arguments: argparse.Namespace) -> JsonObject:
    """The benchmark that the arguments ask for."""
    metadata, ranks = service["metadata"], (service.get("spec") or {}).get("task") == "Rerank"
    run: JsonObject = {
        "dataset": "random-rerank" if ranks else "random",
        "inputTokens": arguments.input_tokens,
        "prompts": arguments.prompts,
    }
    sweep: JsonObject = {}
    for field, values in (("maxConcurrency", arguments.concurrency), ("requestRate", arguments.rate)):
        if values and len(values) == 1:
            run[field] = values[0]
        elif values:
            sweep[field] = values
    optional = {"sweep": sweep or None, "repeats": arguments.repeats, "warmupPrompts": arguments.warmup}
    made = f"{metadata['name'][:_LONGEST_NAME].rstrip('-.')}-{datetime.now(UTC):%y%m%d%H%M%S}"
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.EMBEDDING_BENCHMARK,
        "metadata": {"name": arguments.benchmark or made, "namespace": metadata["namespace"]},
        "spec": {"serviceRef": {"name": metadata["name"]}, "runs": [run]}
        | {field: value for field, value in optional.items() if value is not None},
    }


async def stored(session: Session, name: str) -> Object:
    """The EmbeddingBenchmark of that name. Raises CommandError where there is none."""
    found = await session.find(names.EMBEDDING_BENCHMARK, name)
    if found is None:
        raise CommandError(
            f"embbench/{name}: there is no such EmbeddingBenchmark in namespace {session.namespace} (-n names another)"
        )
    return found


def view_of(obj: Object) -> EmbeddingBenchmark:
    """What it says. Raises CommandError where that cannot be read."""
    try:
        return EmbeddingBenchmark.from_dict(obj)
    except ApiValueError as error:
        raise CommandError(f"embbench/{obj['metadata']['name']} cannot be read: {error}") from None


def print_manifest(made: JsonObject) -> None:
    """As YAML, to be applied."""
    yaml.safe_dump(made, sys.stdout, sort_keys=False, allow_unicode=True)


async def follow(session: Session, obj: Object, screen: Screen) -> Object:
    """Show how far it is until it is done or needs a person; what is measured goes on if we are interrupted."""
    name = str(obj["metadata"]["name"])
    screen.print([f"embbench/{name}: interrupt this as you like, and see it again with `bench show {name}`"])
    before: list[str] = []
    while standing(obj) not in OVER:
        now = progress(obj, screen, await said(session, name))
        if now != before:
            redraw(now, before, screen)
        before = now
        await asyncio.sleep(EVERY)
        try:
            obj = await stored(session, name)
        except ApiError as error:
            if not error.is_temporary:
                raise
    if before and screen.is_terminal:
        redraw(progress(obj, screen, ""), before, screen)
    return obj


def progress(obj: Object, screen: Screen, said: str) -> list[str]:
    """A bar of the runs, and what is going on."""
    done, _, wanted = str(status_of(obj).get("progress") or "0/1").partition("/")
    bar = screen.bar(int(done) * 100 // max(1, int(wanted or 1)))
    told = condition(obj, "Ready").get("message") or "the operator has not looked at it yet: does it run?"
    return [f"{bar}  {done} of {wanted} runs", *screen.told(f"{told}; {said}" if said else told)]


async def said(session: Session, name: str) -> str:
    """The last line of progress in the log of the run's pod; empty where there is none, or it may not be read."""
    try:
        pods = (await session.client.list(PODS, session.namespace, f"{names.BENCHMARK_LABEL}={name}")).items
        running = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Running"]
        last = ""
        for pod in running[-1:]:
            async for _, text in log_lines(
                session.connection, session.namespace, pod["metadata"]["name"], "bench", Wanted(tail=_TAIL)
            ):
                last = text.removeprefix(_SAID) if text.startswith(_SAID) else last
        return last
    except ApiError:
        return ""
