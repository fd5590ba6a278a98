"""No field exists that nothing implements: each one of an EmbeddingService's spec changes what is made."""

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning.weights import model_cache
from tests.unit.planning import given
from tests.unit.test_crds import schema_of

Spec = dict[str, Any]
HUB: Spec = {
    "repo": "Qwen/Qwen3-VL-Embedding-8B",
    "revision": "v1",
    "endpoint": "http://hub.example.com",
    "secretRef": {"name": "hub", "key": "token"},
    "include": ["*.json"],
    "exclude": ["*.md"],
}
SUM = "0123456789abcdef" * 4
SOURCES: dict[str, Spec] = {
    "modelScope": HUB,
    "huggingFace": HUB,
    "http": {"url": "https://x.example.com/a.zip", "sha256": SUM, "secretRef": {"name": "files", "key": "token"}},
    "s3": {
        "bucket": "models",
        "prefix": "qwen/x",
        "endpoint": "https://s3.example.com",
        "region": "eu-central-1",
        "addressingStyle": "Path",
        "secretRef": {"name": "s3"},
        "include": ["*.json"],
        "exclude": ["*.md"],
    },
}
EVERYTHING: Spec = {
    "model": {
        "source": {"modelScope": HUB},
        "servedName": "embed",
        "aliases": ["text-embedding"],
    },
    "cache": {
        "claimTemplate": {"size": "200Gi", "storageClassName": "nfs", "accessModes": ["ReadWriteOnce"]},
        "subPath": "models",
        "deletionPolicy": "Delete",
        "ttlAfterUnused": "24h",
        "securityContext": {"runAsUser": 7, "runAsGroup": 7, "fsGroup": 7, "supplementalGroups": [8]},
    },
    "runtime": {
        "profile": "ascend-910b",
        "version": "0.18.0",
        "image": "example.com/vllm:v0.32.0",
        "imagePullSecrets": [{"name": "registry"}],
        "args": ["--no-enable-prefix-caching"],
        "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
        "resources": {"requests": {"cpu": "8"}, "limits": {"cpu": "16"}},
        "podTemplate": {
            "metadata": {"labels": {"mesh": "on"}, "annotations": {"mesh.example.com/port": "8000"}},
            "spec": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["hub"]}]},
        },
    },
    "parallelism": {"tensor": 2},
    "serving": {
        "maxModelLen": 8192,
        "dtype": "Float16",
        "maxBatchedTokens": 16384,
        "maxSequences": 256,
        "hangSeconds": 600,
        "dimensions": 1024,
        "pooling": {"type": "Mean", "normalize": False},
        "promptFormat": "Model",
        "instruction": "Represent the product.",
        "multimodal": {
            "imagesPerPrompt": 4,
            "videosPerPrompt": 1,
            "maxPixels": 4096,
            "allowedMediaDomains": ["images.example.com"],
        },
        "maxConnectionAge": "5m",
        "maxInFlight": 512,
    },
    "task": "Embed",
    "replicas": 3,
    "rollout": {
        "strategy": "Replace",
        "minAvailable": "50%",
        "drainTimeout": "30s",
        "revisionHistoryLimit": 2,
        "embeddingSpace": {"policy": "Warn", "threshold": "0.99"},
    },
    "exposure": {
        "service": {
            "type": "LoadBalancer",
            "clusterIP": "None",
            "port": 80,
            "nodePort": 30080,
            "annotations": {"service.beta.kubernetes.io/aws-load-balancer-internal": "true"},
            "loadBalancerClass": "service.k8s.aws/nlb",
            "loadBalancerSourceRanges": ["10.0.0.0/8"],
        },
        "apiKeySecretRef": {"name": "embedding-keys"},
        "tls": {"secretRef": {"name": "embedding-tls"}},
        "gateway": {
            "parentRefs": [{"name": "public", "namespace": "infra", "sectionName": "https"}],
            "hostnames": ["embeddings.example.com"],
            "requestTimeout": "120s",
        },
        "networkPolicy": {"from": [{"podSelector": {}}]},
    },
    "scheduling": {
        "nodeSelector": {"rack": "r1"},
        "tolerations": [{"key": "npu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"a": 1}, "podAffinity": {"b": 2}, "podAntiAffinity": {"c": 3}},
        "topologySpread": [{"topologyKey": "topology.kubernetes.io/zone"}],
        "priorityClassName": "serving",
        "schedulerName": "volcano",
        "nodeLossToleration": "30s",
    },
    "monitoring": {"podMonitor": True, "labels": {"release": "prometheus"}},
    "suspend": True,
}
# a field that must be there is changed instead of taken away
OTHER = {
    **{f"model.source.{kind}.repo": "Qwen/Other" for kind in SOURCES},
    "model.source.http.url": "https://x.example.com/b.zip",
    "model.source.http.sha256": "f" * 64,
    "model.source.s3.bucket": "others",
    **{f"model.source.{kind}.secretRef.{part}": "other" for kind in SOURCES for part in ("name", "key")},
    "cache.claimTemplate.size": "1Gi",
    "runtime.profile": "cpu",
    "exposure.apiKeySecretRef.name": "others",
    "exposure.tls.secretRef.name": "another",
    "exposure.gateway.parentRefs": [{"name": "other"}],
    "exposure.networkPolicy.from": [],
    "monitoring.podMonitor": False,
    "task": "Rerank",
}
INSTEAD = {
    "model.source.path.path",
    "model.source.http.files",
    "model.cacheRef.name",
    "cache.claimName",
}  # of other fields; tested on their own
_REVISION = re.compile(r"qwen-[0-9a-f]{10}|'specHash': '[0-9a-f]+'")


def fields(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """The fields that hold a value of their own."""
    for name, field in schema["properties"].items():
        inner = f"{path}.{name}".lstrip(".")
        if "properties" in field:
            yield from fields(field, inner)
        else:
            yield inner


FIELDS = sorted(set(fields(schema_of("EmbeddingService")["properties"]["spec"])) - INSTEAD)


def without(spec: Spec, path: str, other: Mapping[str, Any] = OTHER) -> Spec:
    """The spec without a field, or with an `other` value of it."""
    *groups, name = path.split(".")
    changed = copy.deepcopy(spec)
    group = changed
    for one in groups:
        group = group[one]
    del group[name]
    if path in other:
        group[name] = other[path]
    return changed


def history() -> list[Any]:
    """Six earlier revisions."""
    revisions: list[Any] = []
    for length in range(1, 7):
        spec = given.service(serving={"maxModelLen": length})
        revisions += given.stored(given.plan(spec, given.seen(cache=given.cache(), revisions=revisions)))
    return revisions


HISTORY = history()


def made(spec: Spec) -> list[str]:
    """All that comes of a spec, but for its hash and its copy in the revision, which every change of it changes."""
    service = given.service(**spec)
    planned = given.plan(service, given.seen(cache=given.cache(), revisions=HISTORY))
    recorded = {given.space(planned): given.RECORD}
    planned = given.plan(service, given.seen(cache=given.cache(), revisions=HISTORY, spaces=recorded))
    del given.child(planned, "ControllerRevision")["data"]["spec"]
    cache = model_cache(EmbeddingService.from_dict(service), given.profiles()["ascend-910b"].spec.pod)
    return [_REVISION.sub("", str(one)) for one in (cache, *planned.create, *planned.apply)] + [str(planned.delete)]


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_changes_what_is_made(field: str) -> None:
    with_all = EVERYTHING if field == "suspend" else without(EVERYTHING, "suspend")  # which hides the others
    if field.startswith("model.source."):
        kind = field.split(".")[2]
        with_all = with_all | {"model": with_all["model"] | {"source": {kind: SOURCES[kind]}}}
    changes = made(with_all) != made(without(with_all, field))
    assert changes, f"spec.{field} is in the schema, and nothing comes of it"


def test_the_hash_of_the_spec_alone_is_no_change() -> None:
    assert made(EVERYTHING) == made(EVERYTHING | {"invented": 1})
