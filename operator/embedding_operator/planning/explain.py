"""Every decision about a service's pods, and why: what `embedding-operator explain` prints.

The values are those of the resolution and of the rendered template, never thought out again here; the reasons stand
beside them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from embedding_operator.api.json import JsonObject
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.api.source import ModelSource
from embedding_operator.planning.exposure import port_of
from embedding_operator.planning.flags import serve_flags
from embedding_operator.planning.pod import own_environment
from embedding_operator.planning.podtemplate import FIELD, SERVER, said
from embedding_operator.planning.problems import told
from embedding_operator.planning.resolve import Resolution
from embedding_operator.planning.rolling import min_available
from embedding_operator.planning.space import policy_of, space_of
from embedding_operator.planning.trust import secret_volumes


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided of something, and why."""

    group: str
    what: str
    value: str
    why: str


_VOLUMES = {
    "weights": "this model's files alone, read-only, staged and checked by its ModelCache",
    "scripts": "launcher, startup probe, middleware and drain, pinned by this revision",
    "state": "the drain flag, which preStop and the server share, and what the startup probe measured",
    "space": "the vectors that this service gave first, written by the operator once a pod is ready",
    "tmp": "all else that the server may write, its caches too: readOnlyRootFilesystem of the profile",
    "shm": "shared memory between the server's processes; it counts as the container's memory",
}
_REQUESTS = {"Embed": "embedding", "Rerank": "ranking", "Classify": "classification"}
_HOST_MOUNT = "hostMounts of the profile: the NPU's driver; none are needed where Ascend Docker Runtime mounts it"


def explain(
    service: EmbeddingService,
    profile: RuntimeProfile,
    source: ModelSource,
    resolved: Resolution,
    deployment: JsonObject,
) -> Iterator[Decision]:
    """The decisions, in the order in which they are taken."""
    template = deployment["spec"]["template"]["spec"]
    container = next(one for one in template["containers"] if one["name"] == SERVER)
    yield from _server(service, source, resolved)
    yield from _prompt(service, resolved)
    yield from _problems(resolved, container)
    yield from _devices(profile, resolved, container)
    yield from _flags(service, profile, resolved)
    yield from _environment(service, profile, resolved, container)
    yield from _volumes(resolved, template, container)
    yield from _life(service, resolved, template, container)
    yield from _placement(service, resolved, template)
    yield from _rollout(service, resolved, deployment)
    for what, value in said(resolved.pod_template) if resolved.pod_template else ():
        yield Decision("podTemplate", what, str(value), "spec.runtime.podTemplate, over what was rendered")


def _server(service: EmbeddingService, source: ModelSource, resolved: Resolution) -> Iterator[Decision]:
    def made(what: str, value: str, why: str) -> Decision:
        return Decision("server", what, value, why)

    named = service.spec.runtime.profile is not None
    yield made("profile", resolved.profile, "spec.runtime.profile" if named else "the profile annotated as default")
    yield made("model", source.display, f"source.{source.kind}")
    yield made("task", resolved.task, "spec.task" if service.spec.task else "Embed, as spec.task is left out")
    if resolved.family:
        yield made("family", resolved.family.name, "told by the name of the model")
    else:
        yield made("family", "unknown", "the name tells none: served as vLLM finds it (servedName may tell)")
    yield made("image", resolved.image, resolved.image_from)
    since = f"; flags are those of {resolved.release}" if str(resolved.release) != resolved.version else ""
    yield made("vLLM", resolved.version, f"{resolved.version_from}{since}")
    if resolved.keeps_entrypoint:
        yield made("entrypoint", "the image's", "it sets up the NPU's environment; our launcher is its first argument")
    else:
        yield made("entrypoint", "our launcher", "the image's own is `vllm serve` and would take it for a model")


def _prompt(service: EmbeddingService, resolved: Resolution) -> Iterator[Decision]:
    """Of models that were trained with a format, and where an instruction is given."""
    if resolved.task == "Embed" and resolved.family and resolved.family.prompt:
        said = "spec.serving.promptFormat" if service.spec.serving.prompt_format else "as promptFormat is left out"
        does = (
            "text of /v1/embeddings is put into the format that the model was trained with"
            if resolved.prompt
            else "text reaches the model as clients send it"
        )
        yield Decision("prompt", "format", resolved.prompt_format, f"{said}: {does}")
    if resolved.prompt:
        yield Decision("prompt", "instruction", resolved.prompt.instruction, resolved.prompt.instruction_from)


def _problems(resolved: Resolution, container: JsonObject) -> Iterator[Decision]:
    for problem in resolved.problems:
        _, line = told((problem,), tuple(container["args"]))
        what = "can be worked around:" if problem.flags else "warning:"
        yield Decision("known problems", what, problem.what, line.removeprefix(problem.what).strip())


