"""Why an engine did not start reaches the termination message, though the log's tail does not have it."""

import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedding_operator.planning.causes import first_of
from embedding_operator.planning.crashes import CRASHES
from embedding_operator.podscripts.lastwords import FirstCause
from tests.standins.vllm import failures
from tests.unit.podscripts.conftest import StartDouble

TAIL = 2048  # bytes of a log that a kubelet keeps, without a termination message


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """As a kubelet makes it for each container."""
    path = tmp_path / "last-words"
    path.touch()
    return path


@pytest.mark.parametrize("name", [*failures.ENGINE, *failures.SERVER])
def test_what_ends_a_server_is_known_by_what_a_kubelet_keeps(double: StartDouble, words: Path, name: str) -> None:
    server = double(VLLM_DOUBLE_FAILS=name, EMBEDDING_OPERATOR_TERMINATION_LOG=str(words))
    with pytest.raises(RuntimeError), server:
        pass
    kept = words.read_text() or server.log.read_bytes()[-TAIL:].decode()
    found = first_of(CRASHES, f"Error (exit code 1)\n{kept}", "weights")
    assert found is not None
    assert found.name == name


def test_without_the_plugin_the_tail_of_an_engines_failure_says_nothing(double: StartDouble, words: Path) -> None:
    """Why it is there."""
    server = double(VLLM_DOUBLE_FAILS="OutOfDeviceMemory", EMBEDDING_OPERATOR_TERMINATION_LOG=str(words.parent / "no"))
    with pytest.raises(RuntimeError), server:
        pass
    found = first_of(CRASHES, server.log.read_bytes()[-TAIL:].decode(), "weights")
    assert found is not None
    assert found.name == "EngineFailed"


@pytest.fixture
def logger(words: Path) -> Iterator[logging.Logger]:
    made = logging.getLogger("vllm.of.this.test")
    handler = FirstCause(str(words))
    made.addHandler(handler)
    yield made
    made.removeHandler(handler)


def log(logger: logging.Logger, message: str, error: Exception) -> None:
    try:
        raise error
    except Exception:
        logger.exception(message)


def test_the_first_cause_is_kept_and_what_follows_from_it_is_not(logger: logging.Logger, words: Path) -> None:
    log(logger, "WorkerProc failed to start.", RuntimeError("NPU out of memory."))
    log(logger, "EngineCore failed to start.", Exception("See stack trace for root cause."))
    assert words.read_text() == "RuntimeError: NPU out of memory."


def test_errors_that_a_server_survives_are_none_of_its_last_words(logger: logging.Logger, words: Path) -> None:
    log(logger, "Error in preprocessing prompt inputs", ValueError("too long"))
    logger.error("EngineCore failed to start.")  # without an exception there is no cause
    assert words.read_text() == ""


def test_a_log_goes_on_where_nothing_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = logging.getLogger("vllm.without.a.file")
    made.addHandler(FirstCause(str(tmp_path / "absent" / "file")))
    log(made, "EngineCore failed to start.", RuntimeError("x"))
    assert "Traceback" not in capsys.readouterr().err.partition("EngineCore failed to start.")[0]
    assert not (tmp_path / "absent").exists()


def test_a_very_long_cause_is_cut(logger: logging.Logger, words: Path) -> None:
    log(logger, "EngineCore encountered a fatal error.", RuntimeError("x" * 10_000))
    assert len(words.read_text()) == 1500


def test_a_server_starts_where_the_plugin_cannot_be_announced(double: StartDouble, tmp_path: Path) -> None:
    with double() as server:
        server.kill()
    (server.state / "run").mkdir(exist_ok=True)
    (server.state / "run" / "plugins").write_text("in the way")
    ended = subprocess.run(
        server.script("launch", "true"), env=server.variables, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0
    assert "without last words" in ended.stderr
