"""The Job of one run of a benchmark: a pod with the service's own image, which has `vllm bench serve`, and no device.

It is created once, named by its benchmark and the number of the run, and remembers in an annotation what it began to
measure: that the service is still that at its end is what makes the figures worth something.
"""

import json
from dataclasses import dataclass

from embedding_operator.api import names
from embedding_operator.api.benchmark import EmbeddingBenchmark, Load, Measured
from embedding_operator.api.json import JsonObject
from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning import scripts
from embedding_operator.planning.benchloads import command, repeats_of, warmup_of
from embedding_operator.planning.commandline import literal
from embedding_operator.planning.exposure import endpoint
from embedding_operator.planning.onenode import beside
from embedding_operator.planning.owner import owner_reference
from embedding_operator.planning.revision import Revision
from embedding_operator.planning.trust import CERTIFICATE, KEYS_PATH, TLS_PATH

SCRIPT_FILE = "embedding_operator_bench.py"
MEASURED_ANNOTATION = f"{names.GROUP}/measured"
INPUT_PATH, OUTPUT_PATH = "/input", "/output"
SCRATCH_PATH = "/tmp"  # noqa: S108  (the pod's own)
CONTAINER = "bench"
PERMANENT_EXIT_CODE = 3
_USER = 65532
_LONGEST = 6 * 3600  # seconds of one run; vLLM's own patience with one request
ENVIRONMENT = {
    "HOME": SCRATCH_PATH,
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_PLUGINS": "",  # vllm-ascend's platform wants the driver, which is where devices are
    "TORCH_DEVICE_BACKEND_AUTOLOAD": "0",  # and so does torch-npu, which torch loads by itself
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: the service, the revision that all its pods are of, and the pods by uid with their restarts."""

    service: EmbeddingService
    revision: Revision
    pods: dict[str, int]

    @property
    def model(self) -> str:
        """The first of the names that the servers answer to."""
        words = self.revision.resolved.get("args") or ()
        place = list(words).index("--served-model-name") if "--served-model-name" in words else -1
        return str(words[place + 1]) if place >= 0 else self.service.metadata.name

    def measured(self) -> Measured:
        """As a status tells it."""
        resolved = self.revision.resolved
        told: JsonObject = {
            field: resolved.get(field) for field in ("image", "vllm", "profile", "chip", "dtype", "args")
        }
        return Measured.from_dict(
            told
            | {
                "generation": self.service.metadata.generation,
                "revision": self.revision.name,
                "weights": self.revision.weights.get("revision"),
                "digest": self.revision.digest,
                "replicas": len(self.pods),
            }
        )


def job_name(benchmark: EmbeddingBenchmark, run: int) -> str:
    """Of the run with this number, from 1; another benchmark of the same name has others."""
    return names.bench_job_name(benchmark.metadata.name, benchmark.metadata.uid or "", run)


def script_config_map(benchmark: EmbeddingBenchmark, script: str) -> JsonObject:
    """The script, as this operator has it; it goes with the benchmark."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": _script_name(benchmark, script),
            "namespace": benchmark.metadata.namespace,
            "labels": names.bench_labels(benchmark.metadata.name),
            "ownerReferences": [owner_reference(names.EMBEDDING_BENCHMARK, benchmark.metadata)],
        },
        "immutable": True,
        "data": {SCRIPT_FILE: script},
    }


def mounts(current: JsonObject, config_map: JsonObject) -> bool:
    """Whether pods of that Job have their script from it; those of a Job of an older operator have another."""
    mounted = (current["metadata"].get("annotations") or {}).get(names.SCRIPTS_ANNOTATION)
    return bool(mounted == config_map["metadata"]["name"])


def _script_name(benchmark: EmbeddingBenchmark, script: str) -> str:
    return names.bench_script_name(benchmark.metadata.name, [benchmark.metadata.uid, script])


