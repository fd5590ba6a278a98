"""Records what the operator of an earlier commit makes: `python -m tests.integration.upgrade.record COMMIT`.

That commit's own code runs, with its own CRDs and its own locked packages, on a real control plane. What it leaves
there goes into `DATE-COMMIT.yaml` beside this file, and its chart into `charts/`: the tests of upgrades need no history
of the repository.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.binaries import ensure_binaries
from tests.cluster.controlplane import ControlPlane
from tests.integration.operating import Namespace, make_ready, until
from tests.integration.upgrade.services import CACHE, FIRST_SMALL, NAMES, SERVICES
from tests.ports import free_ports

Object = dict[str, Any]
HERE = Path(__file__).parent
ROOT = HERE.parents[2]
OURS = "app.kubernetes.io/managed-by=embedding-operator"
KINDS = ("configmap", "controllerrevision", "service", "deployment", "poddisruptionbudget")


def main(commit: str) -> None:
    short = subprocess.check_output(["git", "-C", ROOT, "rev-parse", "--short=7", commit], text=True).strip()
    with tempfile.TemporaryDirectory() as directory:
        source = unpacked(commit, Path(directory) / "source")
        python = with_its_packages(source, Path(directory) / "venv")
        with ControlPlane(Path(directory) / "control-plane") as control_plane:
            control_plane.kubectl("apply", "-f", str(source / "crds"))
            control_plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
            with running(python, source, control_plane.kubeconfig):
                left = make(Namespace(control_plane.kubectl))
        date = subprocess.check_output(["git", "-C", ROOT, "show", "-s", "--format=%cs", commit], text=True).strip()
        package(source / "charts" / "embedding-operator", HERE / "charts" / f"{date}-{short}.tgz")
    origin = f"# What the operator of commit {short} ({date}) left of tests/integration/upgrade/services.py.\n"
    (HERE / f"{date}-{short}.yaml").write_text(origin + yaml.safe_dump_all(left, sort_keys=False, width=110))


def unpacked(commit: str, directory: Path) -> Path:
    parts = ["operator", "crds", "charts", "requirements.lock"]
    archive = subprocess.check_output(["git", "-C", ROOT, "archive", commit, *parts])
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(directory, filter="data")
    return directory


def package(chart: Path, target: Path) -> None:
    helm = ensure_binaries(["helm"])["helm"]
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([helm, "package", chart, "--destination", directory], check=True)
        (made,) = Path(directory).iterdir()
        shutil.move(made, target)


def with_its_packages(source: Path, directory: Path) -> Path:
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    lock = source / "requirements.lock"
    subprocess.run([python, "-m", "pip", "install", "-q", "--require-hashes", "-r", lock], check=True)
    return python


@contextmanager
def running(python: Path, source: Path, kubeconfig: Path) -> Iterator[None]:
    (port,) = free_ports(1)
    command = [python, "-m", "embedding_operator.cli", "run", f"--kubeconfig={kubeconfig}", "--image=none:1"]
    env = os.environ | {"PYTHONPATH": str(source / "operator"), "PYTHONSAFEPATH": "1"}
    process = subprocess.Popen([*command, f"--health-port={port}"], env=env, cwd=source)
    try:
        until(lambda: _is_ready(port))
        yield
    finally:
        process.terminate()
        process.wait(60)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def make(namespace: Namespace) -> list[Object]:
    """Make the services, see them served, and return all that there is."""
    until(lambda: namespace.get("rp", "cpu") is not None)
    namespace.claim()
    namespace.apply(CACHE)
    for service in (FIRST_SMALL, *SERVICES[1:]):
        namespace.apply(service)
    until(lambda: len(namespace.items("modelcache")) == len(NAMES))
    for cache in namespace.items("modelcache"):
        staged(namespace, cache["metadata"]["name"])
    until(lambda: len(namespace.items("deployment")) == len(NAMES))
    namespace.apply(SERVICES[0])
    until(lambda: len(namespace.items("controllerrevision")) == len(NAMES) + 1)
    until(lambda: all(serves(namespace, name) for name in NAMES))
    children = [one for kind in KINDS for one in applied(namespace, kind)]
    roots = [one for kind in ("runtimeprofile", "modelcache", "embeddingservice") for one in namespace.items(kind)]
    return [*map(as_written, roots), *map(as_applied, children)]


def applied(namespace: Namespace, kind: str) -> list[Object]:
    text = namespace.kubectl("get", kind, "-l", OURS, "-o", "json", "--show-managed-fields")
    found: list[Object] = json.loads(text)["items"]
    return found


def staged(namespace: Namespace, cache: str) -> None:
    commit = (cache.encode().hex() + "0" * 40)[:40]
    status = {
        "path": f"modelscope/{cache}/{commit}",
        "digest": "sha256:" + (cache.encode().hex() + "0" * 64)[:64],
        "revision": commit,
        "files": 3,
        "bytes": 100,
    }
    namespace.write_status("modelcache", cache, status)


def serves(namespace: Namespace, service: str) -> bool:
    make_ready(namespace, service)
    return bool(namespace.condition("emb", service)["reason"] == "Serving")


def as_written(obj: Object) -> Object:
    """An object of our own kinds, without what an API server fills in."""
    metadata = {key: value for key, value in obj["metadata"].items() if key in ("name", "labels", "annotations")}
    metadata.get("annotations", {}).pop("kubectl.kubernetes.io/last-applied-configuration", None)
    kept = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata, "spec": obj["spec"]}
    return kept | ({"status": obj["status"]} if "status" in obj else {})


def as_applied(obj: Object) -> Object:
    """What the operator applied of an object, by the API server's own record of it."""
    (fields,) = (
        entry["fieldsV1"]
        for entry in obj["metadata"]["managedFields"]
        if entry["manager"] == "embedding-operator" and entry["operation"] == "Apply" and "subresource" not in entry
    )
    kept: Object = owned(obj, fields)
    for owner in kept["metadata"].get("ownerReferences") or ():
        owner["uid"] = ""  # another one where it is restored
    metadata = {"name": obj["metadata"]["name"]} | kept.pop("metadata")
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata} | kept


def owned(value: Any, fields: Object) -> Any:
    """The part of a value that `fieldsV1` names; a field without inner ones is owned as a whole."""
    inner = {key: below for key, below in fields.items() if key != "."}
    if not inner:
        return value
    if isinstance(value, dict):
        return {key[2:]: owned(value[key[2:]], below) for key, below in inner.items()}
    return [owned(item, below) for item in value for key, below in inner.items() if _is_named(item, key)]


def _is_named(item: Any, key: str) -> bool:
    """Whether an item of a list is the one of `v:<value>` or `k:<its keys>`."""
    kind, _, text = key.partition(":")
    wanted = json.loads(text)
    if kind == "v":
        return bool(item == wanted)
    return all(item.get(field) == said for field, said in wanted.items())


if __name__ == "__main__":
    main(sys.argv[1])
