"""What users do with EmbeddingJobs while the recording runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from embedding_operator.api import names
from tests.integration.kinds import REMOVE, job
from tests.integration.operating import Namespace, Object, until
from tests.replay.kubelet import Kubelet
from tests.replay.lastwords import LOST

_OF_ITS_OWN = {"modelScope": {"repo": "Qwen/Qwen3-Embedding-8B"}}


def _embedded(search: Namespace, shop: Namespace, kubelet: Kubelet) -> None:
    """With workers of its own, one of which fails once, and words that are lost; with a service; with no input."""
    kubelet.ends[f"{names.WORK_TASK}/wiki"] = ["Internal"]
    kubelet.ends[f"{names.FINISH_TASK}/wiki"] = [LOST]
    kubelet.ends[f"{names.SPLIT_TASK}/nothing"] = ["NoFiles"]
    kubelet.held |= {f"{names.WORK_TASK}/notes", f"{names.WORK_TASK}/papers"}
    _job(search, "wiki", parallelism=2)
    _job(search, "papers", model={"source": _OF_ITS_OWN})
    _served_job(shop, "notes", "own")
    _served_job(shop, "early", "late")
    _served_job(shop, "nothing", "own")
    until(_says(search, "wiki", "Completed"))
    until(_says(shop, "nothing", "NoFiles"))


def _suspended_and_resumed(search: Namespace, shop: Namespace, kubelet: Kubelet) -> None:
    until(lambda: _running(shop, "notes") == 1)
    _patch(shop, "notes", suspend=True)
    until(lambda: _says(shop, "notes", "Suspended")() and _running(shop, "notes") == 0)
    _patch(shop, "notes", suspend=False, parallelism=2)
    kubelet.held.discard(f"{names.WORK_TASK}/notes")
    until(_says(shop, "notes", "Completed"))


def _deleted_in_the_middle(search: Namespace, shop: Namespace, kubelet: Kubelet) -> None:
    """And made again under the same name; when that is over, it goes by itself."""
    until(lambda: _running(search, "papers") == 1)
    search.kubectl("delete", "embjob", "papers", "--wait=false")
    kubelet.held.discard(f"{names.WORK_TASK}/papers")
    until(lambda: _running(search, "papers") == 0 and search.get("embjob", "papers") is None)
    _job(search, "papers", model={"source": _OF_ITS_OWN}, ttlSecondsAfterFinished=1)
    until(lambda: search.get("embjob", "papers") is None)


def _with_a_service_that_comes_late(search: Namespace, shop: Namespace, kubelet: Kubelet) -> None:
    until(_says(shop, "early", "ServiceNotFound"))
    shop.service("late", replicas=1)
    until(_says(shop, "early", "Completed"))


OFFLINE = (_embedded, _suspended_and_resumed, _deleted_in_the_middle, _with_a_service_that_comes_late)


def _job(namespace: Namespace, name: str, **spec: Any) -> None:
    namespace.apply(job(runtime__profile="cpu", **spec) | {"metadata": {"name": name}})


def _served_job(namespace: Namespace, name: str, service: str) -> None:
    spec: Object = {"model": REMOVE, "cache": REMOVE, "serviceRef": {"name": service}}
    namespace.apply(job(**spec) | {"metadata": {"name": name}})


def _patch(namespace: Namespace, name: str, **spec: Any) -> None:
    namespace.kubectl("patch", "embjob", name, "--type=merge", "-p", json.dumps({"spec": spec}))


def _says(namespace: Namespace, name: str, reason: str) -> Callable[[], bool]:
    return lambda: bool(namespace.condition("embjob", name)["reason"] == reason)


def _running(namespace: Namespace, name: str) -> int:
    """Workers whose pods run."""
    found: list[Object] = namespace.items("pod", f"{names.NAME_LABEL}={names.WORK_TASK},{names.JOB_LABEL}={name}")
    return sum((pod.get("status") or {}).get("phase") == "Running" for pod in found)