def job(benchmark: EmbeddingBenchmark, run: int, load: Load, subject: Subject, script: str) -> JsonObject:
    """The Job of a run."""
    labels = names.bench_labels(benchmark.metadata.name)
    held = names.claim_labels(_claim(subject)) if _one_node(subject) else {}
    measured = {"service": subject.measured().to_dict(), "pods": subject.pods}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(benchmark, run),
            "namespace": benchmark.metadata.namespace,
            "labels": labels,
            "annotations": {
                MEASURED_ANNOTATION: json.dumps(measured, sort_keys=True),
                names.SCRIPTS_ANNOTATION: _script_name(benchmark, script),
            },
            "ownerReferences": [owner_reference(names.EMBEDDING_BENCHMARK, benchmark.metadata)],
        },
        "spec": {
            "backoffLimit": 2,
            "activeDeadlineSeconds": _LONGEST,
            "podFailurePolicy": {
                "rules": [
                    {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [PERMANENT_EXIT_CODE]}},
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
                ]
            },
            "template": {"metadata": {"labels": labels | held}, "spec": _pod(benchmark, run, load, subject, script)},
        },
    }


def _pod(benchmark: EmbeddingBenchmark, run: int, load: Load, subject: Subject, script: str) -> JsonObject:
    serving = subject.revision.template["spec"]
    placed: JsonObject = {field: serving.get(field) for field in ("nodeSelector", "tolerations", "imagePullSecrets")}
    return {
        "restartPolicy": "Never",
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "securityContext": _security(benchmark, subject),
        "affinity": _affinity(subject),
        "containers": [_container(benchmark, run, load, subject)],
        "volumes": _volumes(benchmark, subject, script),
    } | {field: value for field, value in placed.items() if value}


def _affinity(subject: Subject) -> JsonObject:
    """Where the image runs at all, and near the servers if there is room: what is measured is not the network."""
    node = ((subject.revision.template["spec"].get("affinity") or {}).get("nodeAffinity")) or {}
    selector = {"matchLabels": names.service_selector(subject.service.metadata.name)}
    near = [
        {"weight": weight, "podAffinityTerm": {"labelSelector": selector, "topologyKey": key}}
        for weight, key in ((100, "topology.kubernetes.io/zone"), (50, "kubernetes.io/hostname"))
    ]
    required = [beside(_claim(subject))] if _one_node(subject) else []
    wanted = {
        "requiredDuringSchedulingIgnoredDuringExecution": required,
        "preferredDuringSchedulingIgnoredDuringExecution": near,
    }
    together = {"podAffinity": {how: terms for how, terms in wanted.items() if terms}}
    return together | ({"nodeAffinity": node} if node else {})


