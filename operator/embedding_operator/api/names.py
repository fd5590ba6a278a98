"""Every name that the operator gives or looks for: the API group, labels, annotations, and children.

Names of children are pure functions of their inputs, fit in 63 characters (they are label values and host
names too) and are DNS-1123 labels whatever a user typed. A change here renames live objects: do not.
"""

import hashlib
import json
import re
from functools import lru_cache

from embedding_operator.api.source import ModelSource, Storage

GROUP = "embedding-operator.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
EMBEDDING_SERVICE = "EmbeddingService"
EMBEDDING_JOB = "EmbeddingJob"
MODEL_CACHE = "ModelCache"
RUNTIME_PROFILE = "RuntimeProfile"
EMBEDDING_BENCHMARK = "EmbeddingBenchmark"
PLURALS = {
    EMBEDDING_SERVICE: "embeddingservices",
    EMBEDDING_JOB: "embeddingjobs",
    MODEL_CACHE: "modelcaches",
    RUNTIME_PROFILE: "runtimeprofiles",
    EMBEDDING_BENCHMARK: "embeddingbenchmarks",
}

FIELD_MANAGER = "embedding-operator"

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
NAME_LABEL = "app.kubernetes.io/name"
INSTANCE_LABEL = "app.kubernetes.io/instance"
SERVICE_LABEL = f"{GROUP}/service"
JOB_LABEL = f"{GROUP}/job"  # on the Jobs of an EmbeddingJob and their pods
CACHE_LABEL = f"{GROUP}/cache"
BENCHMARK_LABEL = f"{GROUP}/benchmark"
CLAIM_LABEL = f"{GROUP}/claim"  # on pods that mount a claim which one node at a time can mount
SCRIPTS_LABEL = f"{GROUP}/scripts"
CLEANUP_FINALIZER = f"{GROUP}/cleanup"
REFRESH_ANNOTATION = f"{GROUP}/refresh"  # on services: another value asks for a new look at a moving branch
ROLLBACK_ANNOTATION = f"{GROUP}/rollback-to"  # on services: the revision to run while the spec is what it was made of
SPACE_LABEL = f"{GROUP}/embedding-space"  # on the ConfigMaps of recorded vectors
SPACE_ANNOTATION = f"{GROUP}/embedding-space"  # on serving pods: the ConfigMap that they are held against
SCHEME_ANNOTATION = f"{GROUP}/scheme"  # on serving pods that speak HTTPS
ACCEPT_SPACE_ANNOTATION = f"{GROUP}/accept-embedding-space"  # on services: the id of other vectors that are welcome
CACHE_ANNOTATION = f"{GROUP}/cache"  # on serving pods and revisions: the ModelCache of their files
SCRIPTS_ANNOTATION = f"{GROUP}/scripts"  # on Jobs whose pods run scripts: the ConfigMap of these
DEFAULT_PROFILE_ANNOTATION = f"{GROUP}/default-profile"
INSTALLED_BY_ANNOTATION = f"{GROUP}/installed-by"  # on profiles: the installation whose values they are kept by

STAGING_TASK = "model-staging"
CLEANUP_TASK = "model-cleanup"
SCRUB_TASK = "model-scrub"
MENDING_TASK = "model-mending"
BENCHMARK_TASK = "embedding-benchmark"
SPLIT_TASK = "job-split"
WORK_TASK = "job-work"
FINISH_TASK = "job-finish"

MAX_NAME = 63
MAX_SERVICE_NAME = 52
"""An EmbeddingService's name leaves room for the 11 characters of its ControllerRevisions' names."""


def slug(text: str, limit: int = MAX_NAME) -> str:
    """Return `text` as a DNS-1123 label of at most `limit` characters; never empty."""
    label = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return label[:limit].strip("-") or "x"


def digest_of(value: object, length: int) -> str:
    """Return the first `length` hex digits of the SHA-256 of a JSON value's canonical form."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:length]


def service_labels(service: str) -> dict[str, str]:
    """Labels of everything that serves `service`, its pods included."""
    return _labels("vllm", service) | {SERVICE_LABEL: service}


def claim_labels(claim: str) -> dict[str, str]:
    """The label by which pods of all services find each other that mount one claim; a claim's name may be longer."""
    return {CLAIM_LABEL: claim if len(claim) <= MAX_NAME else f"{claim[: MAX_NAME - 9]}_{digest_of(claim, 8)}"}


