"""The launcher prepares the container and becomes the command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedding_operator import podscripts


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    script = tmp_path / "scripts" / "launch.py"
    script.parent.mkdir()
    script.write_text(podscripts.sources()["launch"])
    return script


def launch(launcher: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    flag = str(launcher.parent.parent / "run" / "draining")
    environment = {"PATH": os.environ["PATH"], "EMBEDDING_OPERATOR_DRAIN_FLAG": flag, **variables}
    return subprocess.run(
        [sys.executable, str(launcher), *command], env=environment, capture_output=True, text=True, check=False
    )


def shown(launcher: Path, variable: str, **variables: str) -> str:
    program = f"import os; print(os.environ.get({variable!r}), end='')"
    return launch(launcher, sys.executable, "-c", program, **variables).stdout


def test_the_scripts_directory_comes_last_on_python_path(launcher: Path) -> None:
    assert shown(launcher, "PYTHONPATH", PYTHONPATH="/opt/cann") == f"/opt/cann:{launcher.parent}:{plugins(launcher)}"


def plugins(launcher: Path) -> Path:
    return launcher.parent.parent / "run" / "plugins"


def test_without_a_python_path_the_scripts_directory_is_all_of_it(launcher: Path) -> None:
    assert shown(launcher, "PYTHONPATH") == f"{launcher.parent}:{plugins(launcher)}"


def test_vllm_finds_the_plugin_of_last_words(launcher: Path) -> None:
    program = "from importlib.metadata import entry_points as e; print(*e(group='vllm.general_plugins'))"
    assert "value='embedding_operator_lastwords:register'" in launch(launcher, sys.executable, "-c", program).stdout


def test_the_rest_of_the_environment_is_left_alone(launcher: Path) -> None:
    program = "import json, os; print(json.dumps(sorted(os.environ)))"
    names = launch(launcher, sys.executable, "-c", program).stdout
    assert set(json.loads(names)) - {"LC_CTYPE"} == {"EMBEDDING_OPERATOR_DRAIN_FLAG", "PATH", "PYTHONPATH"}


def test_a_drain_flag_of_an_earlier_life_is_removed(launcher: Path, tmp_path: Path) -> None:
    flag = tmp_path / "run" / "draining"
    flag.parent.mkdir()
    flag.touch()
    assert launch(launcher, "true").returncode == 0
    assert not flag.exists()


def test_a_flag_that_cannot_be_removed_stops_the_start(launcher: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "draining").mkdir(parents=True)
    ended = launch(launcher, "true")
    assert ended.returncode == 1
    assert "cannot remove the drain flag" in ended.stderr


def test_vectors_that_cannot_be_removed_stop_the_start(launcher: Path, tmp_path: Path) -> None:
    (tmp_path / "vectors.json").mkdir()
    ended = launch(launcher, "true", EMBEDDING_OPERATOR_VECTORS=str(tmp_path / "vectors.json"))
    assert ended.returncode == 1
    assert f"cannot remove the vectors {tmp_path / 'vectors.json'} of an earlier start: " in ended.stderr


def test_the_servers_exit_status_is_the_containers(launcher: Path) -> None:
    assert launch(launcher, "bash", "-c", "exit 42").returncode == 42


def test_the_command_takes_the_launchers_place(launcher: Path) -> None:
    """Signals of kubelet go to the first process, which must be the server."""
    process = subprocess.Popen(
        [sys.executable, str(launcher), "bash", "-c", "echo $$"],
        env={"PATH": os.environ["PATH"], "EMBEDDING_OPERATOR_DRAIN_FLAG": str(launcher.with_name("none"))},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert int(process.communicate()[0]) == process.pid


def test_a_missing_command_is_named(launcher: Path) -> None:
    ended = launch(launcher, "vllm-that-is-not-there", "serve", PATH="/usr/bin:/bin")  # readable for everybody
    assert ended.returncode == 127
    assert ended.stderr.count("\n") == 1
    assert "vllm-that-is-not-there: not found on PATH" in ended.stderr


def test_a_command_that_is_no_program_is_named(launcher: Path, tmp_path: Path) -> None:
    plain = tmp_path / "vllm"
    plain.write_text("text")
    ended = launch(launcher, str(plain))
    assert ended.returncode == 126
    assert "cannot be run: Permission denied" in ended.stderr
