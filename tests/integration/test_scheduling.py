"""Where pods may run, as the API server takes it: what users write, and what is made of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl
from tests.integration.kinds import Manifest, as_yaml, install_kinds, service
from tests.unit.planning import given

NAMESPACE = "scheduling"
EVERY_WORD = {
    "topologyKey": "topology.kubernetes.io/zone",
    "maxSkew": 2,
    "whenUnsatisfiable": "DoNotSchedule",
    "minDomains": 3,
    "nodeAffinityPolicy": "Honor",
    "nodeTaintsPolicy": "Honor",
    "labelSelector": {"matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "Exists"}]},
    "matchLabelKeys": ["embedding-operator.io/service"],
}


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    install_kinds(control_plane.kubectl)
    control_plane.kubectl("create", "namespace", NAMESPACE)
    return control_plane.kubectl


def create(kubectl: Kubectl, manifest: Manifest) -> str:
    arguments = ("create", "-n", NAMESPACE, "--dry-run=server", "--validate=strict", "-f", "-")
    return kubectl(*arguments, input=as_yaml(manifest))


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ([{"topologyKey": "rack", "minDomains": 2}], "minDomains needs whenUnsatisfiable: DoNotSchedule"),
        ([{"topologyKey": "rack", "matchLabelKeys": ["a"]}], "matchLabelKeys belong to a labelSelector of yours"),
        ([{"topologyKey": "rack"}, {"topologyKey": "rack", "maxSkew": 2}], "Duplicate value"),
        ([{"maxSkew": 2}], "topologyKey: Required value"),
        ([{"topologyKey": "rack", "whenUnsatisfiable": "Never"}], 'supported values: "DoNotSchedule"'),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write(kubectl: Kubectl, constraints: Any, message: str) -> None:
    with pytest.raises(ClusterError) as refused:
        create(kubectl, service(scheduling__topologySpread=constraints))
    assert message in str(refused.value)


@pytest.mark.parametrize("constraints", [[], [EVERY_WORD], [{"topologyKey": "rack"}, EVERY_WORD]])
def test_what_is_written_is_accepted_and_so_are_the_pods_that_come_of_it(kubectl: Kubectl, constraints: Any) -> None:
    scheduling = {
        "topologySpread": constraints,
        "nodeSelector": {"rack": "r1"},
        "tolerations": [{"key": "npu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}],
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 50, "podAffinityTerm": {"topologyKey": "rack", "labelSelector": {}}}
                ]
            }
        },
        "priorityClassName": "serving",
        "schedulerName": "volcano",
    }
    assert "created" in create(kubectl, service(scheduling=scheduling))
    planned = given.plan(given.service(scheduling=scheduling), given.seen(cache=given.cache()))
    deployment = given.child(planned, "Deployment")
    deployment["metadata"] = {"name": "qwen", "namespace": NAMESPACE}
    assert "created" in create(kubectl, deployment)
