"""CRDs are deleted and installed again under a running operator: it goes on as if they had never been away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from embedding_operator.api import names
from tests.cluster.controlplane import ControlPlane
from tests.integration import kinds
from tests.integration.operating import CHILDREN, Namespace, Object, end, settle, until
from tests.operator_process import OperatorProcess

SOON = 45.0  # seconds, on a slow machine; the operator lists what it has missed every 600
SERVING = ("deployment", "service", "poddisruptionbudget", "controllerrevision", "pod", "configmap")
WATCHES = ("controllers.follow", "controllers.apart")  # they tell of a watch that ended
OTHER = {"source": {"modelScope": {"repo": "Qwen/Other"}}}


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One of these tests' own: they take the kinds away."""
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture
def namespace(control_plane: ControlPlane, operator: OperatorProcess) -> Namespace:
    """One with a service that serves, by a profile of the site."""
    kinds.install_kinds(control_plane.kubectl)
    namespace = Namespace(control_plane.kubectl)
    namespace.claim()
    profile(namespace)
    namespace.service(runtime={"profile": f"site-{namespace.name}"})
    namespace.stage()
    until(lambda: namespace.get("deployment", "qwen") is not None)
    settle(namespace, "qwen")
    return namespace


def profile(namespace: Namespace) -> None:
    """A profile that users wrote: what the built-in one for CPUs says."""
    until(lambda: namespace.get("rp", "cpu") is not None)
    cpu: Object = namespace.get("rp", "cpu") or {}
    name = {"name": f"site-{namespace.name}"}
    namespace.apply({"apiVersion": cpu["apiVersion"], "kind": cpu["kind"], "metadata": name, "spec": cpu["spec"]})


def take_away(namespace: Namespace, operator: OperatorProcess, *plurals: str) -> int:
    """Delete CRDs and all objects of these kinds, and wait until the operator has noticed. Returns where in its log."""
    before = operator.log.stat().st_size
    namespace.kubectl("delete", "--wait=false", *(f"crd/{plural}.embedding-operator.io" for plural in plurals))
    until(lambda: all(f"{plural} are not served" in since(operator, before) for plural in plurals))
    return operator.log.stat().st_size


def bring_back(namespace: Namespace, operator: OperatorProcess, gone: int, *plurals: str) -> None:
    """Install them again, and wait until that is noticed, too. Nothing else was worth a line of the log."""
    kinds.install_kinds(namespace.kubectl)
    until(lambda: all(f"{plural} are served now" in since(operator, gone) for plural in plurals), SOON)
    ours = [line for line in since(operator, gone).splitlines() if " embedding_operator." in line]
    # a watch may end after the kind was missed elsewhere, and an API server say that its storage is not ready yet
    said = [line.partition(": ")[2] for line in ours if not any(module in line for module in WATCHES)]
    assert sorted(said) == sorted(f"{plural} are served now" for plural in plurals)


def since(operator: OperatorProcess, offset: int) -> str:
    return operator.log.read_bytes()[offset:].decode()


def uids(namespace: Namespace, *of: str) -> set[str]:
    """Pods of Jobs do not count: a Job of weights that are gone makes room for that of their heir."""
    return {one["metadata"]["uid"] for kind in of for one in namespace.items(kind) if not _is_of_a_job(one)}


def _is_of_a_job(obj: Object) -> bool:
    return any(owner["kind"] == "Job" for owner in obj["metadata"].get("ownerReferences") or ())


