"""What users, administrators and strangers do while the recording runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.cluster.kubectl import Kubectl
from tests.integration.operating import Namespace, until
from tests.replay.busyjobs import OFFLINE
from tests.replay.busymeasuring import MEASURED
from tests.replay.kubelet import Kubelet

RERANKER = "Qwen/Qwen3-Reranker-0.6B"
MISSING = "Qwen/Qwen3-Embeding-0.6B"


def busy_run(kubectl: Kubectl, kubelet: Kubelet) -> list[str]:
    """Do it all, and return the names of the namespaces."""
    search, shop = Namespace(kubectl), Namespace(kubectl)
    served = (_created, _changed, _meddled_with, _profile_changed, _made_again)
    for step in (*served, *OFFLINE, *MEASURED, _broken, _deleted):
        print(step.__name__.strip("_").replace("_", " "), flush=True)
        step(search, shop, kubelet)
    return [search.name, shop.name]


def _created(search: Namespace, shop: Namespace, kubelet: Kubelet) -> None:
    """Two services of one model, one whose staging fails once, one with a wrong name, claims before and after."""
    kubelet.ends[RERANKER] = ["HubUnavailable"]
    kubelet.ends[MISSING] = ["NotFound"]
    search.claim()
    search.service("qwen")
    search.service("gte", replicas=1)
    search.service("rerank", model=_source(RERANKER), task="Rerank")
    shop.service("qwen")  # its claim comes late
    guarded = {"networkPolicy": {"from": []}}  # until the spec of that service changes
    shop.service("own", cache={"claimTemplate": {"size": "1Gi"}}, replicas=3, exposure=guarded)
    shop.service("typo", model=_source(MISSING))
    shop.service("given", model={"cacheRef": {"name": "mine"}, "servedName": "mine"}, cache=None)
    until(lambda: _reason(shop, "given") == "CacheNotFound")
    _model_cache(shop, "mine")
    until(lambda: _reason(shop, "qwen") == "WaitingForWeights")
    shop.claim()
    for namespace, name in ((search, "qwen"), (search, "gte"), (search, "rerank"), (shop, "own"), (shop, "qwen")):
        until(_serves(namespace, name))
    until(_serves(shop, "given"))
    until(lambda: _reason(shop, "typo") == "CacheStalled")
    shop.kubectl("delete", "job", "-l", "embedding-operator.io/cache", "--field-selector=status.successful=0")
    until(_serves(shop, "typo"))


def _changed(search: Namespace, shop: Namespace, kubelet: Kubelet) -> None:
    search.kubectl("scale", "emb/qwen", "--replicas=3")
    search.service("gte", replicas=1, suspend=True)
    shop.service("own", cache={"claimTemplate": {"size": "1Gi"}}, serving={"maxModelLen": 4096})
    until(lambda: _reason(search, "gte") == "Suspended")
    search.service("gte", replicas=2, exposure={"service": {"port": 9000}})
    search.kubectl("scale", "emb/qwen", "--replicas=1")
    until(_serves(search, "gte"))
    until(_serves(shop, "own"))
    shop.service("own", cache={"claimTemplate": {"size": "1Gi"}})  # back to the first revision
    until(_serves(search, "qwen"))
    until(_serves(shop, "own"))


def _meddled_with(search: Namespace, shop: Namespace, kubelet: Kubelet) -> None:
    search.kubectl("set", "image", "deployment/gte", "vllm=example.com/evil:1")
    search.kubectl("delete", "service,poddisruptionbudget", "gte")
    shop.kubectl("label", "deployment", "own", "app.kubernetes.io/managed-by-")
    shop.kubectl("label", "service", "own", "embedding-operator.io/service-")
    shop.kubectl("delete", "configmap", "-l", "embedding-operator.io/scripts")
    shop.kubectl("delete", "pod", "-l", "embedding-operator.io/service=qwen", "--wait=false")
    shop.kubectl("delete", "controllerrevision", "-l", "embedding-operator.io/service=given")
    until(lambda: search.get("service", "gte") is not None)
    until(lambda: "embedding-operator.io/service" in (shop.get("service", "own") or {})["metadata"]["labels"])
    for namespace, name in ((search, "gte"), (shop, "own"), (shop, "qwen"), (shop, "given")):
        until(_serves(namespace, name))


def _profile_changed(search: Namespace, shop: Namespace, kubelet: Kubelet) -> None:
    env = [{"name": "VLLM_CPU_KVCACHE_SPACE", "value": "2"}]
    patch = json.dumps({"spec": {"pod": {"env": env}}})
    search.kubectl("patch", "runtimeprofile", "cpu", "--type=merge", "-p", patch)
    until(lambda: search.condition("emb", "qwen", "UpdateAvailable")["status"] == "True")
    search.service("qwen", serving={"maxModelLen": 2048})  # adopts it
    until(lambda: search.condition("emb", "qwen", "UpdateAvailable")["status"] == "")
    until(_serves(search, "qwen"))


def _made_again(search: Namespace, shop: Namespace, kubelet: Kubelet) -> None:
    """Under the same name: a service at once, a service with another model, a cache."""
    search.kubectl("delete", "emb", "gte", "--wait=false")
    search.service("gte", replicas=1)
    shop.kubectl("delete", "emb", "qwen")
    shop.service("qwen", model=_source(RERANKER), task="Rerank", replicas=1)
    shop.kubectl("delete", "modelcache", "mine")  # what serves goes on serving
    until(lambda: shop.condition("emb", "given", "WeightsReady")["status"] == "False")
    _model_cache(shop, "mine")
    for namespace, name in ((search, "gte"), (shop, "qwen"), (shop, "given")):
        until(_serves(namespace, name))


def _broken(search: Namespace, shop: Namespace, kubelet: Kubelet) -> None:
    kubelet.sick.add("rerank")
    until(lambda: _reason(search, "rerank") == "CrashLooping")
    shop.service("typo", model=_source(MISSING), runtime={"profile": "none-such"})
    until(lambda: _reason(shop, "typo") == "ProfileNotFound")
    kubelet.sick.clear()
    until(_serves(search, "rerank"))


def _deleted(search: Namespace, shop: Namespace, kubelet: Kubelet) -> None:
    search.kubectl("delete", "emb", "gte")
    shop.kubectl("delete", "emb,embjob,embbench", "--all")
    until(lambda: shop.items("pod", "embedding-operator.io/service") == [])
    until(lambda: shop.items("configmap", "embedding-operator.io/scripts") == [])


def _source(repo: str) -> dict[str, Any]:
    return {"source": {"modelScope": {"repo": repo}}}


def _model_cache(namespace: Namespace, name: str) -> None:
    spec = {
        "source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-4B"}},
        "storage": {"claimName": "model-weights"},
    }
    manifest = {"apiVersion": "embedding-operator.io/v1alpha1", "kind": "ModelCache", "metadata": {"name": name}}
    namespace.apply(manifest | {"spec": spec})


def _reason(namespace: Namespace, name: str) -> str:
    return str(namespace.condition("emb", name)["reason"])


def _serves(namespace: Namespace, name: str) -> Callable[[], bool]:
    def serving() -> bool:
        obj = namespace.get("emb", name) or {"metadata": {}}
        status = obj.get("status") or {}
        seen = status.get("observedGeneration") == obj["metadata"].get("generation")
        return seen and _reason(namespace, name) in ("Serving", "ScaledToZero", "Suspended")

    return serving
