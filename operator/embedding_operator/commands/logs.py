"""`logs`: what all pods of a service or a job say, and the stager of its weights; each line with who said it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from embedding_operator.api import names
from embedding_operator.commands import CommandError, argvalues, options
from embedding_operator.commands.picture import progress, used_by
from embedding_operator.commands.session import Session, with_cluster
from embedding_operator.commands.shown import condition
from embedding_operator.commands.terminal import BLUE, CYAN, DIM, GREEN, MAGENTA, YELLOW, Screen, cut, harmless
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.podlogs import Wanted, log_lines
from embedding_operator.kube.resources import PODS, Object

EVERY: Final = 2.0  # seconds between two looks at which pods there are
_COLOURS: Final = (CYAN, GREEN, MAGENTA, YELLOW, BLUE)
_TAIL: Final = 100
_OVER: Final = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Source:
    """A container whose log is shown, and by which name."""

    pod: str
    container: str
    label: str
    colour: str
    is_over: bool  # the pod has ended: nothing more will come


def add(parser: argparse.ArgumentParser) -> None:
    """`logs NAME`."""
    parser.usage = "{prog} logs NAME [-n NAME] [-f] [--tail N] [--since TIME]"
    parser.description = """
The logs of all pods of a service or an EmbeddingJob, and of the Job that stages its weights, in order of time, each \
line with its pod. While there is no pod yet, how staging goes on.
"""
    parser.epilog = """
examples:
  {prog} logs qwen -f                       go on until interrupted, also with pods that come
  {prog} logs qwen --since 10m --tail -1    all of the last ten minutes
  {prog} logs qwen --previous               why containers were started again
  {prog} logs qwen --from stager            of staging alone
  {prog} logs wikipedia -c vllm             of a job's servers, not of the drivers beside them

It takes the rights to get embeddingservices (or embeddingjobs) and modelcaches, to list pods, and to get pods/log.
exit codes: 0 shown, 1 it cannot be read, or there is no log, 2 wrong arguments.
"""
    parser.add_argument(
        "name",
        type=argvalues.object_name,
        metavar="NAME",
        help="an EmbeddingService, or where none has the name an EmbeddingJob",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on until interrupted")
    parser.add_argument("-p", "--previous", action="store_true", help="of the containers before these, which ended")
    parser.add_argument(
        "--tail",
        type=argvalues.count,
        metavar="N",
        help=f"the last N lines of each pod; -1: all (default: {_TAIL}, and all with --since)",
    )
    parser.add_argument("--since", type=argvalues.seconds, metavar="TIME", help="of that long, such as 10m or 1h30m")
    parser.add_argument("--timestamps", action="store_true", help="with the time at which each line came")
    parser.add_argument(
        "--from",
        dest="origin",
        choices=("all", "pods", "stager"),
        default="all",
        metavar="WHO",
        help="all, pods or stager (default: %(default)s)",
    )
    parser.add_argument("-c", "--container", metavar="NAME", help="of each pod (default: its first)")
    options.add_namespace(parser)
    options.add_cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show them."""
    if arguments.follow and arguments.previous:
        raise CommandError("what ended says nothing more: leave out --follow or --previous")
    return with_cluster(arguments, lambda session: Logs(session, arguments).show())


