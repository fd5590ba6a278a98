"""All that the API server holds of a namespace, in a form in which two runs can be compared.

Every kind that can be listed is read, also those that we never write: what is left over is found there. Nothing
is left out but the following, because no two runs have it in common, fault or not:

| left out | why |
|---|---|
| uids, resourceVersions, managedFields | chance; a uid that is mentioned becomes its object's name, or `NOBODY` |
| every point in time | runs happen at different times |
| the random end of generated names | replaced by `*` wherever the name is mentioned |
| the names of the namespace and of its volume | the harness makes them up |
| who signed for a published directory | by uids; that somebody did is compared |
| addresses, node names, node ports | the cluster gives them out; hence also `on 2 nodes` in a message |
| statuses of kinds that are not ours | but for counts of replicas, pods' phase and readiness, and a Job's success |
| generations of what Kubernetes' own controllers write | they count how often pods came and went |
| how many pods a Job needed | each attempt leaves one behind; ended pods that are otherwise equal count once |
| the digest of what was asked for | it covers the owner's uid; that there is one is compared |
| Events and Leases | they tell what happened, which differs: that is the fault |
| Endpoints | the older form of EndpointSlices |
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.cluster.api import Api
from tests.cluster.kubectl import Kubectl
from tests.integration.operating import is_ready

Object = dict[str, Any]
State = dict[str, list[Any]]
"""By `Kind/name`; more than one where Kubernetes made up the ends of the names."""

OWN = frozenset({"EmbeddingService", "ModelCache", "RuntimeProfile"})
COUNTED_GENERATIONS = OWN | {"Deployment", "Job", "PodDisruptionBudget"}
KEPT_STATUS = {
    "Deployment": ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas", "unavailableReplicas"),
    "ReplicaSet": ("replicas", "readyReplicas", "availableReplicas"),
    "Job": ("succeeded", "active", "ready"),
}
_SKIPPED = ("events", "events.events.k8s.io", "leases.coordination.k8s.io", "endpoints")
_DROPPED_METADATA = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generateName", "namespace")
_DROPPED_SPEC = ("nodeName", "clusterIP", "clusterIPs", "healthCheckNodePort")
_DIGEST = "embedding-operator.io/applied"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_UID = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9a-f])")
_CLUSTER = re.compile(r"(?<![0-9a-f])[0-9a-f]{8}(?=_NAMESPACE_)")  # a Lease's uid, cut short
_SIGNATURE = re.compile(r"_[^_/]+_[0-9a-f-]{36}$")
_NODES = re.compile(r" on \d+ nodes?\b")


def read(kubectl: Kubectl, namespace: str) -> list[Object]:
    """Everything in the namespace, and the cluster-scoped objects that are ours."""
    api = Api(kubectl.kubeconfig, kubectl.context)
    wanted = ",".join(kind for kind in api.listed() if kind not in _SKIPPED)
    return api.items(wanted, namespace) + api.items("runtimeprofiles")


def normalised(objects: list[Object], namespace: str) -> State:
    """What two undisturbed runs have in common."""
    state: State = {}
    texts: set[str] = set()
    for obj in _renamed(objects, namespace):
        content = _content(obj)
        text = json.dumps(content, sort_keys=True)
        if _has_ended(obj) and text in texts:
            continue
        texts.add(text)
        state.setdefault(f"{obj['kind']}/{obj['metadata']['name']}", []).append(content)
    return {name: sorted(contents, key=_text) for name, contents in sorted(state.items())}


def volume(directory: Path) -> State:
    """The files on a volume; those below `.staging` by name only, for none should be there."""
    state: State = {}
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory)
        if path.is_file() and relative.parts[0] != ".staging":
            content = path.read_bytes()
            is_manifest = path.name == "manifest.json"
            told = json.loads(_TIME.sub("TIME", content.decode())) if is_manifest else sha256(content).hexdigest()
            state[f"file {_SIGNATURE.sub('_NAMESPACE_UID', str(relative))}"] = [told]
        elif relative.parts[0] == ".staging" and len(relative.parts) > 1:
            state[f"file {relative}"] = ["left behind"]
    return state


def differences(expected: State, actual: State) -> list[str]:
    """One line for each: where, what was expected, what is there."""
    lines = [f"missing: {name}" for name in expected if name not in actual]
    lines += [f"left over: {name}" for name in actual if name not in expected]
    for name in expected:
        if name in actual:
            lines += _compared(name, expected[name], actual[name])
    return lines


def _compared(path: str, expected: Any, actual: Any) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in sorted(expected.keys() | actual.keys()):
            yield from _compared(f"{path}.{key}", expected.get(key), actual.get(key))
    elif isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            yield f"{path}: {len(expected)} expected, {len(actual)} there"
        for number, (one, other) in enumerate(zip(expected, actual, strict=False)):
            yield from _compared(f"{path}[{number}]", one, other)
    elif expected != actual:
        yield f"{path}: {_short(expected)} expected, {_short(actual)} there"


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) < 200 else text[:200] + " …"


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _renamed(objects: list[Object], namespace: str) -> list[Object]:
    """The same with chance replaced by words, wherever it is mentioned."""
    names = {namespace: "NAMESPACE"}
    uids: dict[str, str] = {}
    for obj in objects:
        metadata = obj["metadata"]
        if metadata.get("generateName"):
            names[metadata["name"]] = metadata["generateName"] + "*"
        uids[metadata["uid"]] = f"{obj['kind']}/{names.get(metadata['name'], metadata['name'])}"
        if obj["kind"] == "PersistentVolumeClaim" and (obj.get("spec") or {}).get("volumeName"):
            names[obj["spec"]["volumeName"]] = "VOLUME"
    for obj in objects:
        obj["metadata"].pop("uid")
    text = json.dumps(objects)
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, names[name])
    text = _CLUSTER.sub("CLUSTER", text)
    text = _UID.sub(lambda found: uids.get(found.group(), "NOBODY"), text)
    text = _NODES.sub(" on NODES", _TIME.sub("TIME", text))
    renamed: list[Object] = json.loads(text)
    return renamed


def _content(obj: Object) -> Object:
    """The object without what `read` cannot help to bring along."""
    kind = obj["kind"]
    content = {name: value for name, value in obj.items() if name not in ("status", "kind")}
    content["metadata"] = _metadata(kind, obj["metadata"])
    if isinstance(obj.get("spec"), dict):
        content["spec"] = {name: value for name, value in obj["spec"].items() if name not in _DROPPED_SPEC}
        for port in content["spec"].get("ports") or () if kind == "Service" else ():
            port.pop("nodePort", None)
    if kind == "EndpointSlice":
        content["endpoints"] = sorted(map(_endpoint, obj.get("endpoints") or ()), key=_text)
    status = _status(obj)
    return content | ({"status": status} if status is not None else {})


def _metadata(kind: str, metadata: Object) -> Object:
    kept = {name: value for name, value in metadata.items() if name not in _DROPPED_METADATA}
    if kind not in COUNTED_GENERATIONS:
        kept.pop("generation", None)
    annotations = dict(kept.get("annotations") or {})
    annotations.pop("endpoints.kubernetes.io/last-change-trigger-time", None)
    if _DIGEST in annotations:
        annotations[_DIGEST] = "DIGEST"
    return kept | {"annotations": annotations}


def _endpoint(endpoint: Object) -> Object:
    return {name: endpoint[name] for name in ("conditions", "targetRef") if name in endpoint}


def _status(obj: Object) -> Any:
    status = obj.get("status") or {}
    if obj["kind"] in OWN:
        return status
    if obj["kind"] == "Pod":
        return "ended" if _has_ended(obj) else {"phase": status.get("phase"), "ready": is_ready(obj)}
    kept = KEPT_STATUS.get(obj["kind"], ())
    return {name: status[name] for name in kept if status.get(name)} if kept else None


def _has_ended(obj: Object) -> bool:
    return obj["kind"] == "Pod" and (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed")
