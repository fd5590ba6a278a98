"""Bad manifests are refused by the API server itself, each with a message that says what to write instead."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl
from tests.integration.kinds import REMOVE, Manifest, as_yaml, cache, install_kinds, profile, service

NAMESPACE = "kinds-refused"
QUANTITY = 'write a quantity, such as "8", 500m or 32Gi'
DURATION = "write a duration in hours, minutes and seconds, such as 120s, 2m or 1h30m"
SHARE = "write a number of replicas, such as 3, or a share of them, such as 75%"
PATH = 'without a leading or trailing slash and without "..", such as'
FIXED = "write a fixed tag such as :v0.23.0, or a digest"
OWN_FLAGS = "write spec.model.servedName and spec.exposure.service.port, and leave the others out"
FIELD_FLAGS = "these have fields: write spec.parallelism.tensor for --tensor-parallel-size"
NO_PLACE = "an instruction reaches no text that is passed on as it comes: write serving.promptFormat: Model beside"
ONLY_VECTORS = "only vectors are pooled and cut: remove serving.dimensions and serving.pooling, or write task Embed"
HOST = "write a host in lower case, without scheme and port, such as images.example.com"


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    install_kinds(control_plane.kubectl)
    control_plane.kubectl("create", "namespace", NAMESPACE)
    return control_plane.kubectl


def hub(**fields: Any) -> Manifest:
    return service(**{f"model__source__modelScope__{name}": value for name, value in fields.items()})


def toleration(**fields: Any) -> Manifest:
    return service(scheduling__tolerations=[fields])


HTTP_FILE = {"path": "config.json", "url": "https://x.example.com/config.json", "sha256": "a" * 64}
SOURCE = {"modelScope": {"repo": "a/b"}}
BAD: dict[str, tuple[Manifest, str]] = {
    # what must be there, and how often
    "no model": (service(model=REMOVE), "spec.model: Required value"),
    "an empty model": (service(model={}), "write exactly one of source, such as source: {modelScope: {repo:"),
    "a source and a cacheRef": (
        service(model={"source": SOURCE, "cacheRef": {"name": "c"}}, cache=REMOVE),
        "write exactly one of source, such as source: {modelScope: {repo:",
    ),
    "an empty source": (service(model={"source": {}}), "write exactly one source, modelScope: {repo: <owner>/<name>}"),
    "two sources": (
        service(model={"source": SOURCE | {"path": {"path": "x"}}}),
        "write exactly one source, modelScope: {repo: <owner>/<name>}",
    ),
    "a source without cache": (service(cache=REMOVE), "say where the weights are kept: write spec.cache.claimName"),
    "a cacheRef with cache": (
        service(model={"cacheRef": {"name": "c"}}),
        "model.cacheRef brings its own storage: remove spec.cache",
    ),
    "an empty cache": (service(cache={}), "write exactly one of claimName: <claim of this namespace>"),
    "files of somebody else that are to go with a service": (
        service(model={"source": {"path": {"path": "x"}}}, cache__deletionPolicy="Delete"),
        "weights of a path source are yours and are never removed: leave cache.deletionPolicy out",
    ),
    "files of somebody else that are to go": (
        cache(source={"path": {"path": "x"}}, deletionPolicy="Delete"),
        "weights of a path source are yours and are never removed, leave deletionPolicy out",
    ),
    "a reading at no bytes a second": (cache(verify={"interval": "1h", "bytesPerSecond": 0}), "write a quantity above"),
    "a day as a duration": (service(cache__ttlAfterUnused="7d"), "such as 168h or 30m"),
    "a claim and a template": (
        service(cache__claimTemplate={"size": "5Gi"}),
        "write exactly one of claimName: <claim of this namespace>",
    ),
    "a template without size": (
        service(cache={"claimTemplate": {}}),
        "spec.cache.claimTemplate.size: Required value",
    ),
    "a misspelt field": (service(model__sauce={}), 'unknown field "spec.model.sauce"'),
    "a host path": (service(cache={"hostPath": "/data"}), 'unknown field "spec.cache.hostPath"'),
    "a misspelt affinity": (
        service(scheduling__affinity={"node": {}}),
        'unknown field "spec.scheduling.affinity.node"',
    ),
    # names
    "a name with dots": (
        service(metadata__name="qwen3-0.6b"),
        "write at most 52 lower-case letters, digits and dashes",
    ),
    "a name that begins with a digit": (
        service(metadata__name="3qwen"),
        "beginning with a letter, such as qwen3-embedding",
    ),
    "a long name": (service(metadata__name="a" * 53), "write at most 52 lower-case letters, digits and dashes"),
    "a cache's name with dots": (cache(metadata__name="qwen3-0.6b"), "write at most 63 lower-case letters, digits and"),
    "a profile's long name": (profile(metadata__name="a" * 64), "write a name of at most 63 characters"),
    "a claim in capitals": (service(cache__claimName="Weights"), "write the name of a claim in lower case"),
    "a cacheRef in capitals": (
        service(model={"cacheRef": {"name": "Qwen"}}, cache=REMOVE),
        "write the name of a ModelCache in lower case",
    ),
    "a profile in capitals": (service(runtime__profile="Ascend"), "write the name of a RuntimeProfile in lower case"),
    "a class in capitals": (
        service(cache={"claimTemplate": {"size": "1Gi", "storageClassName": "NFS"}}),
        "write the name of a StorageClass in lower case",
    ),
    # sources
    "a repo without owner": (hub(repo="Qwen3-8B"), "write the repository as <owner>/<name>"),
    "a repo as URL": (hub(repo="https://hub.example.com/a/b"), "write the repository as <owner>/<name>"),
    "a repo that climbs": (hub(repo="a/../b"), "write the repository as <owner>/<name>"),
    "a revision with spaces": (hub(revision="my branch"), "write a branch, tag or commit, such as master or v1.0"),
    "a revision that climbs": (hub(revision="a/../b"), "write a branch, tag or commit, such as master or v1.0"),
    "an endpoint without scheme": (hub(endpoint="hub.example.com"), "write a http or https URL without user and query"),
    "an endpoint of another scheme": (hub(endpoint="ftp://hub.example.com"), "write a http or https URL without user"),
    "an endpoint with a password": (hub(endpoint="https://u:p@hub.example.com"), "write a http or https URL without"),
    "a secret without key": (hub(secretRef={"name": "s"}), "secretRef.key: Required value"),
    "a secret's key with a slash": (hub(secretRef={"name": "s", "key": "a/b"}), "write a key of the Secret"),
    "a secret in capitals": (hub(secretRef={"name": "S", "key": "k"}), "write the name of a Secret in lower case"),
    "too many globs": (hub(include=[f"{n}.bin" for n in range(65)]), "must have at most 64 items"),
    "an empty glob": (hub(exclude=[""]), "should be at least 1 chars long"),
    "an absolute path": (service(model={"source": {"path": {"path": "/data/m"}}}), PATH),
    "a path that climbs": (service(model={"source": {"path": {"path": "a/../../b"}}}), PATH),
    "a path with a trailing slash": (service(model={"source": {"path": {"path": "models/"}}}), PATH),
    "an absolute subPath": (service(cache__subPath="/models"), PATH),
    "a subPath that climbs": (service(cache__subPath=".."), PATH),
    # model names
    "an alias twice": (service(model__aliases=["a", "a"]), 'spec.model.aliases[1]: Duplicate value: "a"'),
    "the served name as alias": (
        service(model__servedName="a", model__aliases=["b", "a"]),
        "servedName is always served, remove it from aliases",
    ),
    "a served name like a flag": (service(model__servedName="--port"), "does not begin with a dash"),
    "a served name with spaces": (service(model__servedName="my model"), "write a model name without spaces"),
    "an alias with spaces": (service(model__aliases=["my model"]), "write a model name without spaces"),
    # storage
    "a size that is no quantity": (service(cache={"claimTemplate": {"size": "big"}}), "write a quantity above zero"),
    "a size of nothing": (service(cache={"claimTemplate": {"size": "0"}}), "write a quantity above zero"),
    "a read-only claim": (
        service(cache={"claimTemplate": {"size": "1Gi", "accessModes": ["ReadOnlyMany"]}}),
        'supported values: "ReadWriteMany", "ReadWriteOnce"',
    ),
    "a negative user": (service(cache__securityContext={"runAsUser": -1}), "should be greater than or equal to 0"),
    # runtime
    "a version with v": (service(runtime__version="v0.23.0"), "write a vLLM version without a leading v"),
    "an image without tag": (service(runtime__image="quay.io/ascend/vllm-ascend"), FIXED),
    "an image with a port and no tag": (service(runtime__image="localhost:5000/vllm"), FIXED),
    "the latest image": (service(runtime__image="vllm/vllm-openai:latest"), FIXED),
    "an image with a bad digest": (
        service(runtime__image="vllm@sha256:abc"),
        "write an image as <registry>/<name>:<tag>",
    ),
    "an image with spaces": (service(runtime__image="vllm :v1"), "write an image as <registry>/<name>:<tag>"),
    "an argument of the operator": (service(runtime__args=["--port", "80"]), OWN_FLAGS),
    "an argument of the operator with =": (service(runtime__args=["--served-model-name=x"]), OWN_FLAGS),
    "an argument that has a field": (service(runtime__args=["-tp", "2"]), FIELD_FLAGS),
    "an argument with = that has a field": (service(runtime__args=["--max-model-len=8192"]), FIELD_FLAGS),
    "a variable twice": (
        service(runtime__env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
        "spec.runtime.env[1]: Duplicate value",
    ),
    "a variable with a dash": (service(runtime__env=[{"name": "A-B"}]), "write the name of an environment variable"),
    "a variable from a secret": (
        service(runtime__env=[{"name": "A", "valueFrom": {}}]),
        'unknown field "spec.runtime.env[0].valueFrom"',
    ),
    "a request that is no quantity": (service(runtime__resources={"requests": {"cpu": "two"}}), QUANTITY),
    "a limit that is no quantity": (service(runtime__resources={"limits": {"memory": "8 GB"}}), QUANTITY),
    # prompts
    "a prompt format of scores": (
        service(task="Rerank", serving__promptFormat="Model"),
        "promptFormat is about text that becomes vectors: remove serving.promptFormat, or write task Embed",
    ),
    "an instruction of text that is passed on": (service(serving__instruction="Find."), NO_PLACE),
    "an instruction of raw text": (service(serving__instruction="Find.", serving__promptFormat="Raw"), NO_PLACE),
    "an instruction of classes": (service(task="Classify", serving__instruction="Find."), NO_PLACE),
    # numbers and words
    "no device": (service(parallelism__tensor=0), "should be greater than or equal to 1"),
    "too many devices": (service(parallelism__tensor=65), "should be less than or equal to 64"),
    "vLLM's spelling of dtype": (
        service(serving__dtype="bfloat16"),
        'supported values: "Auto", "Float16", "BFloat16", "Float32"',
    ),
    "a task that is none": (service(task="Generate"), 'supported values: "Embed", "Rerank", "Classify"'),
    "scores that are cut": (service(task="Rerank", serving__dimensions=64), ONLY_VECTORS),
    "probabilities that are pooled": (service(task="Classify", serving__pooling={"type": "Mean"}), ONLY_VECTORS),
    "a pooling in vLLM's words": (
        service(serving__pooling={"type": "LAST"}),
        'supported values: "Last", "Mean", "Cls"',
    ),
    "a URL as a media domain": (service(serving__multimodal={"allowedMediaDomains": ["https://a.example.com"]}), HOST),
    "two media domains in one": (service(serving__multimodal={"allowedMediaDomains": ["a.com,b.com"]}), HOST),
    "an argument that opens the network": (service(runtime__args=["--allowed-media-domains", "a"]), FIELD_FLAGS),
    "a model length as text": (service(serving__maxModelLen="8k"), "must be of type integer"),
    "fewer replicas than none": (service(replicas=-1), "should be greater than or equal to 0"),
    "too many replicas": (service(replicas=10001), "should be less than or equal to 10000"),
    "another strategy": (service(rollout__strategy="Recreate"), 'supported values: "Auto", "Surge", "Replace"'),
    "fewer available than none": (service(rollout__minAvailable=-1), SHARE),
    "more available than can be": (service(rollout__minAvailable=10001), SHARE),
    "more available than all": (service(rollout__minAvailable="101%"), SHARE),
    "a share without a sign": (service(rollout__minAvailable="50"), SHARE),
    "a threshold that only the same bits reach": (
        service(rollout__embeddingSpace={"threshold": "1"}),
        'write a number below 1 with at most 6 decimals, in quotes, such as "0.999"',
    ),
    "a drain without unit": (service(rollout__drainTimeout="120"), DURATION),
    "an age that is a number": (service(serving__maxConnectionAge="60"), DURATION),
    "a bound that lets nobody in": (service(serving__maxInFlight=0), "should be greater than or equal to 1"),
    "an API key in plain sight": (service(runtime__args=["--api-key", "x"]), "write spec.exposure.apiKeySecretRef"),
    "an API key itself for the name of its Secret": (
        service(exposure__apiKeySecretRef={"name": "sk-Abc_1"}),
        "write the name of a Secret in lower case, such as embedding-keys",
    ),
    "TLS past the probes": (service(runtime__args=["--ssl-keyfile=x"]), "write spec.exposure.tls"),
    "TLS without a Secret": (service(exposure__tls={}), "spec.exposure.tls.secretRef: Required value"),
    "a drain in days": (service(rollout__drainTimeout="1d"), DURATION),
    "a lost node without unit": (service(scheduling__nodeLossToleration="60"), DURATION),
    "port 0": (service(exposure__service={"port": 0}), "should be greater than or equal to 1"),
    "another Service": (
        service(exposure__service={"type": "ExternalName"}),
        'supported values: "ClusterIP", "NodePort", "LoadBalancer"',
    ),
    # tolerations
    "Exists with a value": (toleration(key="a", operator="Exists", value="b"), "operator Exists takes no value"),
    "no key": (toleration(effect="NoSchedule"), "operator: Exists to accept every taint"),
    "seconds without NoExecute": (
        toleration(key="a", tolerationSeconds=5),
        "tolerationSeconds needs effect: NoExecute",
    ),
    # caches
    "a cache without storage": (cache(storage=REMOVE), "spec.storage: Required value"),
    "a proxy with a password": (
        cache(download={"proxy": {"https": "http://u:p@proxy:3128"}}),
        "write the URL of the proxy, such as http://proxy:3128; one with user and password goes into a Secret",
    ),
    "a proxy that is spoken to in TLS": (
        cache(download={"proxy": {"http": "https://proxy:3128"}}),
        "write the URL of the proxy, such as http://proxy:3128",
    ),
    "two proxies": (
        cache(download={"proxy": {"https": "http://proxy:3128", "secretRef": {"name": "a", "key": "b"}}}),
        "write secretRef, or http and https, for the Secret's proxy is that of both",
    ),
    "a proxy without scheme": (cache(download={"proxy": {"http": "proxy:3128"}}), "write the URL of the proxy"),
    "a bundle in capitals": (
        cache(download={"caBundleRef": {"name": "CA", "key": "k"}}),
        "write the name of a ConfigMap in lower case",
    ),
    "a rate below nothing": (cache(download={"bytesPerSecond": "-1Mi"}), "write a quantity, such as 100Mi, or 0"),
    "a stager's account in capitals": (
        cache(stager={"serviceAccountName": "Reader"}),
        "write the name of a ServiceAccount in lower case",
    ),
    "a bucket in capitals": (cache(source={"s3": {"bucket": "Models"}}), "write the name of a bucket, such as models"),
    "an archive without sum": (
        cache(source={"http": {"url": "https://x.example.com/a.zip"}}),
        "write url and sha256 of the archive together",
    ),
    "an archive and files": (
        cache(source={"http": {"url": "https://x.example.com/a.zip", "sha256": "a" * 64, "files": [HTTP_FILE]}}),
        "write url of one archive, or files: [{path: config.json",
    ),
    "a file that takes the manifest's name": (
        cache(source={"http": {"files": [HTTP_FILE | {"path": "manifest.json"}]}}),
        "manifest.json is the operator's own",
    ),
    "a cache without source": (cache(source={}), "write exactly one source, modelScope: {repo: <owner>/<name>}"),
    "a cache of a bad repo": (
        cache(source={"modelScope": {"repo": "x/y/z"}}),
        "write the repository as <owner>/<name>",
    ),
    "a cache in a bad folder": (cache(storage__subPath="../x"), PATH),
    "a short digest": (cache(digest="sha256:abc"), 'write the digest as "sha256:" and 64 lower-case hex digits'),
    "too many connections": (cache(download__parallelism=65), "should be less than or equal to 64"),
    "devices as a limit": (
        service(runtime__resources={"limits": {"huawei.com/Ascend910": 2}}),
        "a pod gets its devices by its profile: remove them here",
    ),
    "devices as a request": (
        service(runtime__resources={"requests": {"huawei.com/Ascend310P": "1"}}),
        "a pod gets its devices by its profile: remove them here",
    ),
    "more of a device than its limit": (
        service(runtime__resources={"requests": {"rdma/hca": "2"}, "limits": {"rdma/hca": "1"}}),
        "write the same amount of it in requests and limits",
    ),
    "a device without a limit": (
        service(runtime__resources={"requests": {"rdma/hca": 1}, "limits": {"memory": "8Gi"}}),
        "write the same amount of it in requests and limits",
    ),
    # profiles
    "a profile without runtime": (profile(runtime=REMOVE), "spec.runtime: Required value"),
    "an accelerator without resource": (
        profile(accelerator={"type": "Ascend"}),
        "write the resource that the device plugin offers, such as huawei.com/Ascend910",
    ),
    "a CPU with a resource": (
        profile(accelerator={"type": "None", "resourceName": "huawei.com/Ascend910"}),
        "type None has no devices, remove resourceName",
    ),
    "a resource without domain": (
        profile(accelerator__resourceName="Ascend910"),
        "write the resource as <domain>/<name>, such as huawei.com/Ascend910",
    ),
    "a slice of another device": (
        profile(accelerator__slice={"huawei.com/Ascend310P-memory": 4096}),
        "a slice is a part of the device in resourceName",
    ),
    "a slice that is the device": (
        profile(accelerator__slice={"huawei.com/Ascend910": 1}),
        "a slice is a part of the device in resourceName",
    ),
    "a slice of nothing": (
        profile(accelerator={"type": "None", "slice": {"huawei.com/Ascend910-memory": 1}}),
        "a slice is a part of the device in resourceName",
    ),
    "no slice": (
        profile(accelerator__slice={"huawei.com/Ascend910-memory": 0}),
        "should be greater than or equal to 1",
    ),
    "a slice in words": (
        profile(accelerator__slice={"huawei.com/Ascend910-memory": "32Gi"}),
        'must be of type integer: "string"',
    ),
    "a count twice": (profile(accelerator__allowedCounts=[1, 1]), "allowedCounts[1]: Duplicate value: 1"),
    "another accelerator": (profile(accelerator__type="CUDA"), 'supported values: "Ascend", "None"'),
    "another runtime": (profile(runtime__name="tgi"), 'supported values: "vllm-ascend", "vllm"'),
    "a profile's latest image": (profile(runtime__image="vllm:latest"), FIXED),
    "a relative host mount": (profile(pod={"hostMounts": ["usr/local"]}), "write an absolute path of the node"),
    "the whole host": (profile(pod={"hostMounts": ["//"]}), "write an absolute path of the node"),
    "a host mount that climbs": (profile(pod={"hostMounts": ["/usr/../etc"]}), "write an absolute path of the node"),
    "the operator's own label": (
        profile(pod={"labels": {"embedding-operator.io/service": "x"}}),
        "labels of embedding-operator.io/ and app.kubernetes.io/ are the operator's",
    ),
    "the operator's own annotation": (
        profile(pod={"annotations": {"embedding-operator.io/x": "x"}}),
        "annotations of embedding-operator.io/ are the operator's",
    ),
    "the operator's own label in a podTemplate": (
        service(runtime__podTemplate={"metadata": {"labels": {"app.kubernetes.io/name": "x"}}}),
        "labels of embedding-operator.io/ and app.kubernetes.io/ are the operator's",
    ),
    "the operator's own annotation in a podTemplate": (
        service(runtime__podTemplate={"metadata": {"annotations": {"embedding-operator.io/revision": "x"}}}),
        "annotations of embedding-operator.io/ and app.kubernetes.io/ are the operator's",
    ),
    "a pod template that names its pod": (
        service(runtime__podTemplate={"metadata": {"name": "x"}}),
        'unknown field "spec.runtime.podTemplate.metadata.name"',
    ),
    "a share that is no quantity": (profile(pod={"resourcesPerDevice": {"memory": "lots"}}), QUANTITY),
    "shared memory that is no quantity": (profile(pod={"sharedMemory": "1GB"}), QUANTITY),
}


@pytest.mark.parametrize(("manifest", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_manifest_is_refused(kubectl: Kubectl, manifest: Manifest, message: str) -> None:
    with pytest.raises(ClusterError) as refused:
        kubectl("create", "-n", NAMESPACE, "--dry-run=server", "-f", "-", input=as_yaml(manifest))
    assert message in str(refused.value)


@pytest.mark.parametrize("manifest", [service(), cache(), profile()], ids=lambda manifest: manifest["kind"])
def test_what_the_bad_ones_are_made_from_is_good(kubectl: Kubectl, manifest: Manifest) -> None:
    kubectl("create", "-n", NAMESPACE, "--dry-run=server", "-f", "-", input=as_yaml(manifest))


TEMPLATE = {"claimTemplate": {"size": "5Gi"}}
DIGEST = f"sha256:{'0' * 64}"
FORBIDDEN_CHANGES: dict[str, tuple[Manifest, Manifest, str]] = {
    "another revision in a cache": (
        cache(),
        {"source": {"modelScope": {"revision": "v2"}}},
        "source cannot be changed, make another ModelCache for other weights",
    ),
    "another claim of a cache": (
        cache(),
        {"storage": {"claimName": "other"}},
        "storage cannot be changed, make another ModelCache for another volume",
    ),
    "another digest": (cache(digest=DIGEST), {"digest": DIGEST.replace("0", "1")}, "digest cannot be changed"),
    "a digest afterwards": (cache(), {"digest": DIGEST}, "digest cannot be changed"),
    "no digest any more": (cache(digest=DIGEST), {"digest": None}, "digest cannot be changed"),
    "a claim template that grows": (
        service(cache=TEMPLATE),
        {"cache": {"claimTemplate": {"size": "9Gi"}}},
        "the claim is made already: edit the PersistentVolumeClaim <service>-models itself",
    ),
}


@pytest.mark.parametrize(("manifest", "patch", "message"), FORBIDDEN_CHANGES.values(), ids=FORBIDDEN_CHANGES.keys())
def test_a_change_that_cannot_be_honoured_is_refused(
    kubectl: Kubectl, manifest: Manifest, patch: Manifest, message: str
) -> None:
    with pytest.raises(ClusterError) as refused:
        change(kubectl, manifest, patch)
    assert message in str(refused.value)


ALLOWED_CHANGES: dict[str, tuple[Manifest, Manifest]] = {
    "another revision in a service": (service(), {"model": {"source": {"modelScope": {"revision": "v2"}}}}),
    "another claim of a service": (service(), {"cache": {"claimName": "other"}}),
    "from a template to a claim": (service(cache=TEMPLATE), {"cache": {"claimTemplate": None, "claimName": "w"}}),
    "from a source to a cacheRef": (
        service(),
        {"model": {"source": None, "cacheRef": {"name": "c"}}, "cache": None},
    ),
    "more connections for a cache": (cache(digest=DIGEST), {"download": {"parallelism": 16}}),
    "another way to the network": (
        cache(download={"bytesPerSecond": "1Mi"}),
        {"download": {"bytesPerSecond": 0, "proxy": {"https": "http://proxy:3128", "noProxy": ".svc"}}},
    ),
    "a proxy that wants a password": (
        cache(download={"bytesPerSecond": "1Mi"}),
        {"download": {"proxy": {"secretRef": {"name": "site-proxy", "key": "proxy"}, "noProxy": ".svc"}}},
    ),
}


@pytest.mark.parametrize(("manifest", "patch"), ALLOWED_CHANGES.values(), ids=ALLOWED_CHANGES.keys())
def test_a_change_that_can_be_honoured_is_accepted(kubectl: Kubectl, manifest: Manifest, patch: Manifest) -> None:
    assert "patched" in change(kubectl, manifest, patch)


def change(kubectl: Kubectl, manifest: Manifest, patch: Manifest) -> str:
    """Store a manifest, then merge a patch into its spec."""
    kubectl("create", "-n", NAMESPACE, "-f", "-", input=as_yaml(manifest))
    stored = f"{manifest['kind'].lower()}/{manifest['metadata']['name']}"
    try:
        return kubectl("patch", "-n", NAMESPACE, stored, "--type=merge", "-p", json.dumps({"spec": patch}))
    finally:
        kubectl("delete", "-n", NAMESPACE, stored)