class Logs:
    """The logs of one service, or of a job where there is no service of that name."""

    def __init__(self, session: Session, arguments: argparse.Namespace) -> None:
        self._session, self._arguments = session, arguments
        self._screen, self._errors = Screen(sys.stdout), Screen(sys.stderr)
        self._colours: dict[str, str] = {}
        self._width = 0
        self._told: set[str] = set()
        tail = arguments.tail if arguments.tail is not None else None if arguments.since else _TAIL
        self._wanted = Wanted(
            previous=arguments.previous, tail=None if tail == -1 else tail, since_seconds=arguments.since
        )

    async def show(self) -> int:
        """Once, or until interrupted; gives the exit code."""
        if self._arguments.follow:
            await self._follow()
        subject, sources = await self._sources()
        if not sources:
            self._tell(await self._situation(subject))
            return 1
        shown = False
        async for source, time, text in self._merged(sources):
            self._print(source, time, text)
            shown = True
        return 0 if shown else 1

    async def _sources(self) -> tuple[Object, list[Source]]:
        """What is looked at, and whose logs there are now: the stager's first."""
        subject, label = await self._subject()
        pods: list[Object] = []
        if self._arguments.origin != "pods" and (cache := used_by(subject)):
            pods += await self._pods(f"{names.CACHE_LABEL}={cache}")
        if self._arguments.origin != "stager":
            pods += await self._pods(f"{label}={self._arguments.name}")
        if wanted := self._arguments.container:  # a stager has no server, nor have all pods of a job
            pods = [pod for pod in pods if wanted in _containers(pod)] or pods
        sources = [self._source(pod) for pod in pods]
        self._width = max((len(source.label) for source in sources), default=0)
        return subject, sources

    async def _subject(self) -> tuple[Object, str]:
        """Whose logs are wanted, and the label of its pods. Raises CommandError where nothing has that name."""
        session, name = self._session, self._arguments.name
        service = await session.find(names.EMBEDDING_SERVICE, name)
        if service is not None:
            return service, names.SERVICE_LABEL
        try:
            job = await session.find(names.EMBEDDING_JOB, name)
        except ApiError as error:
            if not error.is_forbidden:
                raise
            job = None  # who may see services alone has mistyped the name of one
        if job is None:
            where = f"in namespace {session.namespace} (-n names another)"
            raise CommandError(f"{name}: there is no such EmbeddingService or EmbeddingJob {where}")
        return job, names.JOB_LABEL

    async def _pods(self, selector: str) -> list[Object]:
        found = (await self._session.client.list(PODS, self._session.namespace, selector)).items
        return sorted(found, key=lambda pod: (pod["metadata"].get("creationTimestamp") or "", pod["metadata"]["name"]))

    def _source(self, pod: Object) -> Source:
        name, containers = str(pod["metadata"]["name"]), _containers(pod)
        wanted = self._arguments.container
        if wanted and wanted not in containers:
            raise CommandError(f"pod {name} has no container {wanted}: it has {', '.join(containers)}")
        stager = (pod["metadata"].get("labels") or {}).get(names.CACHE_LABEL)
        return Source(
            pod=name,
            container=wanted or containers[0],
            label=f"stager/{name.rpartition('-')[2]}" if stager else name,
            colour=self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)]),
            is_over=(pod.get("status") or {}).get("phase") in _OVER,
        )

    async def _merged(self, sources: Sequence[Source]) -> AsyncIterator[tuple[Source, str, str]]:
        """All lines of several logs in order of time, holding one of each in memory."""
        streams = [self._lines(source, self._wanted) for source in sources]
        heads = [await anext(stream, None) for stream in streams]
        while any(heads):
            at = min((head[0], index) for index, head in enumerate(heads) if head is not None)[1]
            head = heads[at]
            assert head is not None
            yield sources[at], *head
            heads[at] = await anext(streams[at], None)

    async def _lines(self, source: Source, wanted: Wanted) -> AsyncIterator[tuple[str, str]]:
        """The lines of one log; what is against it is told, and the others go on."""
        try:
            async for line in log_lines(
                self._session.connection, self._session.namespace, source.pod, source.container, wanted
            ):
                yield line
        except ApiError as error:
            if error.is_forbidden:
                raise
            if not error.is_not_found:  # a pod that is gone meanwhile
                self._tell(f"{source.label}: {error.message}")

    async def _follow(self) -> None:
        """For ever: whoever comes is listened to, and whoever ends is not missed."""
        listening: dict[str, asyncio.Task[None]] = {}
        heard: dict[str, str] = {}  # of each pod, when it said its last line
        try:
            while True:
                try:
                    await self._look(listening, heard)
                except ApiError as error:
                    if not error.is_temporary:
                        raise
                    self._tell(error.message)  # the next look may find it better
                await asyncio.sleep(EVERY)
        finally:
            for task in listening.values():
                task.cancel()
            await asyncio.gather(*listening.values(), return_exceptions=True)

    async def _look(self, listening: dict[str, asyncio.Task[None]], heard: dict[str, str]) -> None:
        subject, sources = await self._sources()
        for source in sources:
            task = listening.get(source.pod)
            if task is not None and task.done():
                task.result()  # raises what it ended with
            if task is None or (task.done() and not source.is_over):
                listening[source.pod] = asyncio.create_task(self._listen(source, heard))
        if not listening:
            self._tell(await self._situation(subject))

    async def _listen(self, source: Source, heard: dict[str, str]) -> None:
        last = heard.get(source.pod, "")
        wanted = replace(self._wanted, follow=True)
        if last:  # whole seconds are all that the API server takes
            wanted = replace(wanted, tail=None, since_time=f"{last[:19]}Z")
        async for time, text in self._lines(source, wanted):
            if time > last:
                heard[source.pod] = time
                self._print(source, time, text)

    async def _situation(self, subject: Object) -> str:
        """Why there is no log yet, and how far staging is."""
        ready = condition(subject, "Ready")
        told = f"{ready.get('reason')}: {ready.get('message')}" if ready else "the operator has not looked at it yet"
        cache = used_by(subject)
        weights = await self._session.find(names.MODEL_CACHE, cache) if cache else None
        return f"no pods yet. {(weights and progress(weights, self._errors)) or ' '.join(told.split())}"

    def _tell(self, text: str) -> None:
        """Beside the logs, once each."""
        if text in self._told:
            return
        self._told.add(text)
        stamp = datetime.now(UTC).strftime("%H:%M:%S")
        self._errors.print([cut(f"{self._errors.paint(DIM, stamp)} {text}", self._errors.width)])

    def _print(self, source: Source, time: str, text: str) -> None:
        label = self._screen.paint(source.colour, f"{source.label:{self._width}} |")
        stamp = f"{self._screen.paint(DIM, time)} " if self._arguments.timestamps else ""
        self._screen.print([f"{label} {stamp}{harmless(text) if self._screen.is_terminal else text}"])


def _containers(pod: Object) -> list[str]:
    """Those that run as long as the pod does: the server beside a job's driver is a sidecar."""
    spec = pod["spec"]
    sidecars = (one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always")
    return [str(one["name"]) for one in (*spec["containers"], *sidecars)]