@pytest.mark.long
def test_modelcaches_come_back_and_no_pod_knows_of_it(namespace: Namespace, operator: OperatorProcess) -> None:
    before = uids(namespace, "emb", *SERVING)
    gone = take_away(namespace, operator, "modelcaches")
    bring_back(namespace, operator, gone, "modelcaches")
    until(lambda: len(namespace.items("mcache")) == 1, SOON)  # made again for the service
    namespace.stage()
    settle(namespace, "qwen")
    assert uids(namespace, "emb", *SERVING) >= before

    (cache,) = namespace.items("mcache")
    namespace.kubectl("delete", "mcache", cache["metadata"]["name"])  # and is watched
    until(lambda: uids(namespace, "mcache") not in (set(), {cache["metadata"]["uid"]}), SOON)
    namespace.apply(kinds.cache(source=OTHER["source"]))
    until(lambda: len(namespace.items("job", f"{names.CACHE_LABEL}=base")) == 1, SOON)


@pytest.mark.long
def test_profiles_come_back_and_no_pod_knows_of_it(namespace: Namespace, operator: OperatorProcess) -> None:
    before = uids(namespace, "emb", "mcache", *SERVING)
    gone = take_away(namespace, operator, "runtimeprofiles")
    bring_back(namespace, operator, gone, "runtimeprofiles")
    until(lambda: namespace.get("rp", "cpu") is not None, SOON)  # the operator's own
    profile(namespace)
    settle(namespace, "qwen")
    assert uids(namespace, "emb", "mcache", *SERVING) >= before

    namespace.kubectl("delete", "rp", "cpu")  # and is watched
    until(lambda: namespace.get("rp", "cpu") is not None, SOON)


@pytest.mark.long
def test_services_come_back_with_all_that_is_made_of_them(namespace: Namespace, operator: OperatorProcess) -> None:
    before = uids(namespace, "mcache", "pvc")
    gone = take_away(namespace, operator, "embeddingservices")
    until(lambda: namespace.children() == [])
    bring_back(namespace, operator, gone, "embeddingservices")
    namespace.service()
    until(lambda: namespace.get("deployment", "qwen") is not None, SOON)
    settle(namespace, "qwen")
    assert uids(namespace, "mcache", "pvc") == before


def test_all_go_with_files_that_are_to_be_removed_and_come_back(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    namespace.service(cache=kinds.service()["spec"]["cache"] | {"deletionPolicy": "Delete"})
    until(lambda: all(one["metadata"].get("finalizers") for one in namespace.items("mcache")))
    before = operator.log.stat().st_size
    namespace.kubectl("delete", "-f", str(kinds.CRDS), "--wait=false")
    until(lambda: "embeddingservices are not served" in since(operator, before))
    # Kubernetes' own collector looks for new kinds every 30 seconds, and does not know of these
    namespace.kubectl("delete", ",".join(CHILDREN), "-l", f"{names.MANAGED_BY_LABEL}={names.FIELD_MANAGER}")
    end(namespace, "model-cleanup", {"result": "Removed", "message": "gone"})  # as a kubelet would tell
    until(lambda: all(f"{plural} are not served" in since(operator, before) for plural in kinds.PLURALS))
    until(lambda: namespace.children() == [])
    bring_back(namespace, operator, operator.log.stat().st_size, *kinds.PLURALS)
    namespace.service()
    until(lambda: len(namespace.items("mcache")) == 1, SOON)
    namespace.stage()
    until(lambda: namespace.get("deployment", "qwen") is not None, SOON)
    settle(namespace, "qwen")
    assert [one["metadata"]["name"] for one in namespace.items("pvc")] == ["model-weights"]
    namespace.service(replicas=3)
    until(lambda: (namespace.get("deployment", "qwen") or {})["spec"]["replicas"] == 3, SOON)


def test_a_kind_that_is_away_for_a_moment_is_hardly_missed(namespace: Namespace) -> None:
    for plural in kinds.PLURALS:
        namespace.kubectl("delete", f"crd/{plural}.embedding-operator.io")
        kinds.install_kinds(namespace.kubectl)
    until(lambda: namespace.get("rp", "cpu") is not None, SOON)
    namespace.service()
    until(lambda: len(namespace.items("mcache")) == 1, SOON)
    namespace.stage()
    until(lambda: namespace.get("deployment", "qwen") is not None, SOON)
    settle(namespace, "qwen")
