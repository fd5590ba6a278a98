"""The pod template of a serving pod: one vLLM pooling server over weights that are already on the volume.

Rules that bite (vLLM 0.11 to 0.32, vllm-ascend images):
- vllm-ascend: `args`, never `command`, because the CANN image's entrypoint sets up the NPU's environment.
- vLLM's own images: `command`, because their entrypoint is `vllm serve` itself and would take our words for its model.
- `/health` says nothing about the model; one real request gates the start (vllm-ascend#6471).
- SIGTERM drops requests in flight in pooling servers; `preStop` drains before it is sent.
- A Service called `vllm` would inject VLLM_PORT, which vLLM refuses: `enableServiceLinks: false`.
"""

from dataclasses import dataclass

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject
from embedding_operator.planning import middleware, scripts, space, trust
from embedding_operator.planning.flags import SERVER_PORT, serve_args
from embedding_operator.planning.onenode import beside
from embedding_operator.planning.podtemplate import merged
from embedding_operator.planning.resolve import Resolution
from embedding_operator.planning.revision import ANNOTATION
from embedding_operator.planning.spread import constraints
from embedding_operator.planning.weights import Weights

MODELS_PATH = "/models"
SCRATCH_PATH = "/tmp"  # noqa: S108  (the pod's own)
DIGEST_ANNOTATION = f"{names.GROUP}/weights-digest"
_STARTUP_PERIOD = 5
_STARTUP_BUDGET = 1800  # seconds; a cold shared file system may need most of it
BUILT_IN_ENV = (  # name, value and why
    ("VLLM_MEDIA_URL_ALLOW_REDIRECTS", "0", "an allowed host leads to no other one"),
    ("HF_HUB_OFFLINE", "1", "the weights are on the volume; nothing is looked for elsewhere"),
    ("TRANSFORMERS_OFFLINE", "1", "the same, for transformers"),
    ("VLLM_NO_USAGE_STATS", "1", "nothing is told to anybody"),
    ("DO_NOT_TRACK", "1", "the same, in the common word for it"),
    (
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE",
        "90",
        "longer than clients keep idle connections, so that the client closes them and no request meets a reset",
    ),
)


@dataclass(frozen=True, slots=True)
class Belonging:
    """Whose a server's pod is: how others find it, what it is spread with, what its vectors are held against."""

    labels: dict[str, str]
    annotations: dict[str, str]
    spread: list[JsonObject]
    beside: JsonObject  # the affinity term for a claim that one node can mount
    held_against: str | None = None


def pod_template(
    service: str, revision_name: str, resolved: Resolution, weights: Weights, scripts_name: str
) -> JsonObject:
    """The template that goes into a revision. `weights` are staged: their path and digest are known.

    Raises PlanError for a podTemplate that touches what is the operator's.
    """
    held_against = space.space_name(service, resolved, weights)
    belonging = Belonging(
        labels=names.service_labels(service),
        annotations={
            ANNOTATION: revision_name,
            **({names.SPACE_ANNOTATION: held_against} if held_against else {}),
            **({names.SCHEME_ANNOTATION: "HTTPS"} if resolved.certificate else {}),
        },
        spread=constraints(service, resolved.spread),
        beside=beside(weights.claim),
        held_against=held_against,
    )
    return server_template(belonging, resolved, weights, scripts_name)


def server_template(belonging: Belonging, resolved: Resolution, weights: Weights, scripts_name: str) -> JsonObject:
    """The template of a pod whose container `vllm` serves these weights, whoever it belongs to. Raises PlanError."""
    model_path = f"{MODELS_PATH}/{weights.path}"
    held_against = belonging.held_against
    rendered: JsonObject = {
        "metadata": {
            "labels": {
                **resolved.labels,
                **belonging.labels,
                **(names.claim_labels(weights.claim) if weights.one_node else {}),
            },
            "annotations": {
                **resolved.annotations,
                DIGEST_ANNOTATION: weights.digest,
                names.CACHE_ANNOTATION: weights.cache,
                **belonging.annotations,
            },
        },
        "spec": {
            "enableServiceLinks": False,
            "automountServiceAccountToken": False,
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "terminationGracePeriodSeconds": resolved.drain_seconds + 30,
            "containers": [_container(resolved, model_path, weights, held_against)],
            "volumes": _volumes(resolved, weights, scripts_name, held_against),
        }
        | _placement(belonging, resolved, weights),
    }
    return merged(rendered, resolved.pod_template)


def _container(resolved: Resolution, model_path: str, weights: Weights, held_against: str | None) -> JsonObject:
    launch, serve = ["python3", scripts.script_path("launch")], serve_args(resolved, model_path)
    start: JsonObject = {"args": launch + serve} if resolved.keeps_entrypoint else {"command": launch, "args": serve}
    return {
        "name": "vllm",
        "image": resolved.image,
        "imagePullPolicy": resolved.pull_policy,
        **start,
        "env": _environment(resolved),
        "ports": [{"name": "http", "containerPort": SERVER_PORT, "protocol": "TCP"}],
        "resources": resolved.resources,
        "securityContext": _security(resolved),
        "startupProbe": _startup_probe(resolved, held_against),
        "livenessProbe": {
            # /health, and whether anything gets done
            "httpGet": {"path": "/-/live", "port": "http"} | trust.scheme(resolved),
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,  # big image batches stall the event loop
            "terminationGracePeriodSeconds": 10,  # a dead server has nothing to drain
        },
        "readinessProbe": {
            "httpGet": {"path": "/-/ready", "port": "http"} | trust.scheme(resolved),
            "periodSeconds": 5,
            "timeoutSeconds": 3,
            "failureThreshold": 3,
        },
        # the last 2 KiB of its log reach the pod's status, which is all that the operator reads of it
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "lifecycle": {"preStop": {"exec": {"command": _drain_command(resolved)}}},
        "volumeMounts": _mounts(resolved, model_path, weights, held_against),
    }