def _security(benchmark: EmbeddingBenchmark, subject: Subject) -> JsonObject:
    """Nobody in particular; who writes on the volume of the weights is who staged them."""
    context: JsonObject = {
        "runAsUser": _USER,
        "runAsGroup": _USER,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    output, cache = benchmark.spec.output, subject.service.spec.cache
    if output is None:
        return context
    context |= {"fsGroup": _USER, "fsGroupChangePolicy": "OnRootMismatch"}
    staged_by = cache.security_context if cache is not None and output.claim_name == _claim(subject) else None
    wanted = staged_by.to_dict() if staged_by else {}
    return context | wanted | {"runAsNonRoot": wanted.get("runAsUser", _USER) != 0}


def _claim(subject: Subject) -> str:
    return str(_weights_volume(subject)["persistentVolumeClaim"]["claimName"])


def _one_node(subject: Subject) -> bool:
    """Whether all pods that mount the weights must be on one node, as the servers' labels say."""
    return names.CLAIM_LABEL in (subject.revision.template["metadata"].get("labels") or {})


def _weights_volume(subject: Subject) -> JsonObject:
    volume: JsonObject = next(one for one in subject.revision.template["spec"]["volumes"] if one["name"] == "weights")
    return volume


def _serving_container(subject: Subject) -> JsonObject:
    container: JsonObject = next(
        one for one in subject.revision.template["spec"]["containers"] if one["name"] == "vllm"
    )
    return container


def _weights_mount(subject: Subject) -> JsonObject:
    mount: JsonObject = next(one for one in _serving_container(subject)["volumeMounts"] if one["name"] == "weights")
    return mount


def _container(benchmark: EmbeddingBenchmark, run: int, load: Load, subject: Subject) -> JsonObject:
    serving, spec = _serving_container(subject), benchmark.spec
    mounts = [
        _weights_mount(subject),
        {"name": "script", "mountPath": scripts.MOUNT_PATH, "readOnly": True},
        {"name": "tmp", "mountPath": SCRATCH_PATH},
    ]
    exposure = subject.service.spec.exposure
    if exposure.api_key_secret_ref is not None:
        mounts.append({"name": "api-keys", "mountPath": KEYS_PATH, "readOnly": True})
    if exposure.tls.secret_ref is not None:
        mounts.append({"name": "tls", "mountPath": TLS_PATH, "readOnly": True})
    if spec.input is not None:
        mounts.append({"name": "input", "mountPath": INPUT_PATH, "readOnly": True})
    if spec.output is not None:
        # whole: a folder that the kubelet makes for a subPath belongs to root
        mounts.append({"name": "output", "mountPath": OUTPUT_PATH})
    return {
        "name": CONTAINER,
        "image": serving["image"],
        "imagePullPolicy": serving.get("imagePullPolicy") or "IfNotPresent",
        # not the entrypoint of the image: what it sets up is for devices, and needs its root
        "command": ["python3", f"{scripts.MOUNT_PATH}/{SCRIPT_FILE}"],
        "args": [literal(word) for word in _arguments(benchmark, run, load, subject)],
        "env": [{"name": name, "value": value} for name, value in ENVIRONMENT.items()],
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "8Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
    }


def _arguments(benchmark: EmbeddingBenchmark, run: int, load: Load, subject: Subject) -> list[str]:
    service, exposure = subject.service.metadata, subject.service.spec.exposure
    url = endpoint(service.name, service.namespace or "", exposure).removesuffix("/v1")
    tokenizer = str(_weights_mount(subject)["mountPath"])
    optional = [
        *(["--inputs-per-request", str(load.inputs_per_request)] if (load.inputs_per_request or 1) > 1 else []),
        *(["--as-they-are"] if load.dataset == "custom" else []),
        *(["--api-keys", KEYS_PATH] if exposure.api_key_secret_ref is not None else []),
        *(["--certificates", TLS_PATH] if exposure.tls.secret_ref is not None else []),
    ]
    if (output := benchmark.spec.output) is not None:
        folder = "/".join(part for part in (OUTPUT_PATH, output.path, benchmark.metadata.name) if part)
        optional += ["--keep", folder, "--keep-as", f"run-{run}"]
    return [
        *("--url", url),
        *("--prompts", str(load.prompts)),
        *("--repeats", str(repeats_of(benchmark))),
        *("--warmup", str(warmup_of(benchmark))),
        *("--seed", str(load.seed or 0)),
        *optional,
        "--",
        *command(load, model=subject.model, tokenizer=tokenizer, url=url, files=INPUT_PATH),
    ]


def _volumes(benchmark: EmbeddingBenchmark, subject: Subject, script: str) -> list[JsonObject]:
    spec, exposure = benchmark.spec, subject.service.spec.exposure
    volumes: list[JsonObject] = [
        _weights_volume(subject),
        {"name": "script", "configMap": {"name": _script_name(benchmark, script), "defaultMode": 0o444}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
    ]
    if exposure.api_key_secret_ref is not None:
        secret = {"secretName": exposure.api_key_secret_ref.name, "defaultMode": 0o444}
        volumes.append({"name": "api-keys", "secret": secret})
    if exposure.tls.secret_ref is not None:
        volumes.append({"name": "tls", "projected": _certificates(exposure.tls.secret_ref.name)})
    if spec.input is not None:
        claim = {"claimName": spec.input.claim_name, "readOnly": True}
        volumes.append({"name": "input", "persistentVolumeClaim": claim})
    if spec.output is not None:
        volumes.append({"name": "output", "persistentVolumeClaim": {"claimName": spec.output.claim_name}})
    return volumes


def _certificates(secret: str) -> JsonObject:
    """The certificate and, where it is, that of whoever issued it. The key is none of a client's business."""
    wanted = (({"name": secret}, CERTIFICATE), ({"name": secret, "optional": True}, "ca.crt"))
    return {
        "defaultMode": 0o444,
        "sources": [{"secret": name | {"items": [{"key": key, "path": key}]}} for name, key in wanted],
    }
