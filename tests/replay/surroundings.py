"""The controllers around the operator, as the loop sees them: Deployments, Jobs, kubelets and garbage collection.

Each does one small step at a time, so that anything can happen in between.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator

from embedding_operator.api import names
from embedding_operator.kube.resources import Object, ObjectKey
from tests.replay.apiserver import ApiServer

Step = Callable[[], object]
DIGEST = "sha256:" + "ab" * 32
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "message": "no node has room"}
ENDS = ("Staged", "HubUnavailable", "NotFound")  # how a staging pod may end; the last one for good


def steps(api: ApiServer, end: str = "Staged") -> list[Step]:
    """What the controllers would do next."""
    return [*_collect(api), *_deploy(api), *_run_jobs(api, end)]


def _collect(api: ApiServer) -> Iterator[Step]:
    uids = {obj["metadata"]["uid"] for obj in api.objects.values()}
    for key, obj in [*api.objects.items()]:
        owners = obj["metadata"].get("ownerReferences") or ()
        if owners and not any(owner["uid"] in uids for owner in owners):
            yield lambda key=key: api.delete(key)


def _deploy(api: ApiServer) -> Iterator[Step]:
    for key, deployment in [*api.objects.items()]:
        if key.kind != "Deployment":
            continue
        pods = _owned_pods(api, deployment)
        template = names.digest_of(deployment["spec"]["template"], 6)
        wanted = [f"{key.name}-{template}-{index}" for index in range(deployment["spec"]["replicas"])]
        ready = [pod for pod in pods if api.objects[pod]["status"]["phase"] == "Running"]
        status: Object = {"observedGeneration": deployment["metadata"]["generation"], "replicas": len(pods)}
        status |= {"updatedReplicas": len({*wanted} & {pod.name for pod in pods}), "readyReplicas": len(ready)}
        if deployment.get("status") != status:
            yield lambda key=key, status=status: api.change(key, lambda obj: obj.update(status=status))
        for surplus in [pod for pod in pods if pod.name not in wanted]:
            yield lambda surplus=surplus: api.delete(surplus)
        for name in wanted:
            pod = ObjectKey("Pod", key.namespace, name)
            if pod not in api.objects:
                yield lambda pod=pod, deployment=deployment: _make_pod(api, pod, deployment)
            elif api.objects[pod]["status"]["phase"] == "Pending" and not api.nodes_are_full:
                yield lambda pod=pod: _say(api, pod, phase="Running", conditions=[{"type": "Ready", "status": "True"}])
            elif api.objects[pod]["status"] == {"phase": "Pending"}:
                yield lambda pod=pod: _say(api, pod, conditions=[UNSCHEDULABLE])


def _run_jobs(api: ApiServer, end: str) -> Iterator[Step]:
    for key, job in [*api.objects.items()]:
        if key.kind != "Job" or (job.get("status") or {}).get("conditions"):
            continue
        pods = _owned_pods(api, job)
        phases = {api.objects[pod]["status"]["phase"]: pod for pod in pods}
        if "Pending" in phases:
            yield lambda pod=phases["Pending"]: _say(api, pod, phase="Running")
        elif "Running" in phases:
            yield lambda pod=phases["Running"]: _say(api, pod, **_ended(end))
        elif "Succeeded" in phases or _is_permanent(api, pods):
            done = "Complete" if "Succeeded" in phases else "Failed"
            status = {"conditions": [{"type": done, "status": "True"}], "completionTime": "2026-01-01T00:00:00Z"}
            yield lambda key=key, status=status: api.change(key, lambda obj: obj.update(status=status))
        else:
            pod = ObjectKey("Pod", key.namespace, f"{key.name}-{len(pods)}")
            yield lambda pod=pod, job=job: _make_pod(api, pod, job)


def _owned_pods(api: ApiServer, owner: Object) -> list[ObjectKey]:
    uid = owner["metadata"]["uid"]
    pods = [(key, obj) for key, obj in api.objects.items() if key.kind == "Pod"]
    return sorted(key for key, obj in pods if obj["metadata"]["ownerReferences"][0]["uid"] == uid)


def _make_pod(api: ApiServer, key: ObjectKey, owner: Object) -> None:
    metadata = copy.deepcopy(owner["spec"]["template"]["metadata"])
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"]}
    metadata |= {"name": key.name, "namespace": key.namespace}
    metadata["ownerReferences"] = [reference | {"uid": owner["metadata"]["uid"]}]
    node = {"nodeName": f"node-{key.name[-1]}"}
    api.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": node, "status": {"phase": "Pending"}})


def _say(api: ApiServer, pod: ObjectKey, **status: object) -> None:
    api.change(pod, lambda obj: obj["status"].update(status))


def _ended(end: str) -> Object:
    said: Object = {"result": "Staged", "digest": DIGEST, "path": "a/b", "revision": "b", "files": 3, "bytes": 100}
    if end != "Staged":
        said = {"result": "Failed", "reason": end, "message": "as was asked for"}
    terminated = {"exitCode": 0 if end == "Staged" else 1, "message": json.dumps(said)}
    containers = [{"name": "stage", "state": {"terminated": terminated}}]
    return {"phase": "Succeeded" if end == "Staged" else "Failed", "containerStatuses": containers}


def _is_permanent(api: ApiServer, pods: list[ObjectKey]) -> bool:
    return any("NotFound" in json.dumps(api.objects[pod]["status"]) for pod in pods)
