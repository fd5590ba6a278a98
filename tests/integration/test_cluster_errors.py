"""What the cluster tool says when it cannot do what it is asked: one line, exit code 1."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "--kubernetes", "1.2.3"], "Kubernetes 1.2.3 is not pinned here"),
        (["up", "--kubernetes", "v1.37.2"], "Kubernetes v1.37.2 is not pinned here"),
        (["up", "--kubernetes", "1.34.4"], "a control plane of 1.34.4 is older than they"),
        (["up", "--name", "Not_A_Name"], "use up to 20 small letters, digits and inner dashes"),
        (["kubeconfig", "--name", "absent"], "no cluster absent is up"),
        (["image", "load", "--name", "absent", "absent.tar"], "no cluster absent is up"),
    ],
)
def test_says_what_is_wrong_in_one_line(arguments: list[str], message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster", *arguments], capture_output=True, text=True, env=dict(os.environ)
    )
    if os.geteuid() != 0 and arguments[0] != "build" and "--name" in arguments and "absent" in arguments:
        message = "need root"
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_says_that_go_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster", "build"],
        capture_output=True,
        text=True,
        env=dict(os.environ) | {"PATH": "/nonexistent"},
    )
    assert done.returncode == 1
    assert done.stderr == "error: go is not installed: install Go 1.26 or newer (https://go.dev/dl)\n"
