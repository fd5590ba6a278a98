"""What a shell is told when it completes a word."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from embedding_operator import cli
from embedding_operator.commands import completion
from embedding_operator.commands.completion import FILES, NOTHING_ELSE, candidates


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["st"], ["stage", "status"]),
        (["status", "--w"], ["--watch"]),
        (["status", "-o", ""], ["json", "table", "wide", "yaml"]),
        (["logs", "x", "--from", "s"], ["stager"]),
        (["help", "rol"], ["rollback"]),
        (["completion", ""], ["bash", "fish", "zsh"]),
        (["nothing", ""], []),
    ],
)
def test_commands_options_and_their_values_are_completed(words: list[str], found: list[str]) -> None:
    assert candidates(words) == (found, NOTHING_ELSE)


def test_files_are_left_to_the_shell_and_without_a_cluster_there_are_no_names(tmp_path: Path) -> None:
    assert candidates(["explain", "-f", ""]) == ([], FILES)
    assert candidates(["logs", "--kubeconfig", str(tmp_path / "none"), ""]) == ([], NOTHING_ELSE)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["status", ""], ["a-job", "a-service"]),
        (["logs", "a-j"], ["a-job"]),
        (["try", ""], ["a-service"]),
        (["bench", ""], ["a-service", "compare", "show"]),
        (["bench", "compare", "before", ""], ["a-benchmark"]),
        (["plan", ""], ["a-benchmark"]),
        (["status", "-n", ""], ["a-namespace"]),
    ],
)
def test_names_are_those_of_the_kinds_that_may_stand_there(
    words: list[str], found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {
        "EmbeddingService": "a-service",
        "EmbeddingJob": "a-job",
        "EmbeddingBenchmark": "a-benchmark",
        "Namespace": "a-namespace",
    }
    monkeypatch.setattr(completion, "_of_cluster", lambda kind, words: [there[kind]])
    assert candidates(words) == (found, NOTHING_ELSE)


def test_it_is_told_as_kubectl_wants_to_hear_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "complete", "--", "status", "--na"]) == 0
    assert capsys.readouterr().out == "--namespace\n:4\n"


def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    assert shutil.which("bash")
    program = tmp_path / "embedding-operator"
    program.write_text(f'#!/bin/sh\nexec {json.dumps(sys.executable)} -m embedding_operator.cli "$@"\n')
    program.chmod(0o755)
    script = f"""
        source <({program} completion bash)
        COMP_WORDS=({program} status --out) COMP_CWORD=2
        _embedding_operator
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("--output\n", "")
