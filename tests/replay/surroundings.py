"""The controllers around the operator, as the loop sees them: Deployments, Jobs, kubelets and garbage collection.

Each does one small step at a time, so that anything can happen in between.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator, Mapping

from embedding_operator.api import names
from embedding_operator.kube.resources import Object, ObjectKey
from embedding_operator.planning.jobreport import DRIVER, INDEX_ANNOTATION, indexes
from embedding_operator.planning.jobstate import JOB_NAME
from tests.replay.apiserver import ApiServer
from tests.replay.lastwords import DONE, LOST, done, failed

Step = Callable[[], object]
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "message": "no node has room"}
ENDS = (DONE, LOST, "HubUnavailable", "NotFound")  # how a pod of a Job may end; the last one for good
_CONTAINERS = {names.STAGING_TASK: "stage", names.BENCHMARK_TASK: "bench"}


def steps(api: ApiServer, end: str = DONE) -> list[Step]:
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
        if key.kind == "Job" and not (job.get("status") or {}).get("conditions"):
            yield from _run_job(api, key, job, end)


def _run_job(api: ApiServer, key: ObjectKey, job: Object, end: str) -> Iterator[Step]:
    pods = {pod: api.objects[pod] for pod in _owned_pods(api, job)}
    live = {pod: obj for pod, obj in pods.items() if obj["status"]["phase"] in ("Pending", "Running")}
    if job["spec"].get("suspend"):
        yield from ((lambda pod=pod: api.delete(pod)) for pod in live)
        return
    for pod, obj in live.items():
        said: Object = {"phase": "Running"} if obj["status"]["phase"] == "Pending" else _ended(obj, end)
        yield lambda pod=pod, said=said: _say(api, pod, **said)
    wanted, told = range(job["spec"].get("completions", 1)), job.get("status") or {}
    counted = indexes(told.get("completedIndexes"))
    done = counted | {_index(obj) for obj in pods.values() if obj["status"]["phase"] == "Succeeded"}
    status: Object = {"completedIndexes": ",".join(map(str, sorted(done)))}
    if done >= {*wanted} or _is_permanent(pods):
        condition = {"type": "Complete" if done >= {*wanted} else "Failed", "status": "True"}
        status |= {"conditions": [condition], "completionTime": "2026-01-01T00:00:00Z"}
        yield lambda: api.change(key, lambda obj: obj.update(status=status))
    elif done != counted:
        yield lambda: api.change(key, lambda obj: obj.update(status=status))
    works = {_index(obj) for obj in live.values()}
    for index in [index for index in wanted if index not in done | works][
        : job["spec"].get("parallelism", 1) - len(live)
    ]:
        yield lambda index=index: _make_pod(api, _unused(api, key, index), job, index)


def _owned_pods(api: ApiServer, owner: Object) -> list[ObjectKey]:
    uid = owner["metadata"]["uid"]
    pods = [(key, obj) for key, obj in api.objects.items() if key.kind == "Pod"]
    return sorted(key for key, obj in pods if obj["metadata"]["ownerReferences"][0]["uid"] == uid)


def _unused(api: ApiServer, job: ObjectKey, index: int) -> ObjectKey:
    names_of_pods = (ObjectKey("Pod", job.namespace, f"{job.name}-{index}-{tries}") for tries in itertools.count())
    return next(pod for pod in names_of_pods if pod not in api.objects)


def _index(pod: Object) -> int:
    return int(pod["metadata"]["annotations"][INDEX_ANNOTATION])


def _make_pod(api: ApiServer, key: ObjectKey, owner: Object, index: int | None = None) -> None:
    metadata = copy.deepcopy(owner["spec"]["template"]["metadata"])
    if index is not None:
        metadata["labels"] = metadata["labels"] | {JOB_NAME: owner["metadata"]["name"]}
        metadata["annotations"] = (metadata.get("annotations") or {}) | {INDEX_ANNOTATION: str(index)}
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"]}
    metadata |= {"name": key.name, "namespace": key.namespace}
    metadata["ownerReferences"] = [reference | {"uid": owner["metadata"]["uid"]}]
    node = {"nodeName": f"node-{key.name[-1]}"}
    api.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": node, "status": {"phase": "Pending"}})


def _say(api: ApiServer, pod: ObjectKey, **status: object) -> None:
    api.change(pod, lambda obj: obj["status"].update(status))


def _ended(pod: Object, end: str) -> Object:
    task = pod["metadata"]["labels"][names.NAME_LABEL]
    said = done(task, _index(pod)) if end == DONE else failed(task, end)
    terminated = {"exitCode": 0 if end in (DONE, LOST) else 1, "message": "" if end == LOST else json.dumps(said)}
    containers = [{"name": _CONTAINERS.get(task, DRIVER), "state": {"terminated": terminated}}]
    return {"phase": "Succeeded" if end in (DONE, LOST) else "Failed", "containerStatuses": containers}


def _is_permanent(pods: Mapping[ObjectKey, Object]) -> bool:
    return any("NotFound" in json.dumps(pod["status"]) for pod in pods.values())