def _devices(profile: RuntimeProfile, resolved: Resolution, container: JsonObject) -> Iterator[Decision]:
    site = profile.spec
    if resolved.resource_name is None:
        yield Decision("devices", "device", "none", f"accelerator.type of RuntimeProfile {resolved.profile} is None")
    else:
        allowed = ", ".join(map(str, site.accelerator.allowed_counts or ()))
        counts = f"; the chip allows {allowed}" if allowed else ""
        yield Decision(
            "devices",
            "device",
            f"{resolved.tensor_parallel} x {resolved.resource_name}",
            f"resourceName of the profile, spec.parallelism.tensor (1 when left out){counts}",
        )
        yield Decision(
            "devices",
            "chip",
            resolved.chip or "unknown",
            "accelerator.chip of the profile, else told by its resource" if resolved.chip else "the profile says none",
        )
    for kind, amounts in container["resources"].items():
        yield Decision(
            "devices",
            kind,
            _pairs(amounts),
            "resourcesPerDevice of the profile for each device, spec.runtime.resources before it; of devices, limits "
            "equal requests",
        )


def _flags(service: EmbeddingService, profile: RuntimeProfile, resolved: Resolution) -> Iterator[Decision]:
    for flag in serve_flags(resolved):
        yield Decision("flags", flag.name, " ".join(flag.values), flag.why)
    for args, where in (
        (profile.spec.serving.args, f"serving.args of RuntimeProfile {resolved.profile}"),
        (service.spec.runtime.args, "spec.runtime.args"),
    ):
        if args:
            yield Decision(
                "flags", "then", " ".join(args), f"{where}: the last value of a flag wins, a JSON object is merged"
            )


def _environment(
    service: EmbeddingService, profile: RuntimeProfile, resolved: Resolution, container: JsonObject
) -> Iterator[Decision]:
    built_in = {name: why for name, _, why in own_environment(resolved)}
    own = {variable.name for variable in service.spec.runtime.env or ()}
    site = {variable.name for variable in profile.spec.pod.env or ()}
    for variable in container["env"]:
        name = variable["name"]
        why = "spec.runtime.env" if name in own else "env of the profile" if name in site else built_in.get(name)
        source = " ".join(f"{kind} {_pairs(where)}" for kind, where in (variable.get("valueFrom") or {}).items())
        yield Decision("environment", name, variable.get("value") or source, why or f"{FIELD}, see below")


def _volumes(resolved: Resolution, template: JsonObject, container: JsonObject) -> Iterator[Decision]:
    secrets = {secret.name: secret.why for secret in secret_volumes(resolved)}
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    for volume in template["volumes"]:
        if volume["name"] not in mounted:  # another container's
            continue
        (kind,) = volume.keys() - {"name"}
        details = _pairs({key: value for key, value in volume[kind].items() if key not in ("defaultMode", "items")})
        other = _HOST_MOUNT if volume["name"].startswith("host-") else f"{FIELD}, see below"
        why = (_VOLUMES | secrets).get(volume["name"], other)
        yield Decision("volumes", mounted[volume["name"]], f"{kind} {details}", why)


def _hang(service: EmbeddingService) -> str:
    seconds = service.spec.serving.hang_seconds
    return "300 s (serving.hangSeconds)" if seconds is None else f"{seconds} s (0 is never)"


def _life(
    service: EmbeddingService, resolved: Resolution, template: JsonObject, container: JsonObject
) -> Iterator[Decision]:
    startup, live, ready = (container[f"{name}Probe"] for name in ("startup", "liveness", "readiness"))
    budget = startup["periodSeconds"] * startup["failureThreshold"]
    yield Decision(
        "life",
        "startup",
        f"one real {_REQUESTS[resolved.task]}, every {startup['periodSeconds']} s for at most {budget} s",
        "/health answers 200 before anybody knows whether the model works on this chip",
    )
    yield Decision(
        "life",
        "liveness",
        f"GET {live['httpGet']['path']} every {live['periodSeconds']} s, {live['failureThreshold']} failures",
        f"a dead engine answers 503, and one that completed nothing for {_hang(service)} while requests waited; big "
        "batches may hold up some answers",
    )
    yield Decision(
        "life",
        "readiness",
        f"GET {ready['httpGet']['path']} every {ready['periodSeconds']} s",
        "the middleware answers 503 as soon as the pod drains",
    )
    default = "" if service.spec.rollout.drain_timeout else " (120s when left out)"
    yield Decision(
        "life",
        "drain",
        f"preStop, then SIGTERM; killed after {template['terminationGracePeriodSeconds']} s",
        f"rollout.drainTimeout{default} and 30 s more: vLLM's pooling servers drop what is in flight on SIGTERM",
    )


