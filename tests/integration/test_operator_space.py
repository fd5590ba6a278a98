"""The operator on a real API server asks pods for their vectors; servers on this machine answer in the pods' place."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from embedding_operator.planning.flags import SERVER_PORT
from embedding_operator.planning.vectors import Record
from tests.cluster.controlplane import ControlPlane
from tests.integration.operating import Namespace, Object, until
from tests.integration.test_operator import Writes, comes_to_rest
from tests.operator_process import OperatorProcess

ONE = Record({"short": {"vector": "ADwAAA==", "length": 1.0}})
OTHER = Record({"short": {"vector": "AAAAPA==", "length": 1.0}})
_ADDRESSES = itertools.count(10)


@pytest.fixture
def namespace(control_plane: ControlPlane, operator: OperatorProcess) -> Namespace:
    return Namespace(control_plane.kubectl)


class Pods:
    """What a kubelet would do for the pods of a namespace; each answers with vectors of its own."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._servers: dict[str, ThreadingHTTPServer] = {}
        self.asked: list[str] = []

    def names(self) -> list[str]:
        pods = self._namespace.items("pod", "embedding-operator.io/service=qwen")
        return [pod["metadata"]["name"] for pod in pods if not pod["metadata"].get("deletionTimestamp")]

    def new(self) -> str:
        """The name of the one pod that nobody runs yet."""
        until(lambda: len(set(self.names()) - self._servers.keys()) == 1)
        (name,) = set(self.names()) - self._servers.keys()
        return name

    def run(self, name: str, record: Record, *, ready: bool) -> None:
        if name not in self._servers:
            self._serve(name, record)
        address = str(self._servers[name].server_address[0])
        told = "True" if ready else "False"
        container = {"name": "vllm", "image": "x", "imageID": "x", "restartCount": 0, "started": True, "ready": ready}
        status: Object = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": told}, {"type": "ContainersReady", "status": told}],
            "containerStatuses": [container | {"state": {"running": {}}}],
        }
        self._namespace.write_status("pod", name, status)

    def _serve(self, name: str, record: Record) -> None:
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(f"{name}{self.path}")
                body = json.dumps({"texts": record.texts}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer((f"127.0.7.{next(_ADDRESSES)}", SERVER_PORT), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        self._servers[name] = server

    def end(self) -> None:
        for server in self._servers.values():
            server.shutdown()
            server.server_close()


@pytest.fixture
def pods(namespace: Namespace) -> Iterator[Pods]:
    running = Pods(namespace)
    yield running
    running.end()


def records(namespace: Namespace) -> dict[str, Object]:
    found = namespace.items("configmap", "embedding-operator.io/embedding-space")
    return {one["metadata"]["name"]: json.loads(one["data"]["space.json"]) for one in found}


def space(namespace: Namespace) -> Object:
    status = (namespace.get("emb", "qwen") or {}).get("status") or {}
    found: Object = status.get("embeddingSpace") or {}
    return found


def serve(namespace: Namespace, pods: Pods) -> str:
    """One pod that is ready, and what it gives recorded."""
    namespace.claim()
    namespace.service(replicas=1)
    namespace.stage()
    name = pods.new()
    pods.run(name, ONE, ready=True)
    until(lambda: space(namespace) == {"id": ONE.id, "dimensions": 2})
    return name


def test_what_the_first_ready_pod_gives_is_recorded_once(
    control_plane: ControlPlane, namespace: Namespace, pods: Pods
) -> None:
    name = serve(namespace, pods)
    (recorded,) = records(namespace).values()
    assert recorded == {"policy": "Enforce", "threshold": "0.999", "texts": ONE.texts}
    until(lambda: namespace.condition("emb", "qwen")["status"] == "True")
    comes_to_rest(control_plane, namespace)
    writes, asked = Writes(control_plane, namespace), len(pods.asked)
    namespace.kubectl("annotate", "emb", "qwen", "somebody=looks")
    time.sleep(3)
    assert writes() == []
    assert len(pods.asked) == asked  # nobody is asked twice
    assert set(pods.asked) == {f"{name}/-/space"}


def test_a_record_that_was_deleted_is_made_anew_from_who_serves(namespace: Namespace, pods: Pods) -> None:
    serve(namespace, pods)
    (name,) = records(namespace)
    namespace.kubectl("delete", "configmap", name)
    until(lambda: name in records(namespace))
    assert records(namespace)[name]["texts"] == ONE.texts


def test_other_vectors_stop_the_rollout_until_somebody_accepts_them(
    operator: OperatorProcess, namespace: Namespace, pods: Pods
) -> None:
    before = serve(namespace, pods)
    namespace.service(replicas=1, runtime={"profile": "cpu", "env": [{"name": "X", "value": "1"}]})
    name = pods.new()
    pods.run(name, OTHER, ready=False)
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "EmbeddingSpaceChanged")
    message = namespace.condition("emb", "qwen")["message"]
    assert f"pod {name} gives other vectors than this service did before: the smallest cosine is 0.000000" in message
    until(lambda: "EmbeddingSpaceChanged" in namespace.kubectl("get", "events"))
    time.sleep(3)  # the Deployment's counts come after the Event
    version = (namespace.get("emb", "qwen") or {})["metadata"]["resourceVersion"]
    operator.kill()
    asked = len(pods.asked)
    operator.start()
    both = {f"{before}/-/space", f"{name}/-/space"}
    until(lambda: set(pods.asked[asked:]) == both)  # it remembers nothing of either
    time.sleep(2)
    assert (namespace.get("emb", "qwen") or {})["metadata"]["resourceVersion"] == version

    words = message.split("`")[1].removeprefix("kubectl ").split()
    namespace.kubectl(*words)
    until(lambda: space(namespace) == {"id": OTHER.id, "dimensions": 2})
    (recorded,) = records(namespace).values()
    assert recorded["texts"] == OTHER.texts
    until(lambda: namespace.condition("emb", "qwen", "Stalled")["reason"] == "")
    until(lambda: namespace.condition("emb", "qwen", "Degraded")["reason"] == "EmbeddingSpaceChanged")  # the old pod
    pods.run(name, OTHER, ready=True)
    until(lambda: namespace.condition("emb", "qwen")["status"] == "True")
    until(lambda: namespace.condition("emb", "qwen", "Degraded")["reason"] == "")


def test_other_dimensions_are_recorded_beside_those_of_before(namespace: Namespace, pods: Pods) -> None:
    serve(namespace, pods)
    (before,) = records(namespace)
    namespace.service(replicas=1, serving={"dimensions": 32})
    pods.run(pods.new(), OTHER, ready=True)
    until(lambda: space(namespace) == {"id": OTHER.id, "dimensions": 2})
    now = records(namespace)
    assert now.pop(before)["texts"] == ONE.texts
    assert [one["texts"] for one in now.values()] == [OTHER.texts]


def test_a_policy_reaches_the_record_and_rolls_nothing(namespace: Namespace, pods: Pods) -> None:
    serve(namespace, pods)
    revisions = [one["metadata"]["name"] for one in namespace.items("controllerrevision")]
    namespace.service(replicas=1, rollout={"embeddingSpace": {"policy": "Warn", "threshold": "0.95"}})
    until(lambda: [(one["policy"], one["threshold"]) for one in records(namespace).values()] == [("Warn", "0.95")])
    assert [one["metadata"]["name"] for one in namespace.items("controllerrevision")] == revisions
