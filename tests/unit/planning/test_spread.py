"""Over what replicas are spread."""

from typing import Any

from tests.unit.planning import given

OWN = {"matchLabels": {"embedding-operator.io/service": "qwen"}}


def spread(**scheduling: Any) -> Any:
    planned = given.plan(given.service(scheduling=scheduling), given.seen(cache=given.cache()))
    pod = given.child(planned, "Deployment")["spec"]["template"]["spec"]
    return pod.get("topologySpreadConstraints")


def test_over_nodes_as_far_as_there_is_room_where_nothing_is_said() -> None:
    assert spread() == [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": OWN,
            "matchLabelKeys": ["pod-template-hash"],
        }
    ]


def test_what_a_service_says_replaces_that_and_what_it_leaves_out_is_filled_in() -> None:
    zones = {"topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 2}
    racks = {"topologyKey": "rack", "maxSkew": 3, "nodeTaintsPolicy": "Honor", "nodeAffinityPolicy": "Ignore"}
    counted = {"labelSelector": OWN, "matchLabelKeys": ["pod-template-hash"]}
    assert spread(topologySpread=[zones, racks]) == [
        {"maxSkew": 1, **counted, **zones},
        {"whenUnsatisfiable": "ScheduleAnyway", **counted, **racks},
    ]


def test_who_says_which_pods_count_means_those_of_all_revisions() -> None:
    all_servers = {"topologyKey": "rack", "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "vllm"}}}
    (constraint,) = spread(topologySpread=[all_servers])
    assert "matchLabelKeys" not in constraint
    assert constraint["labelSelector"] == all_servers["labelSelector"]
    kept = {**all_servers, "matchLabelKeys": ["team"]}
    assert spread(topologySpread=[kept])[0]["matchLabelKeys"] == ["team"]


def test_an_empty_list_spreads_over_nothing() -> None:
    assert spread(topologySpread=[]) is None
