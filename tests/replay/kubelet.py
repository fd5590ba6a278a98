"""What nodes would do, where there are none: binds pods, lets them run, and ends those of Jobs with a message.

Only pod statuses are written, as a kubelet writes them; Jobs, ReplicaSets and Deployments are counted by the real
controller manager.
"""

from __future__ import annotations

import threading
import time
import urllib.error
from collections import defaultdict
from datetime import UTC, datetime

from embedding_operator.api import names
from tests.integration.operating import is_ready
from tests.replay.lastwords import DONE, last_words, subject_of
from tests.replay.wire import Object, Wire

NODES = ("node-a", "node-b")


class Kubelet:
    """`ends` says by their subject how the next pods of Jobs end (lastwords.py); those of `held` go on running."""

    def __init__(self, wire: Wire) -> None:
        self.ends: defaultdict[str, list[str]] = defaultdict(list)
        self.held: set[str] = set()
        self.sick: set[str] = set()  # names of services whose containers keep ending
        self._wire = wire
        self._rounds: defaultdict[str, int] = defaultdict(int)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Kubelet:
        for name in NODES:
            self._wire("POST", "/api/v1/nodes", {"metadata": {"name": name}})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        beat = 0.0
        while not self._stop.wait(0.3):
            if time.monotonic() > beat + 5:
                beat = time.monotonic()
                self._beat()
            for pod in self._wire("GET", "/api/v1/pods")["items"]:
                try:
                    self._look(pod)
                except urllib.error.HTTPError as error:
                    if error.code not in (404, 409):  # gone, or changed in between: the next round sees it
                        raise

    def _beat(self) -> None:
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": _now()}
        for name in NODES:
            self._wire("PATCH", f"/api/v1/nodes/{name}/status", {"status": {"conditions": [ready]}})

    def _look(self, pod: Object) -> None:
        metadata, status = pod["metadata"], pod.get("status") or {}
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        self._rounds[metadata["uid"]] += 1
        if metadata.get("deletionTimestamp"):
            self._wire("DELETE", path, {"gracePeriodSeconds": 0})
        elif not pod["spec"].get("nodeName"):
            node = NODES[sum(self._rounds.values()) % 2]
            target = {"apiVersion": "v1", "kind": "Node", "name": node}
            self._wire("POST", f"{path}/binding", {"metadata": {"name": metadata["name"]}, "target": target})
        elif status.get("phase") == "Pending":
            self._say(path, pod, {"running": {"startedAt": _now()}}, "Running")
        elif status.get("phase") == "Running":
            self._go_on(path, pod)

    def _go_on(self, path: str, pod: Object) -> None:
        if self._rounds[pod["metadata"]["uid"]] < 4:
            return
        service = pod["metadata"]["labels"].get(names.SERVICE_LABEL)
        sick = service in self.sick
        if service is None:
            self._end(path, pod)
        elif sick != ("waiting" in pod["status"]["containerStatuses"][0]["state"]) or not (sick or is_ready(pod)):
            waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}}
            self._say(path, pod, waiting if sick else {"running": {"startedAt": _now()}}, "Running", ready=not sick)

    def _end(self, path: str, pod: Object) -> None:
        subject = subject_of(pod)
        if subject in self.held:
            return
        code, message = last_words(pod, self.ends[subject].pop(0) if self.ends[subject] else DONE)
        ended = {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "message": message}
        ended |= {"startedAt": _now(), "finishedAt": _now()}
        self._say(path, pod, {"terminated": ended}, "Succeeded" if code == 0 else "Failed")

    def _say(self, path: str, pod: Object, state: Object, phase: str, *, ready: bool = False) -> None:
        told = _told(pod["spec"]["containers"][0]) | {"ready": ready, "state": state}
        over = "terminated" in state
        served = {"terminated": {"exitCode": 0, "reason": "Completed"}} if over else state
        beside = [_told(one) | {"ready": not over, "started": not over, "state": served} for one in _sidecars(pod)]
        condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": _now()}
        scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": _now()}
        status = {"phase": phase, "conditions": [scheduled, condition], "containerStatuses": [told]}
        status |= {"initContainerStatuses": beside} if beside else {}
        self._wire("PATCH", f"{path}/status", {"status": status})


def _told(container: Object) -> Object:
    return {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}


def _sidecars(pod: Object) -> list[Object]:
    """The server beside the driver of a worker, which ends when the driver has."""
    return [one for one in pod["spec"].get("initContainers") or () if one.get("restartPolicy") == "Always"]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
