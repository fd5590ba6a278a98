"""make's words for the demo become its options, and only those that were written after `make`."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def command(*words: str, **environment: str) -> list[str]:
    """What make would run, after `python -m`."""
    plain = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKEOVERRIDES")}
    done = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", *words],
        cwd=ROOT,
        env=plain | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return shlex.split(done.stdout.splitlines()[-1])[2:]


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["demo"], ["demo", "up"]),
        (["demo", "NPUS=4"], ["demo", "up", "--npus", "4"]),
        (["demo", "DEVICE_PLUGIN=1", "KUBECONFIG=k"], ["demo", "up", "--kubeconfig", "k", "--npus", "8"]),
        (
            ["demo", "KUBECONFIG=my file", "CONTEXT=c", "REGISTRY=r/p", "REGISTRY_INSECURE=1"],
            ["demo", "up", "--kubeconfig", "my file", "--context", "c", "--registry", "r/p", "--registry-insecure"],
        ),
        (
            ["demo", "KUBECONFIG=k", "STORAGE_CLASS=s", "READ_WRITE_MANY=1", "SERVER=built"],
            ["demo", "up", "--kubeconfig", "k", "--storage-class", "s", "--read-write-many", "--server", "built"],
        ),
        (["demo", "CLAIM=a/b", "KUBECONFIG=k"], ["demo", "up", "--kubeconfig", "k", "--claim", "a/b"]),
        (["demo", "REGISTRY_INSECURE=0", "DEVICE_PLUGIN=0", "READ_WRITE_MANY=0"], ["demo", "up"]),
        (["demo-down"], ["demo", "down"]),
        (["demo-down", "KUBECONFIG=k", "CONTEXT=c"], ["demo", "down", "--kubeconfig", "k", "--context", "c"]),
    ],
    ids=" ".join,
)
def test_words_become_options(words: list[str], options: list[str]) -> None:
    assert command(*words) == options


@pytest.mark.parametrize(("target", "action"), [("demo", "up"), ("demo-down", "down")])
def test_a_kubeconfig_that_a_shell_happens_to_have_is_not_used(target: str, action: str) -> None:
    assert command(target, KUBECONFIG="/home/somebody/.kube/config", REGISTRY="r/p", NPUS="8") == ["demo", action]