def service_selector(service: str) -> dict[str, str]:
    """The labels by which a Deployment, Service and budget find their pods; immutable for ever."""
    return {SERVICE_LABEL: service}


def cache_labels(cache: str, task: str = STAGING_TASK) -> dict[str, str]:
    """Labels of a Job of a ModelCache, and of its pods."""
    return _labels(task, cache) | {CACHE_LABEL: cache}


def bench_labels(benchmark: str) -> dict[str, str]:
    """Labels of a Job of an EmbeddingBenchmark, and of its pods."""
    return _labels(BENCHMARK_TASK, benchmark) | {BENCHMARK_LABEL: benchmark}


@lru_cache(maxsize=4096)  # asked for several times each time that a service is looked at
def model_cache_name(source: ModelSource, storage: Storage, refresh: str = "") -> str:
    """Return the same name for everyone who wants the same weights on the same volume, and for each new look at them
    another one."""
    key = digest_of([source.canonical(), storage.to_dict(), *([refresh] if refresh else [])], 8)
    return _joined(source.kind.lower(), source.short_name, key)


def staging_job_name(cache: str, inputs: object) -> str:
    """A Job's template is immutable, so other inputs make another Job."""
    return _joined("stage", cache, digest_of([cache, inputs], 8))


def scrub_job_name(cache: str, inputs: object) -> str:
    """One round of reading staged weights again."""
    return _joined("scrub", cache, digest_of([cache, inputs], 8))


def mending_job_name(cache: str, inputs: object) -> str:
    """What mends the damage that such a round found."""
    return _joined("mend", cache, digest_of([cache, inputs], 8))


def cleanup_job_name(cache: str, uid: str) -> str:
    """Another ModelCache of the same name has another clean-up."""
    return _joined("clean", cache, digest_of([cache, uid], 8))


def bench_job_name(benchmark: str, uid: str, run: int) -> str:
    """One run of a benchmark; another benchmark of the same name has others."""
    return _joined("bench", benchmark, f"{digest_of([benchmark, uid], 8)}-{run}")


def bench_script_name(benchmark: str, inputs: object) -> str:
    """The ConfigMap with the script of a benchmark's pods."""
    return _joined("bench", benchmark, digest_of(inputs, 8))


def job_labels(job: str, task: str) -> dict[str, str]:
    """Labels of one of the Jobs of an EmbeddingJob, and of its pods."""
    return _labels(task, job) | {JOB_LABEL: job}


def job_selector(job: str) -> dict[str, str]:
    """The label by which the pods of an EmbeddingJob are found."""
    return {JOB_LABEL: job}


def phase_job_name(phase: str, job: str, inputs: object) -> str:
    """One of the Jobs of an EmbeddingJob: split, embed or finish. Pods of an Indexed one add up to five characters."""
    return _joined(phase, job, digest_of([job, inputs], 8), MAX_NAME - 6)


def signature(cluster: str, namespace: str, uid: str) -> str:
    """How a ModelCache signs for a directory on a volume that other namespaces and clusters may share."""
    return f"{cluster}_{namespace}_{uid}"


def controller_revision_name(service: str, revision_hash: str) -> str:
    """Name one rendered revision of a service."""
    return f"{service}-{revision_hash[:10]}"


def scripts_config_map_name(content_hash: str) -> str:
    """Name the immutable ConfigMap of one version of the pod scripts."""
    return f"embedding-operator-scripts-{content_hash[:10]}"


def space_config_map_name(service: str, subject: object) -> str:
    """Name the recorded vectors of a service: other weights, say, have others."""
    return _joined("space", service, digest_of([service, subject], 8))


def made_claim_name(service: str) -> str:
    """Name the claim made from a service's claimTemplate; it outlives the service, as data should."""
    return f"{service}-models"


def _labels(name: str, instance: str) -> dict[str, str]:
    return {MANAGED_BY_LABEL: FIELD_MANAGER, NAME_LABEL: name, INSTANCE_LABEL: instance}


def _joined(prefix: str, middle: str, suffix: str, limit: int = MAX_NAME) -> str:
    room = limit - len(prefix) - len(suffix) - 2
    return f"{prefix}-{slug(middle, room)}-{suffix}"
