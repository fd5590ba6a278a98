"""No field exists that nothing implements: each one of an EmbeddingJob's spec changes what is made."""

import copy
from typing import Any

import pytest

from embedding_operator.planning.jobservice import as_service
from embedding_operator.planning.weights import model_cache
from tests.unit.planning import given
from tests.unit.planning.jobs import FINISH, SPLIT, Cluster, job, service
from tests.unit.planning.test_every_field import EVERYTHING as SERVICE
from tests.unit.planning.test_every_field import HUB, SOURCES, fields, without
from tests.unit.planning.test_every_field import OTHER as OTHER_SERVICE
from tests.unit.test_crds import schema_of

Spec = dict[str, Any]
PLACE: Spec = {"endpoint": "https://s3.example.com", "region": "eu-central-1", "secretRef": {"name": "s3"}}
EVERYTHING: Spec = {
    "model": {"source": {"modelScope": HUB}, "servedName": "embed"},
    "task": "Embed",
    "cache": {
        "claimName": "model-weights",
        "subPath": "models",
        "deletionPolicy": "Delete",
        "ttlAfterUnused": "24h",
        "securityContext": {"runAsUser": 7, "runAsGroup": 7, "fsGroup": 7, "supplementalGroups": [8]},
    },
    "runtime": SERVICE["runtime"],
    "serving": {
        name: SERVICE["serving"][name]
        for name in SERVICE["serving"]
        if name not in ("dimensions", "instruction", "maxConnectionAge", "maxInFlight")
    },
    "scheduling": SERVICE["scheduling"],
    "input": {
        "claimName": "corpus",
        "files": ["*.jsonl"],
        "format": "JsonLines",
        "idField": "id",
        "textField": "text",
        "imageField": "image",
    },
    "output": {
        "claimName": "vectors",
        "path": "wiki",
        "format": "Npy",
        "dtype": "Float16",
        "dimensions": 512,
        "securityContext": {"runAsUser": 7, "runAsGroup": 7, "fsGroup": 7, "supplementalGroups": [8]},
    },
    "instruction": "Find passages.",
    "truncate": True,
    "parallelism": 4,
    "shardBytes": "1Mi",
    "maxErrors": "0.1%",
    "suspend": True,
    "ttlSecondsAfterFinished": 100,
    "activeDeadlineSeconds": 3600,
    "backoffLimitPerIndex": 3,
}
# a field that must be there is changed instead of taken away
OTHER: dict[str, Any] = {
    **{field: value for field, value in OTHER_SERVICE.items() if field.startswith("model.source.")},
    "cache.claimName": "others",
    "runtime.profile": "cpu",
    "input.claimName": "others",
    "input.files": ["other"],
    "input.format": "Parquet",
    "input.url": "s3://other/x",
    "input.secretRef.name": "other",
    "output.claimName": "others",
    "output.url": "s3://other/x",
    "output.secretRef.name": "other",
    "serviceRef.name": "other",
    **{f"serviceRef.{ref}.{part}": "other" for ref in ("apiKeySecretRef", "caBundleRef") for part in ("name", "key")},
    "input.secretRef.key": "other",
    "input.queryField": "other",
    "input.documentField": "other",
}
BY_SERVICE: Spec = {
    "serviceRef": {
        "name": "qwen",
        "maxInFlight": 100,
        "apiKeySecretRef": {"name": "keys", "key": "batch"},
        "caBundleRef": {"name": "ca", "key": "ca.crt"},
    }
}
INSTEAD = {"model.source.path.path", "model.source.http.files", "model.cacheRef.name"}  # tested on their own
FIELDS = sorted(set(fields(schema_of("EmbeddingJob")["properties"]["spec"])) - INSTEAD)


def spec_with(field: str) -> Spec:
    """A spec in which the field has a meaning."""
    spec = copy.deepcopy(EVERYTHING)
    if field != "suspend":  # which hides the others
        del spec["suspend"]
    if field.startswith("model.source."):
        kind = field.split(".")[2]
        spec["model"]["source"] = {kind: copy.deepcopy(SOURCES[kind])}
    for place in ("input", "output"):
        if field.startswith((f"{place}.url", f"{place}.endpoint", f"{place}.region", f"{place}.secretRef")):
            spec[place] = {k: v for k, v in spec[place].items() if k not in ("claimName", "path", "securityContext")}
            spec[place] |= {"url": "s3://bucket/x"} | copy.deepcopy(PLACE)
    if field == "input.secretRef.key":
        spec["input"] |= {"url": "https://data.example.com", "secretRef": {"name": "web", "key": "token"}}
    if field in ("input.queryField", "input.documentField", "task"):
        spec |= {"task": "Rerank"}
        spec["input"] |= {"queryField": "q", "documentField": "d"}
        del spec["serving"]["promptFormat"], spec["instruction"]
    if field.startswith("serviceRef"):
        for gone in ("model", "cache", "runtime", "serving"):
            del spec[gone]
        spec |= copy.deepcopy(BY_SERVICE)
    return spec


def made(spec: Spec) -> list[str]:
    """All that comes of a spec, from its beginning to its end."""
    obj = job(**dict.fromkeys(job()["spec"]) | spec)
    exposure = {"apiKeySecretRef": {"name": "keys"}, "tls": {"secretRef": {"name": "tls"}}}
    its = service(exposure=exposure, model={"source": {"modelScope": {"repo": "Qwen/Qwen3-VL-Embedding-8B"}}})
    name = spec.get("serviceRef", {}).get("name")
    cluster = Cluster(obj, **({"service": its if name == "qwen" else None} if name else {}))
    plans = [cluster.step()]
    if cluster.jobs:
        cluster.end("split", SPLIT)
        plans.append(cluster.step())
        cluster.end("embed", None, completedIndexes="0-99")
        plans.append(cluster.step())
        cluster.end("finish", FINISH)
        plans.append(cluster.step(ended_for=10))
        plans.append(cluster.step(ended_for=10))
    told = [str((plan.create, plan.requeue_after, plan.status.conditions)) for plan in plans]
    if "model" in spec:
        told.append(str(model_cache(as_service(cluster.job), given.profiles()["ascend-910b"].spec.pod)))
    return told


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_changes_what_is_made(field: str) -> None:
    spec = spec_with(field)
    assert made(spec) != made(without(spec, field, OTHER)), f"spec.{field} is in the schema, and nothing comes of it"


def test_the_spec_with_everything_comes_to_its_end() -> None:
    """Or nothing that is taken away could be missed."""
    for field in ("parallelism", "input.queryField", "input.url", "output.url", "serviceRef.name"):
        assert "Completed" in made(spec_with(field))[-1 if field.startswith("serviceRef") else -2], field


def test_a_field_that_nobody_reads_changes_nothing() -> None:
    assert made(spec_with("parallelism")) == made(spec_with("parallelism") | {"invented": 1})