def _placement(service: EmbeddingService, resolved: Resolution, template: JsonObject) -> Iterator[Decision]:
    both = "the profile's and the service's"
    spread = template.get("topologySpreadConstraints", ())
    over = ", ".join(f"{one['topologyKey']} ({one['whenUnsatisfiable']})" for one in spread)
    usual = "replicas over nodes, as far as there is room"
    why = usual if resolved.spread is None else "spec.scheduling.topologySpread"
    yield Decision("placement", "spread", over or "none", why)
    for field, value, why in (
        ("nodeSelector", _pairs(resolved.node_selector), both),
        ("tolerations", ", ".join(_pairs(one) for one in resolved.tolerations), both),
        ("affinity", ", ".join(resolved.affinity), "spec.scheduling.affinity"),
        ("priorityClassName", resolved.priority_class, "spec.scheduling"),
        ("runtimeClassName", resolved.runtime_class, "the profile's"),
        ("schedulerName", resolved.scheduler, "spec.scheduling, else the profile's"),
        ("imagePullSecrets", ", ".join(resolved.pull_secrets), "spec.runtime, else the profile's"),
    ):
        if value:
            yield Decision("placement", field, value, why)


def _rollout(service: EmbeddingService, resolved: Resolution, deployment: JsonObject) -> Iterator[Decision]:
    spec = deployment["spec"]
    exposed = service.spec.exposure.service
    yield Decision("rollout", "replicas", str(spec["replicas"]), "spec.replicas (0 while spec.suspend)")
    yield Decision("rollout", "strategy", *_strategy(service, resolved, spec))
    yield Decision("rollout", "minAvailable", *_kept(service, spec["replicas"]))
    if space_of(deployment["spec"]["template"]):
        policy, threshold = policy_of(service)
        what = {"Enforce": "is kept out and stops the rollout", "Warn": "serves and is told of", "Off": "serves"}
        where = "rollout.embeddingSpace" if service.spec.rollout.embedding_space.to_dict() else "built-in"
        yield Decision(
            "rollout",
            "embedding space",
            policy if policy == "Off" else f"{policy}, cosine of at least {threshold}",
            f"{where}: a new pod that gives other vectors for the same weights {what[policy]}",
        )
    kind = f"{exposed.type or 'ClusterIP'}{', headless' * bool(exposed.cluster_ip)}"
    yield Decision(
        "rollout",
        "Service",
        f"{kind}, port {port_of(service.spec.exposure)}",
        "spec.exposure.service; its name is the service's",
    )
    if ways := service.spec.exposure.gateway:
        gateways = ", ".join(parent.name for parent in ways.parent_refs)
        yield Decision("rollout", "HTTPRoute", f"by {gateways}", "spec.exposure.gateway; to the inference API's paths")
    if guarded := service.spec.exposure.network_policy:
        why = "spec.exposure.networkPolicy; nobody else may connect to the pods"
        yield Decision("rollout", "NetworkPolicy", f"{len(guarded.from_)} peers and the operator", why)
    if service.spec.monitoring.pod_monitor:
        why = "spec.monitoring.podMonitor; to /metrics, which wants no API key"
        yield Decision("rollout", "PodMonitor", "leads Prometheus to the pods", why)


def _strategy(service: EmbeddingService, resolved: Resolution, spec: JsonObject) -> tuple[str, str]:
    """How pods are replaced, and why so."""
    surge = bool(spec["strategy"]["rollingUpdate"]["maxSurge"])
    asked = service.spec.rollout.strategy or "Auto"
    if asked != "Auto":
        return "Surge, a pod comes first" if surge else "Replace, pods go first", f"rollout.strategy is {asked}"
    if resolved.resource_name is None:
        return "Surge, a pod comes first", "Auto: no device is needed for a spare pod"
    if max(1, spec["replicas"]) <= min_available(service.spec.rollout, spec["replicas"]):
        return "Surge, a pod comes first", "Auto: it waits for a free device, as minAvailable lets no pod go before"
    return (
        "Surge while a device is free, else a pod goes first, one by one",
        f"Auto: that no {resolved.resource_name} is free is told by the scheduler of a pod that finds none",
    )


def _kept(service: EmbeddingService, replicas: int) -> tuple[str, str]:
    written = service.spec.rollout.min_available
    kept = min_available(service.spec.rollout, replicas)
    if written is None:
        return str(kept), "rollout.minAvailable is left out: all but one, of a single replica that one (0 with Replace)"
    return str(kept), f"rollout.minAvailable is {written}, also for the disruption budget"


def _pairs(values: Mapping[str, object] | Iterable[tuple[str, object]]) -> str:
    shown = {key: str(value).lower() if isinstance(value, bool) else value for key, value in dict(values).items()}
    return ", ".join(f"{key}={value}" for key, value in shown.items())
