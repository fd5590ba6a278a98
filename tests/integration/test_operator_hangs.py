"""An operator that really hangs is started anew by whoever asks its /healthz as the chart has a kubelet do."""

from __future__ import annotations

import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.hanging_operator import HANGS
from tests.installed import operator_of
from tests.integration.kinds import install_kinds
from tests.integration.operating import Namespace, until
from tests.operator_process import OperatorProcess
from tests.rights import objects

UNHEARD = 1.0  # seconds without an answer: one that is blocked has none after the probe's five either


@pytest.fixture(scope="module")
def operator(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    install_kinds(control_plane.kubectl)
    directory = tmp_path_factory.mktemp("operator")
    with operator_of(control_plane, directory, module="tests.hanging_operator") as running:
        yield running


def healthz(operator: OperatorProcess) -> tuple[int, str]:
    """The status and what is said; (0, "") without an answer."""
    probe = f"http://127.0.0.1:{operator.port}/healthz"
    try:
        with urllib.request.urlopen(probe, timeout=UNHEARD) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
    except OSError:
        return 0, ""


def play_kubelet(operator: OperatorProcess) -> None:
    """Ask until it has failed as often in a row as the chart allows, and start it anew: one that hangs hears no SIGTERM
    and gets its SIGKILL."""
    (deployment,) = objects("Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    failures = 0
    while failures < container["livenessProbe"]["failureThreshold"]:
        failures = 0 if healthz(operator)[0] == 200 else failures + 1
        time.sleep(0.1)
    operator.kill()
    operator.start()


@pytest.mark.long
def test_one_whose_worker_never_comes_back_says_so_and_is_started_anew(
    control_plane: ControlPlane, operator: OperatorProcess
) -> None:
    namespace = Namespace(control_plane.kubectl)
    namespace.service(HANGS)
    until(lambda: healthz(operator)[0] == 503)
    assert f"a worker has been at EmbeddingService {namespace.name}/{HANGS} for" in healthz(operator)[1]
    assert f"/healthz fails: a worker has been at EmbeddingService {namespace.name}/" in operator.log.read_text()
    namespace.kubectl("delete", "emb", HANGS)
    play_kubelet(operator)
    until(lambda: healthz(operator) == (200, "ok\n"))


def test_one_whose_event_loop_is_blocked_is_started_anew_and_its_log_says_where_it_hung(
    operator: OperatorProcess,
) -> None:
    until(lambda: healthz(operator) == (200, "ok\n"))
    operator.send(signal.SIGUSR1)
    until(lambda: "the event loop has been blocked for" in operator.log.read_text())
    play_kubelet(operator)
    assert "in block_for_good" in operator.log.read_text()
    until(lambda: healthz(operator) == (200, "ok\n"))
