"""The rights of install.yaml are those that the operator uses: a tour of all that it does, told by the audit log."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.manifests import NAMESPACE
from embedding_operator.planning.profiles import CPU
from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.installed import RIGHTS, install, operator_of
from tests.integration.kinds import benchmark, install_kinds
from tests.integration.operating import Namespace, Object, until
from tests.integration.test_jobs import SPLIT, end, wiki
from tests.integration.test_jobs import pods as pods_of_job
from tests.integration.test_operator_troubles import device, kubelet_says, pods, serve
from tests.operator_process import OperatorProcess
from tests.rights import OPERATOR, Right, events, granted, trespasses, used

GROUP = "embedding-operator.io"
GATEWAY = {"parentRefs": [{"name": "public"}]}
POLICY: Object = {"from": []}
MONITORING = {"podMonitor": True}
# What no request needs: the API server asks for it where the plugin OwnerReferencesPermissionEnforcement is on.
# Deletion is asked for where an owner is put back (tests/integration/test_children.py).
ASKED_IN_ADMISSION = {
    *(
        Right(GROUP, f"{plural}/finalizers", "update")
        for plural in ("embeddingservices", "embeddingjobs", "modelcaches", "embeddingbenchmarks")
    ),
    Right("apps", "deployments", "delete"),
    Right("", "services", "delete"),
}
# What only a watch that lags behind makes it ask for: an answer spoke of an object that it does not know.
ASKED_IN_A_RACE = {Right(GROUP, "modelcaches", "get"), Right(GROUP, "embeddingbenchmarks", "get")}
# Children that are found by name, each with a service whose child of this kind somebody else has made.
TAKEN: dict[str, Object] = {
    "service": {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80}]}},
    "deployment": {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "a", "image": "a"}]},
            },
        },
    },
    "budget": {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": {"maxUnavailable": 1}},
    "policy": {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {"podSelector": {}}},
    "route": {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "spec": {}},
    "monitor": {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "spec": {"selector": {}, "podMetricsEndpoints": []},
    },
}


class Tour:
    """An operator at work, and what it has used by now. It works in `namespaces`, or in all."""

    def __init__(
        self, control_plane: ControlPlane, profiles: Path, user: str = OPERATOR, namespaces: Iterable[str] = ()
    ) -> None:
        self.control_plane, self.profiles, self.user = control_plane, profiles, user
        self._namespaces = iter(namespaces)
        self._began = control_plane.audit_log.stat().st_size

    def log(self) -> Iterator[dict[str, Any]]:
        return events(self.control_plane.audit_log, self._began)

    def uses(self, group: str, resource: str, verb: str) -> None:
        until(lambda: Right(group, resource, verb) in used(self.log(), self.user))

    def namespace(self) -> Namespace:
        namespace = Namespace(self.control_plane.kubectl, next(self._namespaces, ""))
        namespace.claim()
        return namespace


def of_stranger(namespace: Namespace, manifest: Object, name: str) -> None:
    namespace.apply(manifest | {"metadata": {"name": name}})


def stalls(namespace: Namespace, service: str) -> None:
    until(lambda: namespace.condition("emb", service, "Stalled")["reason"] == "NameTaken")


def names_that_are_taken(tour: Tour) -> str:
    """Returns the name of the scripts, which is a hash."""
    namespace = tour.namespace()
    for name, manifest in TAKEN.items():
        of_stranger(namespace, manifest, name)
        namespace.service(name, exposure={"gateway": GATEWAY, "networkPolicy": POLICY}, monitoring=MONITORING)
    namespace.service("first")
    namespace.stage()
    for name in TAKEN:
        stalls(namespace, name)
    until(lambda: namespace.condition("emb", "first")["reason"] == "Starting")
    (revision,) = namespace.items("controllerrevision", "embedding-operator.io/service=first")
    (scripts,) = namespace.items("configmap", "embedding-operator.io/scripts=true")
    namespace.kubectl("delete", "emb", "first", "--cascade=foreground")
    name = revision["metadata"]["name"]
    of_stranger(namespace, {"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1, "data": {}}, name)
    namespace.service("first")
    stalls(namespace, "first")
    namespace.kubectl("delete", "emb", "--all")
    tour.uses("", "configmaps", "delete")  # nobody needs the scripts any more
    return str(scripts["metadata"]["name"])


def a_name_of_the_scripts_that_is_taken(tour: Tour, name: str) -> None:
    namespace = tour.namespace()
    of_stranger(namespace, {"apiVersion": "v1", "kind": "ConfigMap"}, name)
    namespace.service()
    namespace.stage()
    stalls(namespace, "qwen")


def staging_for_another_user_and_a_taken_job(tour: Tour) -> None:
    def service(user: int) -> None:
        namespace.service(cache={"claimName": "model-weights", "securityContext": {"runAsUser": user}})

    namespace = tour.namespace()
    service(1000)
    until(lambda: len(namespace.items("job")) == 1)
    (job,) = namespace.items("job")
    service(1001)
    tour.uses("batch", "jobs", "delete")
    other = tour.namespace()
    template = {"spec": {"containers": [{"name": "a", "image": "a"}], "restartPolicy": "Never"}}
    of_stranger(
        other, {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": template}}, job["metadata"]["name"]
    )
    other.service(cache={"claimName": "model-weights", "securityContext": {"runAsUser": 1000}})
    tour.uses("batch", "jobs", "get")


def a_whole_life(tour: Tour) -> None:
    """All children come and go, and at last the weights."""
    namespace = tour.namespace()
    cache = {"claimTemplate": {"size": "1Gi"}, "deletionPolicy": "Delete", "ttlAfterUnused": "1s"}
    namespace.service(cache=cache, exposure={"gateway": GATEWAY, "networkPolicy": POLICY}, monitoring=MONITORING)
    namespace.stage()
    until(lambda: namespace.condition("emb", "qwen")["reason"] == "Starting")
    namespace.service(cache=cache, replicas=1, rollout={"revisionHistoryLimit": 0}, serving={"maxModelLen": 512})
    for group, resource in (
        ("policy", "poddisruptionbudgets"),
        ("networking.k8s.io", "networkpolicies"),
        ("gateway.networking.k8s.io", "httproutes"),
        ("monitoring.coreos.com", "podmonitors"),
    ):
        tour.uses(group, resource, "delete")
    namespace.kubectl("delete", "rs", "--all")  # the Deployment controller makes that of the newest revision again
    namespace.kubectl("delete", "pods", "--all", "--force")
    tour.uses("apps", "controllerrevisions", "delete")
    namespace.kubectl("delete", "emb", "qwen")
    tour.uses(GROUP, "modelcaches", "delete")


def an_unhealthy_device(tour: Tour) -> None:
    namespace = tour.namespace()
    serve(namespace)
    until(lambda: len(pods(namespace)) == 2)
    ill, well = pods(namespace)
    kubelet_says(namespace, ill, **device("Unhealthy"))
    kubelet_says(namespace, well)
    until(lambda: len(pods(namespace)) == 3)
    known = {ill["metadata"]["uid"], well["metadata"]["uid"]}
    (new,) = [pod for pod in pods(namespace) if pod["metadata"]["uid"] not in known]
    kubelet_says(namespace, new)
    tour.uses("", "pods/eviction", "create")


def a_benchmark_of_nothing(tour: Tour) -> None:
    tour.namespace().apply(benchmark())
    tour.uses(GROUP, "embeddingbenchmarks/status", "patch")


def a_job_that_ends(tour: Tour) -> None:
    namespace = tour.namespace()
    namespace.apply(wiki(ttlSecondsAfterFinished=1))
    namespace.stage()
    end(namespace, "split", SPLIT)
    until(lambda: len(pods_of_job(namespace, "work")) == 2)
    namespace.kubectl("patch", "embjob", "wiki", "--type=merge", "-p", '{"spec": {"parallelism": 3}}')
    tour.uses("batch", "jobs", "patch")
    end(namespace, "work", None, 3, count=2)
    tour.uses(GROUP, "embeddingjobs", "delete")


def the_same_told_twice(tour: Tour) -> None:
    namespace = tour.namespace()
    for profile in ("none", "cpu", "none"):
        namespace.service(runtime={"profile": profile})
        until(lambda profile=profile: is_stalled(namespace) is (profile == "none"))
    tour.uses("events.k8s.io", "events", "patch")


def is_stalled(namespace: Namespace) -> bool:
    told = namespace.condition("emb", "qwen", "Stalled")["reason"] == "ProfileNotFound"
    status = (namespace.get("emb", "qwen") or {}).get("status") or {}
    generation = (namespace.get("emb", "qwen") or {})["metadata"]["generation"]
    return told if status.get("observedGeneration") == generation else not told


def profiles_of_the_site(tour: Tour) -> None:
    kubectl = tour.control_plane.kubectl
    name = yaml.safe_load(tour.profiles.read_text())["metadata"]["name"]
    until(lambda: bool(kubectl("get", "rp", name, "--ignore-not-found")))
    kubectl("annotate", "rp", "ascend-950", "somebody=was-here", "--overwrite")
    kubectl("patch", "rp", name, "--type=merge", "-p", '{"spec": {"serving": {"dtype": "BFloat16"}}}')
    tour.uses(GROUP, "runtimeprofiles", "update")
    kubectl("delete", "rp", "ascend-950")
    tour.uses(GROUP, "runtimeprofiles", "create")


def travel(tour: Tour, run: Callable[[str], OperatorProcess]) -> frozenset[Right]:
    """Have it do all that it does. Returns the rights that it took."""
    with run("operator") as operator:
        profiles_of_the_site(tour)
        the_same_told_twice(tour)
        a_benchmark_of_nothing(tour)
        scripts = names_that_are_taken(tour)
        a_name_of_the_scripts_that_is_taken(tour, scripts)
        staging_for_another_user_and_a_taken_job(tour)
        an_unhealthy_device(tour)
        a_job_that_ends(tour)
        a_whole_life(tour)
        with run("standby"):
            tour.uses("coordination.k8s.io", "leases", "watch")
    assert "Traceback" not in operator.log.read_text()
    assert trespasses(tour.log()) == []
    return used(tour.log(), tour.user)


def site_in(directory: Path) -> Path:
    """A directory with a profile."""
    site = directory / "profiles"
    site.mkdir()
    name = f"tour-{secrets.token_hex(4)}"
    (site / "site.yaml").write_text(yaml.safe_dump(CPU | {"metadata": {"name": name}}))
    return site


@pytest.mark.usefixtures("gateway_api", "pod_monitors")
def test_a_tour_of_all_that_the_operator_does_uses_its_rights_and_no_others(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    install_kinds(control_plane.kubectl)
    site = site_in(tmp_path)
    tour = Tour(control_plane, site / "site.yaml")
    # that of an operator of another test, so that this one makes its own
    control_plane.kubectl("delete", "lease", "--all", "--namespace", NAMESPACE, "--ignore-not-found")
    in_use = travel(tour, lambda name: operator_of(control_plane, tmp_path, f"--profiles={site}", name=name))
    assert in_use <= granted()
    assert granted() - in_use - ASKED_IN_A_RACE == ASKED_IN_ADMISSION


@pytest.mark.parametrize("kind", ["EmbeddingService", "EmbeddingJob", "ModelCache", "EmbeddingBenchmark"])
def test_owners_that_are_guarded_are_named_by_who_may_finalize_them(control_plane: ControlPlane, kind: str) -> None:
    """The right that no request needs: the API server of all tests asks for it, as those of some clusters do."""
    kubectl = control_plane.kubectl
    install(kubectl, *RIGHTS)
    install_kinds(kubectl)
    somebody = f"somebody-{secrets.token_hex(4)}"
    kubectl("create", "clusterrole", somebody, "--resource=configmaps", "--verb=create")
    kubectl("create", "clusterrolebinding", somebody, f"--clusterrole={somebody}", f"--user={somebody}")
    owner = {"apiVersion": f"{GROUP}/v1alpha1", "kind": kind, "name": "x", "uid": "x", "blockOwnerDeletion": True}
    child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "ownerReferences": [owner]}}

    def refusal(user: str) -> str:
        try:
            kubectl(f"--as={user}", "create", "--dry-run=server", "-f", "-", input=json.dumps(child))
        except ClusterError as error:
            return str(error)
        return ""

    until(lambda: "cannot create resource" not in refusal(somebody))
    assert "cannot set blockOwnerDeletion" in refusal(somebody)
    assert refusal(OPERATOR) == ""