def own_environment(resolved: Resolution) -> tuple[tuple[str, str, str], ...]:
    """Name, value and reason of each variable that is there unless profile or service say otherwise."""
    home = ("HOME", SCRATCH_PATH, "caches belong where the server may write; its root is read-only")
    return (
        *BUILT_IN_ENV,
        *((home,) if resolved.read_only_root else ()),
        *middleware.environment(resolved),
        *trust.environment(resolved),
    )


def _environment(resolved: Resolution) -> list[JsonObject]:
    merged = {**{name: value for name, value, _ in own_environment(resolved)}, **resolved.env}
    return [{"name": name, "value": value} for name, value in merged.items()]


def _startup_probe(resolved: Resolution, held_against: str | None) -> JsonObject:
    command = [
        "python3",
        scripts.script_path("probe"),
        "--port",
        str(SERVER_PORT),
        "--model",
        resolved.served_names[0],
        "--task",
        resolved.task.lower(),
        *(["--api-keys", trust.KEYS_PATH] if resolved.api_keys else []),
        *(["--tls"] if resolved.certificate else []),
        *(["--measure", space.VECTORS_PATH] if held_against else []),
        "--budget",
        str(_STARTUP_BUDGET),
    ]
    return {
        "exec": {"command": command},
        "periodSeconds": _STARTUP_PERIOD,
        "timeoutSeconds": 30,
        "failureThreshold": _STARTUP_BUDGET // _STARTUP_PERIOD,
    }


def _drain_command(resolved: Resolution) -> list[str]:
    return [
        "python3",
        scripts.script_path("drain"),
        "--port",
        str(SERVER_PORT),
        "--timeout",
        str(resolved.drain_seconds),
        *(["--tls"] if resolved.certificate else []),
    ]


def _security(resolved: Resolution) -> JsonObject:
    # the device nodes belong to another user with mode 0660 (vllm-ascend#9490): root opens them only with the
    # runtime's default capabilities
    capabilities = {"capabilities": {"drop": ["ALL"]}} if resolved.resource_name is None else {}
    read_only = {"readOnlyRootFilesystem": True} if resolved.read_only_root else {}
    return {"allowPrivilegeEscalation": False, **capabilities, **read_only}


def _mounts(resolved: Resolution, model_path: str, weights: Weights, held_against: str | None) -> list[JsonObject]:
    return [
        {"name": "weights", "mountPath": model_path, "subPath": weights.claim_path, "readOnly": True},
        {"name": "scripts", "mountPath": scripts.MOUNT_PATH, "readOnly": True},
        {"name": "state", "mountPath": scripts.STATE_PATH},
        *([space.mount()] if held_against else []),
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108  (the pod's own)
        *([{"name": "tmp", "mountPath": SCRATCH_PATH}] if resolved.read_only_root else []),
        *(secret.mount for secret in trust.secret_volumes(resolved)),
        *(
            {"name": f"host-{index}", "mountPath": path, "readOnly": True}
            for index, path in enumerate(resolved.host_mounts)
        ),
    ]


def _volumes(resolved: Resolution, weights: Weights, scripts_name: str, held_against: str | None) -> list[JsonObject]:
    return [
        {"name": "weights", "persistentVolumeClaim": {"claimName": weights.claim, "readOnly": True}},
        {"name": "scripts", "configMap": {"name": scripts_name, "defaultMode": 0o444}},
        {"name": "state", "emptyDir": {"sizeLimit": "16Mi"}},
        *([space.volume(held_against)] if held_against else []),
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": resolved.shared_memory}},
        *([{"name": "tmp", "emptyDir": {}}] if resolved.read_only_root else []),
        *(secret.volume for secret in trust.secret_volumes(resolved)),
        *({"name": f"host-{index}", "hostPath": {"path": path}} for index, path in enumerate(resolved.host_mounts)),
    ]


def _together(term: JsonObject, affinity: JsonObject) -> JsonObject:
    """The affinity, and that all pods that serve from the claim are on one node: no other can mount it beside it."""
    wanted = affinity.get("podAffinity") or {}
    if not isinstance(wanted, dict):
        return affinity  # the API server says what is wrong with it
    required = [*(wanted.get("requiredDuringSchedulingIgnoredDuringExecution") or ()), term]
    return affinity | {"podAffinity": wanted | {"requiredDuringSchedulingIgnoredDuringExecution": required}}


def _placement(belonging: Belonging, resolved: Resolution, weights: Weights) -> JsonObject:
    """What the pod asks of the scheduler, present only where something was said."""
    fields: JsonObject = {
        "topologySpreadConstraints": belonging.spread,
        "nodeSelector": dict(resolved.node_selector),
        "tolerations": list(resolved.tolerations),
        "affinity": _together(belonging.beside, resolved.affinity) if weights.one_node else resolved.affinity,
        "priorityClassName": resolved.priority_class,
        "runtimeClassName": resolved.runtime_class,
        "schedulerName": resolved.scheduler,
        "imagePullSecrets": [{"name": name} for name in resolved.pull_secrets],
    }
    return {name: value for name, value in fields.items() if value}
