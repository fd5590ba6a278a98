"""The manifests as they reach the API server, kept as files: `make golden` writes them anew, the diff is reviewed.

tests/integration/test_golden.py shows them to a real API server.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from embedding_operator.api.modelcache import ModelCache
from embedding_operator.planning.benchplan import plan_benchmark
from embedding_operator.planning.cacheplan import plan_cache
from embedding_operator.planning.cachestate import ObservedCache
from embedding_operator.planning.cleanjob import cleanup_job
from embedding_operator.planning.commandline import flag_of
from embedding_operator.planning.scrub import job_names
from embedding_operator.planning.stagejob import StagingSite, job, mending_job
from tests.releases.read import recorded
from tests.unit.planning import benchmarks, given, jobs
from tests.unit.planning.combinations import matrix

INSTANCE = "app.kubernetes.io/instance"
SITE = StagingSite("example.com/operator:1", (("HTTPS_PROXY", "http://p:1"),), ("registry",))
GOLDEN = Path(__file__).parent / "golden"
MATRIX = Path(__file__).parent / "matrix.yaml"
SERVICES: dict[str, dict[str, Any]] = {
    "ascend-910b": given.service(),
    "ascend-910b-tuned": given.service(
        model={
            "source": {"modelScope": {"repo": "Qwen/Qwen3-VL-Embedding-8B"}},
            "servedName": "embed",
            "aliases": ["text-embedding"],
        },
        parallelism={"tensor": 2},
        serving={"maxModelLen": 8192, "dtype": "BFloat16", "maxBatchedTokens": 16384, "maxSequences": 256},
        runtime={
            "profile": "ascend-910b",
            "version": "0.18.0",
            "args": ["--no-enable-prefix-caching"],
            "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
            "imagePullSecrets": [{"name": "registry"}],
        },
        scheduling={
            "nodeSelector": {"rack": "r1"},
            "tolerations": [{"key": "npu", "operator": "Exists", "effect": "NoSchedule"}],
            "priorityClassName": "serving",
        },
        rollout={"drainTimeout": "2m"},
        exposure={"service": {"type": "NodePort", "port": 80}},
    ),
    "ascend-a3": given.service(runtime={"profile": "ascend-a3"}, parallelism={"tensor": 2}),
    "ascend-310p": given.service(runtime={"profile": "ascend-310p"}),
    "ascend-950": given.service(runtime={"profile": "ascend-950"}),
    "prompt-format": given.service(
        serving={"promptFormat": "Model", "instruction": "Represent the product for search."}
    ),
    "reranker": given.service(
        model={"source": {"modelScope": {"repo": "Qwen/Qwen3-VL-Reranker-8B"}}},
        task="Rerank",
        serving={"multimodal": {"allowedMediaDomains": ["images.example.com"]}},
    ),
    "pod-template": given.service(
        runtime={
            "profile": "ascend-910b",
            "podTemplate": {
                "metadata": {"annotations": {"sidecar.example.com/inject": "false"}},
                "spec": {
                    "runtimeClassName": "kata",
                    "securityContext": {"supplementalGroups": [2000]},
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                    "containers": [
                        {
                            "name": "vllm",
                            "env": [
                                {"name": "OTEL_TOKEN", "valueFrom": {"secretKeyRef": {"name": "otel", "key": "token"}}}
                            ],
                            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                            "securityContext": {"readOnlyRootFilesystem": True},
                            "livenessProbe": {"failureThreshold": 12},
                        },
                        {"name": "logs", "image": "registry.example.com/logs:1"},
                    ],
                },
            },
        },
    ),
    "guarded": given.service(
        serving={"maxConnectionAge": "5m", "maxInFlight": 512},
        exposure={
            "apiKeySecretRef": {"name": "embedding-keys"},
            "tls": {"secretRef": {"name": "embedding-tls"}},
        },
    ),
    "exposed": given.service(
        runtime={"profile": "cpu"},
        exposure={
            "service": {
                "type": "LoadBalancer",
                "port": 80,
                "annotations": {"service.beta.kubernetes.io/aws-load-balancer-internal": "true"},
                "loadBalancerClass": "service.k8s.aws/nlb",
                "loadBalancerSourceRanges": ["10.0.0.0/8"],
            },
            "gateway": {
                "parentRefs": [{"name": "public", "namespace": "infra", "sectionName": "https"}],
                "hostnames": ["embeddings.example.com"],
                "requestTimeout": "120s",
            },
            "networkPolicy": {
                "from": [
                    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "infra"}}},
                    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                ]
            },
        },
        monitoring={"podMonitor": True, "labels": {"release": "prometheus"}},
        scheduling={
            "topologySpread": [
                {"topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 2},
                {"topologyKey": "kubernetes.io/hostname", "maxSkew": 2},
            ]
        },
    ),
    "cpu": given.service(runtime={"profile": "cpu"}, replicas=1, cache={"claimName": "weights", "subPath": "models"}),
}


BY = {"job-by-service": {"service": jobs.service()}}


def rendered(name: str) -> list[dict[str, Any]]:
    if name == "staging":
        return [job(given.cache(staged=False), SITE, "c1b2a3d4"), cleanup_job(given.cache(), SITE, "c1b2a3d4")]
    if name == "scrub":
        spec = given.cache().to_dict()["spec"] | {"verify": {"interval": "168h"}}
        cache = ModelCache.from_dict(given.cache().to_dict() | {"spec": spec})
        reading = plan_cache(cache, ObservedCache(), SITE).create
        return [*reading, mending_job(cache, SITE, job_names(cache)[1], "c1b2a3d4")]
    if name == "benchmark":
        return list(plan_benchmark(benchmarks.everything(), benchmarks.guarded()).create)
    if name.startswith("job"):
        cluster = jobs.Cluster(jobs.job() if name == "job" else jobs.by_service(), **BY.get(name, {}))
        cluster.embed()
        cluster.end("embed", None, completedIndexes="0-31")
        cluster.step()
        return cluster.made
    repo = SERVICES[name]["spec"]["model"]["source"]["modelScope"]["repo"]
    return list(given.plan(SERVICES[name], given.seen(cache=given.cache(repo=repo))).apply)


@pytest.mark.parametrize("name", SERVICES)
def test_a_reviewed_pod_is_given_only_flags_that_the_source_of_its_release_has(name: str) -> None:
    repo = SERVICES[name]["spec"]["model"]["source"]["modelScope"]["repo"]
    resolved = given.plan(SERVICES[name], given.seen(cache=given.cache(repo=repo))).status.resolved
    assert resolved.vllm
    given_flags = {flag_of(word) for word in resolved.args or ()} - {None}
    assert given_flags
    assert given_flags <= set(recorded(resolved.vllm)["flags"])


def assert_as_reviewed(path: Path, text: str) -> None:
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text(), "run `make golden` and review the diff"


@pytest.mark.parametrize("name", [*SERVICES, "staging", "scrub", "benchmark", "job", "job-by-service"])
def test_manifests_are_as_reviewed(name: str) -> None:
    assert_as_reviewed(GOLDEN / f"{name}.yaml", yaml.safe_dump_all(rendered(name), sort_keys=False, width=110))


def test_what_each_chip_model_and_version_gets_is_as_reviewed() -> None:
    assert_as_reviewed(MATRIX, yaml.safe_dump(matrix(), sort_keys=False, width=4000))


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.yaml")), ids=lambda file: file.stem)
def test_what_has_no_owner_lacks_the_label_by_which_argo_cd_may_track_what_it_prunes(file: Path) -> None:
    for made in yaml.safe_load_all(file.read_text()):
        assert made["metadata"].get("ownerReferences") or INSTANCE not in made["metadata"]["labels"], made["kind"]
