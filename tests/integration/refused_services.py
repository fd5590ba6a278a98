"""EmbeddingServices that the API server refuses, and words of each message: what to write instead."""

from __future__ import annotations

from typing import Any

from tests.integration.kinds import REMOVE, Manifest, service

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
KEYS = "write keys as Kubernetes has them, such as team or example.com/team"
VALUE = "write a label's value, which begins and ends with a letter or digit"
RESOURCE = "write cpu, memory, ephemeral-storage, hugepages-2Mi, or a resource with its domain"
RESERVED = "labels of embedding-operator.io/ and app.kubernetes.io/ are the operator's"
DEVICES = "a pod gets its devices by its profile: remove them here"
AMOUNT = "write the same amount of it in requests and limits"
SOURCE = {"modelScope": {"repo": "a/b"}}


def hub(**fields: Any) -> Manifest:
    return service(**{f"model__source__modelScope__{name}": value for name, value in fields.items()})


def resources(**written: Any) -> Manifest:
    return service(runtime__resources=written)


def toleration(**fields: Any) -> Manifest:
    return service(scheduling__tolerations=[fields])


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
    "a day as a duration": (service(cache__ttlAfterUnused="7d"), "such as 168h or 30m"),
    "a claim and a template": (
        service(cache__claimTemplate={"size": "5Gi"}),
        "write exactly one of claimName: <claim of this namespace>",
    ),
    "a template without size": (service(cache={"claimTemplate": {}}), "spec.cache.claimTemplate.size: Required value"),
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
    "a claim in capitals": (service(cache__claimName="Weights"), "write the name of a claim in lower case"),
    "a claim with two dots in a row": (service(cache__claimName="a..b"), "write the name of a claim in lower case"),
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
    "a secret's key that is a way": (hub(secretRef={"name": "s", "key": ".."}), "write a key of the Secret"),
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
    "a request that is no quantity": (resources(requests={"cpu": "two"}), QUANTITY),
    "a limit that is no quantity": (resources(limits={"memory": "8 GB"}), QUANTITY),
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
    # names and labels as Kubernetes has them
    "a pull secret in capitals": (
        service(runtime__imagePullSecrets=[{"name": "Registry"}]),
        "write the name of a Secret in lower case, such as registry-credentials",
    ),
    "a PriorityClass with a blank": (
        service(scheduling__priorityClassName="very high"),
        "write the name of a PriorityClass in lower case, such as serving",
    ),
    "a zone with a blank": (
        service(scheduling__topologySpread=[{"topologyKey": "my zone"}]),
        "write a label's key as nodes have it, such as topology.kubernetes.io/zone",
    ),
    "a label key with a blank": (
        service(scheduling__topologySpread=[{"topologyKey": "zone", "labelSelector": {}, "matchLabelKeys": ["a b"]}]),
        "write a label's key as pods have it, such as pod-template-hash",
    ),
    "a label of nodes that is none": (service(scheduling__nodeSelector={"a b": "x"}), KEYS),
    "a label's value that no node has": (service(scheduling__nodeSelector={"a": "x y"}), VALUE),
    "a label of pods that is none": (service(runtime__podTemplate={"metadata": {"labels": {"a b": "x"}}}), KEYS),
    "a label's value that no pod has": (service(runtime__podTemplate={"metadata": {"labels": {"a": "x y"}}}), VALUE),
    "a label of a PodMonitor that is none": (service(monitoring={"podMonitor": True, "labels": {"a b": "x"}}), KEYS),
    "a label's value that no PodMonitor has": (service(monitoring={"podMonitor": True, "labels": {"a": "x y"}}), VALUE),
    "a PodMonitor's labels without one": (
        service(monitoring={"labels": {"a": "x"}}),
        "spec.monitoring.podMonitor: Required",
    ),
    "the operator's own label on a PodMonitor": (
        service(monitoring={"podMonitor": True, "labels": {"app.kubernetes.io/managed-by": "x"}}),
        RESERVED,
    ),
    "an annotation of pods that is none": (
        service(runtime__podTemplate={"metadata": {"annotations": {"a b": "x"}}}),
        KEYS,
    ),
    "an annotation of a Service that is none": (service(exposure__service={"annotations": {"a b": "x"}}), KEYS),
    "a load balancer's class with a blank": (
        service(exposure__service={"type": "LoadBalancer", "loadBalancerClass": "a b"}),
        "write the class as its controller names it, such as service.k8s.aws/nlb",
    ),
    "a Gateway in capitals": (
        service(exposure__gateway={"parentRefs": [{"name": "Public"}]}),
        "write the name of a Gateway in lower case, such as public",
    ),
    "a Gateway's namespace in capitals": (
        service(exposure__gateway={"parentRefs": [{"name": "public", "namespace": "Gateways"}]}),
        "write the name of a namespace in lower case, such as gateways",
    ),
    "a listener in capitals": (
        service(exposure__gateway={"parentRefs": [{"name": "public", "sectionName": "HTTPS"}]}),
        "write the name of a listener in lower case, such as https",
    ),
    "a resource without a domain": (resources(requests={"disk": "1"}), RESOURCE),
    "a limit without a domain": (resources(limits={"disk": "1"}), RESOURCE),
    # tolerations
    "a taint that no node has": (toleration(key="a b"), "write the taint's key as nodes have it"),
    "a taint's value that no node has": (toleration(key="a", value="é"), "write the taint's value as nodes have it"),
    "Exists with a value": (toleration(key="a", operator="Exists", value="b"), "operator Exists takes no value"),
    "no key": (toleration(effect="NoSchedule"), "operator: Exists to accept every taint"),
    "seconds without NoExecute": (
        toleration(key="a", tolerationSeconds=5),
        "tolerationSeconds needs effect: NoExecute",
    ),
    # devices
    "devices as a limit": (resources(limits={"huawei.com/Ascend910": 2}), DEVICES),
    "devices as a request": (resources(requests={"huawei.com/Ascend310P": "1"}), DEVICES),
    "more of a device than its limit": (resources(requests={"rdma/hca": "2"}, limits={"rdma/hca": "1"}), AMOUNT),
    "a device without a limit": (resources(requests={"rdma/hca": 1}, limits={"memory": "8Gi"}), AMOUNT),
    "more memory than its limit": (
        resources(requests={"memory": "9Gi", "cpu": 2}, limits={"memory": "8Gi", "cpu": "2500m"}),
        "write at most the amount in limits",
    ),
    "huge pages without a limit": (resources(requests={"hugepages-2Mi": "1Gi", "memory": "8Gi"}), AMOUNT),
    # pod templates
    "the operator's own label in a podTemplate": (
        service(runtime__podTemplate={"metadata": {"labels": {"app.kubernetes.io/name": "x"}}}),
        RESERVED,
    ),
    "the operator's own annotation in a podTemplate": (
        service(runtime__podTemplate={"metadata": {"annotations": {"embedding-operator.io/revision": "x"}}}),
        "annotations of embedding-operator.io/ and app.kubernetes.io/ are the operator's",
    ),
    "a pod template that names its pod": (
        service(runtime__podTemplate={"metadata": {"name": "x"}}),
        'unknown field "spec.runtime.podTemplate.metadata.name"',
    ),
}
