"""What `embedding-operator status` prints: on a terminal, in a file, for few and for many services."""

import argparse
import io
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from embedding_operator.commands import CommandError, status
from embedding_operator.commands.picture import Scene, picture
from embedding_operator.commands.session import in_words
from embedding_operator.commands.terminal import Screen, measure
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import EMBEDDING_JOBS, MODEL_CACHES, PODS, Resource

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
AT_WORK = {"percent": 50, "bytes": 8_000_000_000, "totalBytes": 16e9, "bytesPerSecond": 412e6, "secondsLeft": 20}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], Screen]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def sized(columns: int, lines: int) -> Screen:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", str(lines))
        return Screen(Terminal())

    return sized


def obj(name: str, ready: str, reason: str, message: str, *more: dict[str, str], **status: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready, "reason": reason, "message": message}, *more]
    metadata = {"name": name, "namespace": "search", "creationTimestamp": "2026-03-04T11:57:00Z"}
    return {"metadata": metadata, "spec": {}, "status": {"conditions": conditions} | status}


def service(name: str, ready: str = "True", reason: str = "Serving", *more: Any, **status: Any) -> dict[str, Any]:
    made = obj(name, ready, reason, f"what {reason} means", *more, **status)
    made["spec"] = {"model": {"source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-8B"}}}, "replicas": 4}
    return made


def cache(**status: Any) -> dict[str, Any]:
    return obj(
        "weights", "False", "Downloading", "42 %", usedBy=[{"kind": "EmbeddingService", "name": "qwen"}], **status
    )


def shown(scene: Scene, screen: Screen | None = None) -> list[str]:
    return picture(scene, screen or Screen(io.StringIO()), NOW)


def test_services_and_weights_each_have_a_table_and_troubles_their_sentence() -> None:
    stalled = {"type": "Stalled", "status": "True"}
    degraded = {"type": "Degraded", "status": "True", "message": "a device is unhealthy"}
    services = [
        service("a", readyReplicas=4),
        service("b", "False", "ImagePullFailed", stalled),
        service("c", "True", "Serving", degraded),
    ]
    assert shown(Scene(services, [cache()])) == [
        "SERVICE   READY   STATUS            AGE   MODEL",
        "a         4/4     Serving           3m    Qwen/Qwen3-Embedding-8B",
        "b         0/4     ImagePullFailed   3m    Qwen/Qwen3-Embedding-8B",
        "  what ImagePullFailed means",
        "c         0/4     Serving           3m    Qwen/Qwen3-Embedding-8B",
        "  Degraded: a device is unhealthy",
        "",
        "WEIGHTS   STATUS        SIZE   AGE   USED BY",
        "weights   Downloading          3m    qwen",
        "  42 %",
    ]
    assert shown(Scene([], [])) == ["no EmbeddingServices, no EmbeddingJobs and no ModelCaches here"]


def test_while_weights_come_a_bar_shows_how_far_and_how_long() -> None:
    *_, row, bar = shown(Scene([], [cache(progress=AT_WORK)]))
    assert row == "weights   Downloading   16.0 GB   3m    qwen"
    assert bar == "  [############............]  50 %  8.0 GB of 16.0 GB  412.0 MB/s  20 s left"


def test_what_nobody_has_looked_at_and_what_is_being_deleted_says_so() -> None:
    new = service("new")
    del new["status"]
    gone = service("gone")
    gone["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"
    lines = shown(Scene([new, gone], []))
    assert lines[1].split()[:3] == ["new", "0/4", "Pending"]
    assert lines[2] == "  the operator has not looked at it yet: does it run?"
    assert lines[4] == "  is being deleted"


def test_a_service_that_is_looked_into_shows_its_pods() -> None:
    pods = [
        {"metadata": {"name": "qwen-2"}, "status": {"phase": "Pending"}},
        {
            "metadata": {"name": "qwen-1", "annotations": {"embedding-operator.io/revision": "qwen-abc"}},
            "spec": {"nodeName": "node-a"},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"restartCount": 2, "state": {"running": {}}}],
            },
        },
        {
            "metadata": {"name": "qwen-3"},
            "status": {"containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]},
        },
    ]
    lines = shown(Scene([service("qwen")], [], {("search", "qwen"): pods}))
    assert [line.split() for line in lines[2:]] == [
        ["POD", "STATE", "RESTARTS", "AGE", "NODE", "REVISION"],
        ["qwen-1", "ready", "2", "<unknown>", "node-a", "qwen-abc"],
        ["qwen-2", "Pending", "0", "<unknown>"],
        ["qwen-3", "CrashLoopBackOff", "0", "<unknown>"],
    ]


