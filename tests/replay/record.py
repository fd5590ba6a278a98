"""`python -m tests.replay.record`: runs the operator through a busy run and writes anew what its watches showed.

The control plane is real and lives on loopback; nothing but the recording is left. It takes a few minutes, and is
needed only when manifests or kinds have changed so much that the old recording is none of theirs any more.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from pathlib import Path

from embedding_operator.controllers.watch import WATCHED, selector_of
from embedding_operator.kube.resources import CLAIMS, HTTP_ROUTES, POD_MONITORS, Resource
from tests.cluster.controlplane import ControlPlane
from tests.cluster.waiting import wait_until
from tests.integration.kinds import install_kinds
from tests.operator_process import OperatorProcess
from tests.replay.busyrun import busy_run
from tests.replay.kubelet import Kubelet
from tests.replay.recording import FILE, Event, write
from tests.replay.wire import Object, Wire

_QUIET = 5.0  # seconds without news: the run is over
_RECORDED = tuple(one for one in WATCHED if one not in (HTTP_ROUTES, POD_MONITORS))  # most clusters are without


class Watches:
    """One watch for each kind that the operator watches, with its selectors; of claims, users' too."""

    def __init__(self, wire: Wire) -> None:
        self.events: list[Event] = []
        self.over = False
        self._wire = wire
        self._last = time.monotonic()
        for resource in _RECORDED:
            threading.Thread(target=self._watch, args=(resource,), daemon=True).start()

    def wait_until_quiet(self) -> None:
        while time.monotonic() < self._last + _QUIET:
            time.sleep(0.5)

    def _watch(self, resource: Resource) -> None:
        selector = selector_of(resource) if resource != CLAIMS else ""
        path = f"{resource.path(None)}?watch=1&labelSelector={selector.replace('=', '%3D')}"
        try:
            for line in self._wire.lines(path):
                self._last = time.monotonic()
                event = json.loads(line)
                self.events.append(Event(event["type"], event["object"]))
        except OSError:
            if not self.over:
                raise


def record(directory: Path) -> None:
    with ControlPlane(directory / "control-plane") as control_plane:
        install_kinds(control_plane.kubectl)
        wire = Wire(control_plane)
        for resource in _RECORDED:
            wait_until(f"{resource.plural} are served", lambda resource=resource: wire.serves(resource.path(None)))
        watches = Watches(wire)
        with OperatorProcess(control_plane.kubeconfig, directory), Kubelet(wire) as kubelet:
            namespaces = busy_run(control_plane.kubectl, kubelet)
            watches.wait_until_quiet()
            watches.over = True
        events = sorted(watches.events, key=lambda event: event.version)
    names = dict(zip(namespaces, ("search", "shop"), strict=True))
    write([Event(event.type, _needed(event.object, names)) for event in events])
    print(f"{len(events)} events, {FILE.stat().st_size} bytes")


def _needed(obj: Object, names: dict[str, str]) -> Object:
    """Without what the operator never looks at, and with names that are the same in each recording."""
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    metadata["annotations"] = {
        name: text for name, text in (metadata.get("annotations") or {}).items() if not name.startswith("kubectl.")
    }
    text = json.dumps(obj | {"metadata": metadata})
    for name, plain in names.items():
        text = text.replace(name, plain)
    needed: Object = json.loads(text)
    return needed


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        record(Path(directory))
