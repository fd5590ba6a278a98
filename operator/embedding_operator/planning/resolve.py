"""What a service really gets: spec over profile over built-in, in one flat value that the renderers read.

It refuses what cannot work (a device count the chip lacks, an image whose version nobody knows) with a PlanError.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.conditions import Reason
from embedding_operator.api.json import JsonObject
from embedding_operator.api.meta import EnvVar, Toleration
from embedding_operator.api.profile import ProfilePod, RuntimeProfile
from embedding_operator.api.quantity import parse_duration
from embedding_operator.api.service import EmbeddingService, PromptFormat, Serving, Task, TopologySpread
from embedding_operator.api.source import ModelSource
from embedding_operator.planning import nodeloss
from embedding_operator.planning.devices import check_count, chip_of, device_of, resources
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.families import Family, family_of
from embedding_operator.planning.problems import Problem, Situation, problems_of, refused_by
from embedding_operator.planning.prompts import Prompt, prompt_of
from embedding_operator.planning.releases import Release
from embedding_operator.planning.serverimage import refuse_args, server_image

DEFAULT_DRAIN = "120s"
DEFAULT_CONNECTION_AGE = "60s"
DEFAULT_NODE_LOSS_TOLERATION = "60s"
DEFAULT_SHARED_MEMORY = "1Gi"
_DTYPES = {"Auto": "auto", "Float16": "float16", "BFloat16": "bfloat16", "Float32": "float32"}


@dataclass(frozen=True, slots=True)
class Resolution:
    """Everything that a pod of this service is rendered from, but its weights."""

    image: str
    image_from: str  # who says so, for people; and of each `..._from` below
    version: str
    version_from: str
    release: Release
    keeps_entrypoint: bool  # the image's own sets up the device's environment
    pull_policy: str
    pull_secrets: tuple[str, ...]
    profile: str
    chip: str  # as the table of known problems calls it; empty without one
    task: Task
    family: Family | None  # of the model, where one is known
    prompt: Prompt | None  # what the middleware does to requests
    prompt_format: PromptFormat
    context: int | None  # the longest input in tokens that the checkpoint allows, where it is known
    problems: tuple[Problem, ...]
    dtype: str
    dtype_from: str
    served_names: tuple[str, ...]
    tensor_parallel: int
    serving: Serving  # what the service says of the engine, as it is written
    extra_args: tuple[str, ...]
    env: Mapping[str, str]
    resource_name: str | None  # of the device; None without an accelerator
    resources: JsonObject
    pod_template: JsonObject  # what the service wants merged over the rendered one
    shared_memory: str
    host_mounts: tuple[str, ...]
    read_only_root: bool  # the server writes to /tmp and nowhere else
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    node_selector: Mapping[str, str]
    tolerations: tuple[JsonObject, ...]
    affinity: JsonObject
    spread: tuple[TopologySpread, ...] | None  # None where the service says nothing, empty where it wants none
    priority_class: str
    runtime_class: str
    scheduler: str
    drain_seconds: int
    connection_age_seconds: int  # 0: for ever
    api_keys: str | None  # the Secret; None lets everybody in
    certificate: str | None  # the Secret; None for plain HTTP


def resolve(
    service: EmbeddingService, profile: RuntimeProfile, source: ModelSource, context: int | None = None
) -> Resolution:
    """Resolve a service whose weights come from `source` (its own, or that of the cache it refers to) and allow inputs
    of `context` tokens, as far as is known.

    Raises PlanError where it cannot work.
    """
    spec, site = service.spec, profile.spec
    server = server_image(service, profile)
    refuse_args(service, profile, server.version)
    devices = spec.parallelism.tensor or 1
    check_count(devices, profile)
    scheduling = spec.scheduling
    dtype, dtype_from = _dtype(service, profile)
    family = family_of(source, spec.model.served_name)
    task = _task(service, family)
    chip = chip_of(site.accelerator)
    device = device_of(profile)
    prompt = prompt_of(spec.serving, task, family, server.release)
    prompt_format = spec.serving.prompt_format or "Raw"
    problems = problems_of(
        Situation(
            version=server.version,
            ascend=device is not None,
            chip=chip,
            family=family.name if family else "",
            dtype=dtype,
            prompt_format=prompt_format,
            context=context or 0,
            task=task,
        )
    )
    _refuse_known(problems)
    _refuse_short_batches(service, problems)
    return Resolution(
        image=server.image,
        image_from=server.image_from,
        version=server.version,
        version_from=server.version_from,
        release=server.release,
        keeps_entrypoint=site.runtime.name == "vllm-ascend",
        pull_policy=site.runtime.image_pull_policy or "IfNotPresent",
        pull_secrets=tuple(
            secret.name for secret in spec.runtime.image_pull_secrets or site.runtime.image_pull_secrets or ()
        ),
        profile=profile.metadata.name,
        chip=chip,
        task=task,
        family=family,
        prompt=prompt,
        prompt_format=prompt_format,
        context=context,
        problems=problems,
        dtype=dtype,
        dtype_from=dtype_from,
        served_names=(spec.model.served_name or source.default_served_name, *(spec.model.aliases or ())),
        tensor_parallel=devices,
        serving=spec.serving,
        extra_args=(*(site.serving.args or ()), *(spec.runtime.args or ())),
        env=_environment(site.pod.env) | _environment(spec.runtime.env),
        resource_name=device,
        resources=resources(service, profile, devices),
        pod_template=spec.runtime.pod_template.to_dict(),
        shared_memory=site.pod.shared_memory or DEFAULT_SHARED_MEMORY,
        host_mounts=site.pod.host_mounts or (),
        read_only_root=bool(site.pod.read_only_root_filesystem),
        labels=site.pod.labels or {},
        annotations=site.pod.annotations or {},
        node_selector=node_selector(service, site.pod),
        tolerations=_serving_tolerations(service, site.pod),
        affinity=scheduling.affinity or {},
        spread=scheduling.topology_spread,
        priority_class=scheduling.priority_class_name or "",
        runtime_class=site.pod.runtime_class_name or "",
        scheduler=scheduling.scheduler_name or site.pod.scheduler_name or "",
        drain_seconds=drain_seconds(service),
        connection_age_seconds=_seconds(
            spec.serving.max_connection_age or DEFAULT_CONNECTION_AGE, "spec.serving.maxConnectionAge"
        ),
        api_keys=spec.exposure.api_key_secret_ref.name if spec.exposure.api_key_secret_ref else None,
        certificate=spec.exposure.tls.secret_ref.name if spec.exposure.tls.secret_ref else None,
    )


def node_selector(service: EmbeddingService, pod: ProfilePod) -> dict[str, str]:
    """The profile's selector and the service's; the service wins where both name a label."""
    return dict(pod.node_selector or {}) | dict(service.spec.scheduling.node_selector or {})


def tolerations(service: EmbeddingService, pod: ProfilePod) -> tuple[JsonObject, ...]:
    """The profile's tolerations and the service's, each once."""
    wanted: tuple[Toleration, ...] = (*(pod.tolerations or ()), *(service.spec.scheduling.tolerations or ()))
    return tuple(toleration.to_dict() for toleration in dict.fromkeys(wanted))


def _serving_tolerations(service: EmbeddingService, pod: ProfilePod) -> tuple[JsonObject, ...]:
    """Those that the stager has as well, and how long a node may be lost."""
    written = tolerations(service, pod)
    limit = service.spec.scheduling.node_loss_toleration or DEFAULT_NODE_LOSS_TOLERATION
    return written + nodeloss.tolerations(_seconds(limit, "spec.scheduling.nodeLossToleration"), written)


def drain_seconds(service: EmbeddingService) -> int:
    """How long a pod may take to answer what it has accepted, in seconds."""
    return _seconds(service.spec.rollout.drain_timeout or DEFAULT_DRAIN, "spec.rollout.drainTimeout")


def _seconds(duration: str, field: str) -> int:
    try:
        return parse_duration(duration)
    except ApiValueError as error:
        raise PlanError(Reason.INVALID_SPEC, f"{field} {error.problem}") from error


def _task(service: EmbeddingService, family: Family | None) -> Task:
    """What the server is for. Raises PlanError where the model is made for another thing."""
    task = service.spec.task or "Embed"
    if family is not None and family.ranks and task != "Rerank":
        raise PlanError(
            Reason.INVALID_SPEC,
            f"spec.task is {task}, but a model of the family {family.name} scores documents against a query and gives "
            "no vectors: write spec.task: Rerank",
        )
    return task


def _dtype(service: EmbeddingService, profile: RuntimeProfile) -> tuple[str, str]:
    """The number format in vLLM's words, and who says so."""
    own, site = service.spec.serving.dtype, profile.spec.serving.dtype
    if own is not None:
        return _DTYPES[own], "spec.serving.dtype"
    if site is not None:
        return _DTYPES[site], f"serving.dtype of RuntimeProfile {profile.metadata.name}"
    return _DTYPES["Auto"], "neither service nor profile say; what the model was saved in"


def _refuse_known(problems: Iterable[Problem]) -> None:
    refused = refused_by(problems)
    if refused is not None:
        raise PlanError(Reason.KNOWN_PROBLEM, f"{refused}: {refused.cure}")


def _refuse_short_batches(service: EmbeddingService, problems: Iterable[Problem]) -> None:
    """Without chunks a step must hold the longest input, or vLLM does not start."""
    serving = service.spec.serving
    longest, batch = serving.max_model_len, serving.max_batched_tokens
    if longest is None or batch is None or batch >= longest:
        return
    chunks = next((problem for problem in problems if ("--no-enable-chunked-prefill",) in problem.flags), None)
    if chunks is not None:
        raise PlanError(
            Reason.INVALID_SPEC,
            f"spec.serving.maxBatchedTokens is {batch} and maxModelLen {longest}, but an input must fit into one step "
            f"here: {chunks}; write maxBatchedTokens: {longest} or more",
        )


def _environment(variables: Iterable[EnvVar] | None) -> dict[str, str]:
    return {variable.name: variable.value or "" for variable in variables or ()}
