"""The test cluster behaves like a cluster: devices, names, Services, shared storage, and losing a node."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cluster.archive import write_image
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.cluster

BUSYBOX = "docker.io/library/busybox:1"
NAMESPACE = "cluster-test"
NPU = "huawei.com/Ascend910"


@pytest.fixture(scope="module")
def tried(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster with an image that has a shell, and a namespace to try things in."""
    archive = tmp_path_factory.mktemp("image") / "busybox.tar"
    applets = ("sh", "httpd", "wget", "nslookup", "grep", "cat", "ls", "sleep")
    links = {f"bin/{name}": "/bin/busybox" for name in applets}
    write_image(archive, BUSYBOX, {"bin/busybox": Path("/bin/busybox")}, ["/bin/sh", "-c"], links)
    cluster.load_image(archive)
    cluster.kubectl("create", "namespace", NAMESPACE)
    yield cluster
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def pod(name: str, script: str, container: Mapping[str, object] | None = None, **spec: object) -> dict[str, object]:
    """A pod that runs ``script`` and can be stopped without waiting out its grace period."""
    main = {"name": "main", "image": BUSYBOX, "args": [script], **(container or {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}},
        "spec": {"containers": [main], "restartPolicy": "Never", "terminationGracePeriodSeconds": 0} | spec,
    }


def apply(cluster: Cluster, *objects: Mapping[str, object]) -> None:
    cluster.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def run(cluster: Cluster, *pods: str) -> list[str]:
    """Wait until these pods have succeeded; returns what they printed."""
    return [_printed(cluster, name) for name in pods]


def _printed(cluster: Cluster, name: str) -> str:
    def phase() -> str:
        path = "jsonpath={.status.phase}"
        return cluster.kubectl("-n", NAMESPACE, "get", "pod", name, "-o", path)

    wait_until(f"pod {name} has ended", lambda: phase() in ("Succeeded", "Failed"))
    printed = cluster.kubectl("-n", NAMESPACE, "logs", name)
    assert phase() == "Succeeded", printed
    return printed


def allocatable(cluster: Cluster, node: str) -> str:
    path = "jsonpath={.status.allocatable.huawei\\.com/Ascend910}"
    return cluster.kubectl("get", "node", node, "-o", path)


def test_every_node_is_ready_labelled_and_offers_its_devices(cluster: Cluster) -> None:
    nodes = json.loads(cluster.kubectl("get", "nodes", "-l", "accelerator=huawei-Ascend910", "-o", "json"))["items"]
    ready = [
        condition["status"]
        for node in nodes
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready"
    ]
    assert [node["metadata"]["name"] for node in nodes] == ["node-1", "node-2"]
    assert ready == ["True", "True"]
    assert [node["status"]["allocatable"][NPU] for node in nodes] == ["8", "8"]


def test_a_pod_with_one_device_gets_it_and_the_drivers_files(tried: Cluster) -> None:
    mounts = {
        "driver": ("/usr/local/Ascend/driver", "Directory"),
        "dcmi": ("/usr/local/dcmi", "Directory"),
        "npu-smi": ("/usr/local/bin/npu-smi", "File"),
        "install": ("/etc/ascend_install.info", "File"),
    }
    container: dict[str, object] = {
        "resources": {"limits": {NPU: "1"}},
        "volumeMounts": [{"name": name, "mountPath": path} for name, (path, _) in mounts.items()],
    }
    volumes = [{"name": name, "hostPath": {"path": path, "type": kind}} for name, (path, kind) in mounts.items()]
    script = 'echo "$ASCEND_VISIBLE_DEVICES"; ls /dev/davinci[0-9]*; npu-smi'
    apply(tried, pod("device", script, container=container, volumes=volumes))
    [printed] = run(tried, "device")
    number, device, smi = printed.splitlines()
    assert number in set("01234567")
    assert device == f"/dev/davinci{number}"
    assert "8 devices" in smi
    assert not Path("/usr/local/Ascend/driver/lib64/README").exists(), "driver files leaked to the host"


def test_a_pod_resolves_a_service_and_reaches_a_pod_on_the_other_node(tried: Cluster) -> None:
    server = pod("web", "echo served > /index.html; exec httpd -f -p 8080 -h /", nodeName="node-2")
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    # Debian's static busybox cannot fetch by name, so the name is looked up first.
    script = f"""
      name=web.{NAMESPACE}.svc.cluster.local
      until address=$(nslookup $name | grep -A1 ^Name: | grep -o '10[.].*'); do sleep 1; done
      echo $address
      until wget -q -O - http://$address/index.html; do sleep 1; done"""
    apply(tried, server, service, pod("client", script, nodeName="node-1"))
    [printed] = run(tried, "client")
    address = tried.kubectl("-n", NAMESPACE, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    assert printed.splitlines() == [address, "served"]


def test_both_nodes_see_one_shared_directory(tried: Cluster) -> None:
    directory = tried.add_volume("cluster-test")
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "shared", "namespace": NAMESPACE},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
            "volumeName": "cluster-test",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    volumes = [{"name": "shared", "persistentVolumeClaim": {"claimName": "shared"}}]
    container: dict[str, object] = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    writers = [
        pod(
            f"writer-{mine}",
            f"echo {mine} > /shared/{mine}; until cat /shared/{other}; do sleep 1; done 2> /dev/null",
            nodeName=f"node-{mine}",
            container=container,
            volumes=volumes,
            securityContext={"runAsUser": 65532, "runAsGroup": 65532},
        )
        for mine, other in ((1, 2), (2, 1))
    ]
    apply(tried, claim, *writers)
    assert run(tried, "writer-1", "writer-2") == ["2\n", "1\n"]
    assert sorted(path.name for path in directory.iterdir()) == ["1", "2"]


def test_an_unhealthy_device_is_no_longer_offered(tried: Cluster) -> None:
    node = tried.node("node-1")
    node.set_unhealthy(3)
    wait_until("node-1 offers seven devices", lambda: allocatable(tried, "node-1") == "7")
    node.set_unhealthy()
    wait_until("node-1 offers eight devices again", lambda: allocatable(tried, "node-1") == "8")


def test_a_killed_node_comes_back_and_runs_pods_again(tried: Cluster) -> None:
    tried.kill_node("node-2")
    with pytest.raises(ClusterError, match="not running"):
        tried.node("node-2").run("true")
    tried.start_node("node-2")
    tried.wait_ready()
    apply(tried, pod("after", "echo back", nodeName="node-2"))
    assert run(tried, "after") == ["back\n"]
