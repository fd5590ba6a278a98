"""An ordinary user's run leaves out what needs root and says so; root's and CI's never do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NEEDS_ROOT = "tests/e2e/test_faults.py"
NEEDS_NOTHING = "tests/unit/commands/test_cli.py"


def run(*command: str, ordinary: bool, ci: bool = False) -> subprocess.CompletedProcess[str]:
    """As an ordinary user: in a user namespace without a mapping, where nobody is root and files stay readable."""
    prefix = ["unshare", "--user"] if ordinary and os.geteuid() == 0 else []
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | ({"CI": "true"} if ci else {})
    words = [*prefix, sys.executable, "-m", *command]
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)


def collect(*paths: str, ordinary: bool, ci: bool = False) -> subprocess.CompletedProcess[str]:
    return run("pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *paths, ordinary=ordinary, ci=ci)


def test_an_ordinary_user_runs_the_rest_and_reads_what_did_not_run() -> None:
    done = collect(NEEDS_ROOT, NEEDS_NOTHING, ordinary=True)
    assert done.returncode == 0, done.stdout
    collected, told = done.stdout.split("left out: you are not root")
    assert NEEDS_NOTHING in collected
    assert NEEDS_ROOT not in collected
    assert f"{NEEDS_ROOT}::test_operator_and_stager_are_killed_while_weights_are_staged" in told
    assert "need root (network namespaces, mounts, cgroups)" in told
    assert "make test-e2e" in told


def test_a_run_that_needs_no_root_says_nothing_of_it() -> None:
    done = collect(NEEDS_NOTHING, ordinary=True)
    assert done.returncode == 0
    assert "left out" not in done.stdout


def test_a_run_of_nothing_but_what_was_left_out_is_no_success() -> None:
    done = collect(NEEDS_ROOT, ordinary=True)
    assert done.returncode != 0
    assert "left out: you are not root" in done.stdout


def test_in_ci_leaving_out_is_an_error() -> None:
    done = collect(NEEDS_ROOT, NEEDS_NOTHING, ordinary=True, ci=True)
    assert done.returncode != 0
    assert "needs root, and CI is set, where nothing may be left out" in done.stderr
    for command in (["images.build", "--for-tests"], ["tests.cluster", "build"]):
        refused = run(*command, ordinary=True, ci=True)
        assert refused.returncode == 1
        assert "needs root, and CI is set" in refused.stderr


def test_an_ordinary_user_builds_no_images_for_tests_and_is_told() -> None:
    done = run("images.build", "--for-tests", "operator", "standins", ordinary=True)
    assert done.returncode == 0
    assert "left out, as you are not root: the images operator, standins" in done.stderr
    assert done.stdout == ""
