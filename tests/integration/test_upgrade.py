"""An upgrade of the operator restarts nothing: what older versions left, and the present one on the same API server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from embedding_operator import podscripts
from embedding_operator.planning.scripts import config_map_name
from tests.changed_operator import VARIABLE
from tests.cluster.controlplane import ControlPlane
from tests.installed import operator_of
from tests.integration.kinds import install_kinds
from tests.integration.operating import Namespace, settle, until
from tests.integration.upgrade.restore import RECORDS, restore
from tests.integration.upgrade.services import NAMES

Object = dict[str, Any]


class Upgraded(NamedTuple):
    """A namespace of an older version, and what ran there before the present one was started."""

    record: Path
    namespace: Namespace
    before: Object


OLDEST_IN_CI = [
    pytest.param(record, marks=[pytest.mark.long] if number else [], id=record.stem)
    for number, record in enumerate(RECORDS)
]


@pytest.fixture(scope="module", params=OLDEST_IN_CI)
def upgraded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    """A control plane of its own: profiles have no namespace, and these are those of that time."""
    directory = tmp_path_factory.mktemp("upgrade")
    with ControlPlane(directory / "control-plane") as control_plane:
        install_kinds(control_plane.kubectl)
        namespace = Namespace(control_plane.kubectl)
        restore(request.param, namespace)
        before = what_runs(namespace)
        with operator_of(control_plane, directory) as operator:
            look(namespace, *NAMES)
            yield Upgraded(request.param, namespace, before)
        assert "Traceback" not in operator.log.read_text()


def what_runs(namespace: Namespace) -> Object:
    """The pods, what they are made of, and what they refer to."""
    return {
        "pods": {one["metadata"]["name"]: one["metadata"]["uid"] for one in namespace.items("pod")},
        "templates": {one["metadata"]["name"]: one["spec"]["template"] for one in namespace.items("deployment")},
        "replica sets": {one["metadata"]["name"]: one["metadata"]["uid"] for one in namespace.items("replicaset")},
        "revisions": {
            one["metadata"]["name"]: (one["metadata"]["uid"], one["revision"], one["data"])
            for one in namespace.items("controllerrevision")
        },
        "scripts": {one["metadata"]["name"]: one["metadata"]["uid"] for one in scripts(namespace)},
    }


def scripts(namespace: Namespace) -> list[Object]:
    return namespace.items("configmap", "embedding-operator.io/scripts")


def look(namespace: Namespace, *names: str) -> None:
    """See to it that the operator has looked at these services, and had time for a second thought."""
    for name in names:
        namespace.kubectl("delete", "service", name)
    for name in names:
        until(lambda name=name: namespace.get("service", name) is not None)  # type: ignore[misc]
    time.sleep(5)


def test_there_are_records_of_older_versions_with_other_scripts() -> None:
    """Where nothing has changed since, nothing is shown."""
    present = config_map_name(podscripts.sources())
    assert RECORDS
    for record in RECORDS:
        objects = list(yaml.safe_load_all(record.read_text()))
        assert present not in {one["metadata"]["name"] for one in objects}


def test_no_pod_is_restarted_and_nothing_that_it_is_made_of_is_touched(upgraded: Upgraded) -> None:
    after = what_runs(upgraded.namespace)
    for what, before in upgraded.before.items():
        assert after[what] == before, what


@pytest.mark.parametrize("name", NAMES)
def test_the_status_is_that_of_a_service_at_rest(upgraded: Upgraded, name: str) -> None:
    """The weights are those that it serves, and the profile, which nobody edited, is the one that it knows."""
    until(lambda: upgraded.namespace.condition("emb", name)["reason"] == "Serving")
    assert upgraded.namespace.condition("emb", name, "UpdateAvailable")["status"] == ""
    assert upgraded.namespace.condition("emb", name, "Stalled")["status"] == ""


def test_built_in_profiles_that_exist_stay_as_they_were(upgraded: Upgraded) -> None:
    recorded = {
        one["metadata"]["name"]: one["spec"]
        for one in yaml.safe_load_all(upgraded.record.read_text())
        if one["kind"] == "RuntimeProfile"
    }
    now = {one["metadata"]["name"]: one["spec"] for one in upgraded.namespace.items("rp")}
    assert {name: now[name] for name in recorded} == recorded
    assert {"ascend-310p", "ascend-910b", "ascend-950", "ascend-a3", "cpu"} <= now.keys()  # those that were missing


def test_more_replicas_are_of_the_same_making(upgraded: Upgraded) -> None:
    namespace, before = upgraded.namespace, upgraded.before
    namespace.kubectl("scale", "emb/tuned", "--replicas=3")
    until(lambda: (namespace.get("deployment", "tuned") or {})["spec"]["replicas"] == 3)
    settle(namespace, "tuned")
    assert what_runs(namespace)["templates"] == before["templates"]
    assert what_runs(namespace)["pods"].items() > before["pods"].items()


def test_the_next_change_of_a_spec_renders_with_the_present_version_and_rolls_that_service_alone(
    upgraded: Upgraded,
) -> None:
    namespace, before = upgraded.namespace, upgraded.before
    namespace.kubectl("patch", "emb", "small", "--type=merge", "-p", '{"spec": {"serving": {"maxModelLen": 128}}}')

    def pods_of_small() -> set[str]:
        found = namespace.items("pod", "embedding-operator.io/service=small")
        return {one["metadata"]["name"] for one in found if not one["metadata"].get("deletionTimestamp")}

    def is_rolled() -> bool:
        settle(namespace, "small")
        return not pods_of_small() & before["pods"].keys()

    until(lambda: what_runs(namespace)["templates"]["small"] != before["templates"]["small"])
    until(is_rolled)
    after = what_runs(namespace)
    volumes = after["templates"]["small"]["spec"]["volumes"]
    assert config_map_name(podscripts.sources()) in [(one.get("configMap") or {}).get("name") for one in volumes]
    assert before["scripts"].keys() < after["scripts"].keys()  # the older ones stay for those that have them
    for name in ("shared", "tuned"):
        assert after["templates"][name] == before["templates"][name]
    assert after["pods"].keys() >= {name for name in before["pods"] if not name.startswith("small-")}


def test_the_next_version_restarts_nothing_either_and_so_does_the_way_back(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    """Templates, scripts, a default and built-in profiles of the next one are others (tests/changed_operator.py)."""
    install_kinds(control_plane.kubectl)
    namespace = Namespace(control_plane.kubectl)
    namespace.claim()
    with operator_of(control_plane, tmp_path):
        namespace.service()
        namespace.stage()
        until(lambda: namespace.get("deployment", "qwen") is not None)
        settle(namespace, "qwen")
    before = what_runs(namespace)
    with operator_of(control_plane, tmp_path, name="next", module="tests.changed_operator"):
        look(namespace, "qwen")
        assert what_runs(namespace) == before
        namespace.service("new")  # so it is another version
        until(lambda: namespace.get("deployment", "new") is not None)
        assert VARIABLE in json.dumps(what_runs(namespace)["templates"]["new"])
        settle(namespace, "new")
    both = what_runs(namespace)
    with operator_of(control_plane, tmp_path, name="back"):
        look(namespace, "qwen", "new")
        assert what_runs(namespace) == both
