"""PodMonitors, with the Prometheus Operator's own CRD, in a cluster that has none, gets it, and loses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.cluster.kubectl import Kubectl
from tests.installed import operator_of
from tests.integration.kinds import install_kinds
from tests.integration.operating import Namespace, until
from tests.prometheus_operator import crd

MONITORING = {"podMonitor": True, "labels": {"release": "prometheus"}}


@pytest.fixture
def without(control_plane: ControlPlane) -> Iterator[Kubectl]:
    """A cluster without the Prometheus Operator, also afterwards."""
    install_kinds(control_plane.kubectl)
    yield control_plane.kubectl
    control_plane.kubectl("delete", "--ignore-not-found", "-f", str(crd("podmonitors")))


def monitored(namespace: Namespace) -> tuple[str, str]:
    condition = namespace.condition("emb", "qwen", "Monitored")
    return condition["status"], condition["reason"]


def test_a_pod_monitor_is_made_once_there_is_such_a_kind_and_goes_when_it_is_not_wanted(
    without: Kubectl, control_plane: ControlPlane, tmp_path: Any
) -> None:
    with operator_of(control_plane, tmp_path, "--resync-seconds=3") as operator:
        namespace = Namespace(without)
        namespace.claim()
        namespace.service(monitoring=MONITORING)
        namespace.stage()
        until(lambda: monitored(namespace) == ("False", "PrometheusOperatorNotInstalled"))
        until(lambda: namespace.condition("emb", "qwen")["reason"] == "Starting")
        assert namespace.condition("emb", "qwen", "Stalled")["reason"] == ""
        (revision,) = namespace.items("controllerrevision")

        without("apply", "--server-side", "-f", str(crd("podmonitors")))
        until(lambda: monitored(namespace) == ("True", "PodMonitorMade"))
        (monitor,) = namespace.items("podmonitor")
        assert (monitor["metadata"]["name"], monitor["metadata"]["labels"]["release"]) == ("qwen", "prometheus")
        assert [owner["kind"] for owner in monitor["metadata"]["ownerReferences"]] == ["EmbeddingService"]
        edit = '[{"op": "replace", "path": "/spec/podMetricsEndpoints/0/path", "value": "/"}]'
        namespace.kubectl("patch", "podmonitor", "qwen", "--type=json", "-p", edit)
        until(lambda: namespace.items("podmonitor")[0]["spec"] == monitor["spec"])
        namespace.kubectl("delete", "podmonitor", "qwen")
        until(lambda: len(namespace.items("podmonitor")) == 1)

        namespace.service()
        until(lambda: namespace.items("podmonitor") == [])
        until(lambda: monitored(namespace) == ("", ""))

        namespace.service(monitoring=MONITORING)
        until(lambda: len(namespace.items("podmonitor")) == 1)
        without("delete", "-f", str(crd("podmonitors")))
        until(lambda: monitored(namespace) == ("False", "PrometheusOperatorNotInstalled"))
        assert namespace.condition("emb", "qwen", "Stalled")["reason"] == ""
        assert namespace.items("controllerrevision") == [revision]  # no pod was made anew for any of it
    assert "Traceback" not in operator.log.read_text()