def test_wide_and_all_namespaces_add_columns_and_many_services_are_summed_up() -> None:
    many = [service(f"s{number}") for number in range(5)] + [service("late", "False", "Starting")]
    lines = shown(Scene(many, [], namespaces=True, wide=True))
    assert " ".join(lines[0].split()) == "NAMESPACE SERVICE READY STATUS AGE MODEL VLLM REVISION ENDPOINT"
    assert lines[1].split()[:2] == ["search", "s0"]
    assert lines[-1] == "6 services: 5 ready, 1 at work"


@pytest.mark.parametrize("columns", [40, 80, 140])
def test_no_line_is_wider_than_the_terminal(columns: int, terminal: Callable[[int, int], Screen]) -> None:
    long = service("q" * 60, "False", "WaitingForWeights")
    long["status"]["conditions"][0]["message"] = "word " * 60
    lines = shown(Scene([long], [cache(progress=AT_WORK)]), terminal(columns, 24))
    assert max(map(measure, lines)) <= columns


def test_a_terminal_gets_colours_and_nobody_else(
    terminal: Callable[[int, int], Screen], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene([service("a")], [])
    assert any("\x1b[32mServing\x1b[0m" in line for line in shown(scene, terminal(80, 24)))
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with monkeypatch.context() as changed:
            changed.setenv(name, value)
            assert "\x1b" not in "".join(shown(scene, Screen(Terminal())))
    assert "\x1b" not in "".join(shown(scene))


def test_what_a_terminal_has_no_lines_for_is_counted_and_troubles_go_first(
    terminal: Callable[[int, int], Screen],
) -> None:
    stalled = service("z", "False", "InvalidSpec", {"type": "Stalled", "status": "True"})
    scene = Scene([service(f"s{number}") for number in range(10)] + [stalled], [])
    assert len(status.fitted(scene, terminal(80, 30), NOW)) == 15
    lines = status.fitted(scene, terminal(80, 8), NOW)
    assert len(lines) == 7
    assert lines[1].startswith("z ")
    assert lines[-1] == "… and 9 more lines: name a service, or a namespace with -n"


class Client:
    """An API server that answers, is away, or refuses."""

    def __init__(self, *answers: list[dict[str, Any]] | ApiError) -> None:
        self._answers = list(answers)
        self.jobs: list[dict[str, Any]] | ApiError = []

    async def list(self, resource: Resource, namespace: str | None, selector: str = "") -> Any:
        if resource in (MODEL_CACHES, PODS):
            return SimpleNamespace(items=[cache()] if resource is MODEL_CACHES else [])
        answer = self.jobs if resource is EMBEDDING_JOBS else self._answers.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        return SimpleNamespace(items=answer)


def asked(*names: str) -> argparse.Namespace:
    return argparse.Namespace(names=list(names), all_namespaces=False, output="table", watch=True)


def session(*answers: list[dict[str, Any]] | ApiError) -> Any:
    return SimpleNamespace(client=Client(*answers), namespace="search")


class Enough(Exception):  # noqa: N818
    """The test has seen enough."""


async def test_while_the_api_server_is_away_what_was_seen_last_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    naps = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise Enough

    monkeypatch.setattr(status.asyncio, "sleep", nap)
    screen = Screen(io.StringIO())
    away = ApiError(0, "Unreachable", "cannot connect")
    with pytest.raises(Enough):
        await status._watch(session([service("a")], away, away), asked(), screen)
    first, then = screen.out.getvalue().split("as of a while ago: cannot connect\n")  # type: ignore[attr-defined]
    assert (first.count("Serving"), then) == (2, "")


async def test_an_api_server_that_was_never_there_or_refuses_ends_it() -> None:
    for error in (ApiError(0, "Unreachable", "cannot connect"), ApiError(403, "Forbidden", "you may not")):
        with pytest.raises(ApiError):
            await status._watch(session(error), asked(), Screen(io.StringIO()))


async def test_with_names_only_these_and_their_weights_are_shown() -> None:
    mine = service("qwen", model={"cache": "weights"})
    scene = await status.look(session([mine, service("other")]), asked("qwen"))
    assert ([one["metadata"]["name"] for one in scene.services], len(scene.caches)) == (["qwen"], 1)
    assert scene.pods == {("search", "qwen"): []}
    scene = await status.look(session([service("other")]), asked("other"))
    assert scene.caches == []
    with pytest.raises(
        CommandError, match=r"x: there is no such EmbeddingService or EmbeddingJob in namespace search \(-n"
    ):
        await status.look(session([mine]), asked("x"))


def job(name: str, ready: str, reason: str, *more: Any, **status: Any) -> dict[str, Any]:
    made = obj(name, ready, reason, f"what {reason} means", *more, **status)
    made["spec"] = {"model": {"source": {"huggingFace": {"repo": "BAAI/bge-m3"}}}, "parallelism": 4}
    return made


def test_jobs_have_a_table_with_a_bar_for_each_that_embeds() -> None:
    progress = {"percent": 50, "rowsPerSecond": 5120, "secondsLeft": 300}
    jobs = [
        job("a", "False", "Embedding", rows=1204224, errors=3, workers={"active": 2}, progress=progress),
        job("b", "False", "NoFiles", {"type": "Stalled", "status": "True"}),
        job("c", "True", "Completed", rows=7, errors=0, shards={"total": 3, "done": 3}, manifest="manifest.json"),
    ]
    jobs[2]["spec"] = {"serviceRef": {"name": "qwen"}}
    assert shown(Scene([], [], jobs=jobs)) == [
        "JOB   STATUS      ROWS        ERRORS   WORKERS   AGE   BY",
        "a     Embedding   1,204,224   3        2/4       3m    BAAI/bge-m3",
        "  [############............]  50 %  1,204,224 rows  5,120 rows/s  5 min left",
        "b     NoFiles                          0/4       3m    BAAI/bge-m3",
        "  what NoFiles means",
        "c     Completed   7           0        0/1       3m    service qwen",
    ]
    assert shown(Scene([], [], jobs=jobs[2:], wide=True))[1].endswith("service qwen   3/3      manifest.json")


async def test_a_name_may_be_that_of_a_job_and_a_cluster_may_have_none() -> None:
    asking = session([service("qwen")], [service("qwen")], [service("qwen")])
    asking.client.jobs = [
        job("wiki", "True", "Completed", model={"cache": "weights"}),
        job("other", "True", "Completed"),
    ]
    scene = await status.look(asking, asked("wiki"))
    assert ([one["metadata"]["name"] for one in scene.jobs], scene.services, len(scene.caches)) == (["wiki"], [], 1)
    asking.client.jobs = ApiError(404, "NotFound", "the server could not find the requested resource")
    assert (await status.look(asking, asked())).jobs == []
    asking.client.jobs = ApiError(500, "InternalError", "no")
    with pytest.raises(ApiError):
        await status.look(asking, asked())


def test_a_cluster_without_our_kinds_is_asked_about_in_our_words() -> None:
    for words in ("the server could not find the requested resource", "404 page not found"):
        assert in_words(ApiError(404, "NotFound", words)) == f"{words}: is embedding-operator installed there?"
    assert in_words(ApiError(403, "Forbidden", "you may not")) == "you may not"


@pytest.mark.parametrize(("percent", "filled"), [(0, 0), (1, 0), (100, 24), (250, 24), (-3, 0)])
def test_a_bar_is_never_longer_than_its_place(percent: int, filled: int) -> None:
    bar = Screen(io.StringIO()).bar(percent)
    assert bar.count("#") == filled
    assert bar.index("]") == 25


def test_on_a_terminal_it_stays_in_its_place_and_in_a_file_it_goes_on() -> None:
    terminal, file = Terminal(), io.StringIO()
    for out in (terminal, file):
        status.redraw(["a", "b"], [], Screen(out))
        status.redraw(["c"], ["a", "b"], Screen(out))
    assert terminal.getvalue() == "a\nb\n\x1b[2F\x1b[Jc\n"
    assert file.getvalue() == "a\nb\nc\n"
