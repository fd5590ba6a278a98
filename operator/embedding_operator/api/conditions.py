"""Every condition type and reason the operator ever writes, and how conditions change over time.

kstatus reads them: `Ready` is always there; `Reconciling` and `Stalled` are there only while they are True.
Nothing here reads a clock: callers pass the time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from embedding_operator.api.codec import View

Status: TypeAlias = Literal["True", "False", "Unknown"]


class Type(StrEnum):
    """Condition types, in the order in which they are written."""

    READY = "Ready"
    """The object does what it is for: the service serves, the weights are verified."""
    RECONCILING = "Reconciling"
    """Work is under way that needs nobody; only while True."""
    STALLED = "Stalled"
    """Nothing more happens until a person changes something; only while True."""
    WEIGHTS_READY = "WeightsReady"
    """The weights that the service asks for are on the volume and verified."""
    AVAILABLE = "Available"
    """At least one replica answers requests."""
    DEGRADED = "Degraded"
    """Requests are answered, and not as they should be; only while True."""
    ROUTED = "Routed"
    """Clients get in by the Gateways that the service names; only where it names any."""
    MONITORED = "Monitored"
    """A PodMonitor leads Prometheus to the pods; only where the service asks for one."""
    SUSPENDED = "Suspended"
    """spec.suspend of a job is true; only while True."""
    FAILED = "Failed"
    """A job has failed and nothing more is done; only while True, which is for good."""
    UPDATE_AVAILABLE = "UpdateAvailable"
    """A newer profile content exists than the one these pods were made from."""
    VALID = "Valid"
    """Nothing disturbed the figures of a benchmark; only where there are figures."""
    KNOWN_PROBLEMS = "KnownProblems"
    """Model, version and chip together have problems that are known upstream; only where there are any."""


class Reason(StrEnum):
    """Reasons, in groups: what is well, what is under way, what needs a person."""

    # Services and weights that are well
    SERVING = "Serving"
    """All replicas answer requests."""
    SUSPENDED = "Suspended"
    """spec.suspend is true, so no pods run."""
    SCALED_TO_ZERO = "ScaledToZero"
    """spec.replicas is 0, so no pods run."""
    MINIMUM_AVAILABLE = "MinimumAvailable"
    """Enough replicas answer for clients to be served."""
    VERIFIED = "Verified"
    """Every byte of the weights was checked."""

    # Services under way
    PENDING = "Pending"
    """Seen, and not yet worked on."""
    WAITING_FOR_WEIGHTS = "WaitingForWeights"
    """The ModelCache is not ready yet; its own conditions say why."""
    ROLLING_OUT = "RollingOut"
    """Pods of a new revision are replacing those of the old one."""
    STARTING = "Starting"
    """Pods run, and their server is still loading the model."""
    SCALING = "Scaling"
    """The number of replicas is being changed."""
    REPLICAS_UNAVAILABLE = "ReplicasUnavailable"
    """Some replicas that were asked for do not answer."""
    NO_REPLICA_AVAILABLE = "NoReplicaAvailable"
    """No replica answers."""
    UNSCHEDULABLE = "Unschedulable"
    """No node has room for a pod, or none fits; the message has the scheduler's words."""
    IMAGE_PULL_FAILED = "ImagePullFailed"
    """A node cannot pull the image."""
    CRASH_LOOPING = "CrashLooping"
    """The server keeps ending; the message has its last words."""
    PROBE_FAILED = "ProbeFailed"
    """The kubelet ends the server because it gives no usable answer: too long at its start, or none any more."""
    DEVICE_UNHEALTHY = "DeviceUnhealthy"
    """A device that a pod has is unhealthy; the message says which, and whether another pod takes over."""
    PODS_REFUSED = "PodsRefused"
    """Pods are not made, because of a quota or a rule of admission, or a node sends them away."""
    VOLUMES_NOT_MOUNTED = "VolumesNotMounted"
    """A pod has its node, and waits there for its volumes."""
    DRAIN_CUT_OFF = "DrainCutOff"
    """A pod was stopped with requests unanswered; told in Events alone, with how many."""
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    """New pods have not become ready in time."""

    # Services that need a person
    EMBEDDING_SPACE_CHANGED = "EmbeddingSpaceChanged"
    """A pod gives other vectors than the service did before; the message has the numbers and the cure."""
    INVALID_SPEC = "InvalidSpec"
    """The manifest asks for something that cannot be; the message says what to write instead."""
    PROFILE_NOT_FOUND = "ProfileNotFound"
    """spec.runtime.profile names no RuntimeProfile."""
    NO_DEFAULT_PROFILE = "NoDefaultProfile"
    """The service names no profile, and none or several are annotated as the default."""
    PROFILE_INVALID = "ProfileInvalid"
    """The profile cannot be used for this service."""
    CACHE_NOT_FOUND = "CacheNotFound"
    """spec.model.cacheRef names no ModelCache."""
    CACHE_STALLED = "CacheStalled"
    """The ModelCache cannot become ready until somebody changes something."""
    DEVICE_COUNT_NOT_ALLOWED = "DeviceCountNotAllowed"
    """The chip does not allow that many devices in one pod."""
    KNOWN_PROBLEM = "KnownProblem"
    """It is known upstream that this cannot work, or that it needs care; the message has the reference and the cure."""
    WORKED_AROUND = "WorkedAround"
    """All known problems are worked around by flags of the pods; the message names each with its reference."""
    NAME_TAKEN = "NameTaken"
    """An object of that name exists and is not ours."""
    APPLY_REFUSED = "ApplyRefused"
    """The API server refused a child; the message has its words."""
    POD_SECURITY = "PodSecurity"
    """The namespace does not admit these pods by its Pod Security level; the message says which level they need."""
    GATEWAY_API_NOT_INSTALLED = "GatewayApiNotInstalled"
    """spec.exposure.gateway is set, and the cluster has no HTTPRoutes."""
    WAITING_FOR_GATEWAY = "WaitingForGateway"
    """The HTTPRoute is made, and no controller has said anything of it yet."""
    ROUTE_ACCEPTED = "RouteAccepted"
    """All Gateways take the HTTPRoute."""
    ROUTE_REFUSED = "RouteRefused"
    """A Gateway does not take the HTTPRoute; the message has its words."""
    PROMETHEUS_OPERATOR_NOT_INSTALLED = "PrometheusOperatorNotInstalled"
    """spec.monitoring.podMonitor is true, and the cluster has no PodMonitors."""
    POD_MONITOR_MADE = "PodMonitorMade"
    """The PodMonitor is there for a Prometheus to take."""
    NEWER_PROFILE = "NewerProfile"
    """The profile changed after these pods were made."""

    # Jobs
    SPLITTING = "Splitting"
    """The input of a job is being listed."""
    EMBEDDING = "Embedding"
    """The workers of a job embed its rows."""
    FINISHING = "Finishing"
    """What the workers did is being checked and joined."""
    COMPLETED = "Completed"
    """All of a job's rows are embedded, and the manifest is written."""
    TOO_MANY_ERRORS = "TooManyErrors"
    """More rows than spec.maxErrors could not be embedded."""
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    """A job took longer than spec.activeDeadlineSeconds."""
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
    """Pods of a job failed again and again; the message has their last words, if there are any."""
    NO_FILES = "NoFiles"
    """No file of the input is meant by spec.input.files."""
    BAD_INPUT = "BadInput"
    """A file of the input cannot be read as what spec.input says that it is."""
    FILE_CHANGED = "FileChanged"
    """A file of the input changed after it was listed."""
    REFUSED = "Refused"
    """The server refuses what a job asks for; the message has its words."""
    MODEL_CHANGED = "ModelChanged"
    """What embeds the rest of a job has other weights than what it began with."""

    # Weights under way
    LISTING = "Listing"
    """The repository's files are being listed."""
    DOWNLOADING = "Downloading"
    """Files are being fetched."""
    VERIFYING = "Verifying"
    """Sizes and hashes are being checked."""
    PUBLISHING = "Publishing"
    """The manifest is being written and the folder renamed into place."""
    STAGING = "Staging"
    """The Job runs; how far it is cannot be seen from here."""
    RETRYING = "Retrying"
    """The last attempt failed, and another one follows."""

    # Benchmarks
    MEASURED = "Measured"
    """All runs of the benchmark are done, and its figures are in the status."""
    MEASURING = "Measuring"
    """A run of the benchmark is under way."""
    WAITING_FOR_SERVICE = "WaitingForService"
    """The service of spec.serviceRef is not what it should be yet; its own conditions say why."""
    WAITING_FOR_TURN = "WaitingForTurn"
    """Another benchmark measures the service, or a job has it embed; one at a time does."""
    SERVICE_NOT_FOUND = "ServiceNotFound"
    """spec.serviceRef names no EmbeddingService."""
    BENCHMARK_FAILED = "BenchmarkFailed"
    """A run of the benchmark could not be done; the message has its last words."""
    UNDISTURBED = "Undisturbed"
    """No request failed, no pod restarted and the service stayed as it was."""
    DISTURBED = "Disturbed"
    """Figures of some runs are worthless; the message says of which, and why."""

    # Weights that need a person (the staging Job reports most of them by these words)
    DAMAGED = "Damaged"
    """A staged file is not any more what it was; it is fetched again by itself where that is possible."""
    IN_USE = "InUse"
    """The ModelCache is deleted, and its files stay as long as pods serve from them."""
    CLEANING_UP = "CleaningUp"
    """The ModelCache is deleted, and its files are being removed."""
    CLEANED_UP = "CleanedUp"
    """The files are removed."""
    FILES_KEPT = "FilesKept"
    """The ModelCache is deleted and its files stay; the message says why."""

    CLAIM_NOT_SHARED = "ClaimNotShared"
    """The claim can be mounted by one pod, or on one node, and there are more."""
    CLAIM_PENDING = "ClaimPending"
    """The claim exists and has no volume yet."""
    CLAIM_NOT_FOUND = "ClaimNotFound"
    """The claim does not exist in this namespace."""
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    """A file differs from what the hub says it is, after several attempts."""
    DIGEST_MISMATCH = "DigestMismatch"
    """The weights differ from spec.digest."""
    NOT_FOUND = "NotFound"
    """The repository, revision or path does not exist."""
    UNAUTHORIZED = "Unauthorized"
    """The hub wants another token, or one at all."""
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, not a secret
    """The Secret or key that secretRef names does not exist."""
    DISK_FULL = "DiskFull"
    """The volume has no room for the weights."""
    QUOTA_EXCEEDED = "QuotaExceeded"
    """The volume has room, and the user that stages may not have more of it."""
    READ_ONLY = "ReadOnly"
    """The volume is mounted read-only."""
    PERMISSION_DENIED = "PermissionDenied"
    """The user that stages may not write on the volume."""
    HUB_UNAVAILABLE = "HubUnavailable"
    """The hub does not answer, or answers with errors."""
    BAD_SOURCE = "BadSource"
    """The source cannot be staged; the message says why."""
    INTERNAL = "Internal"
    """Staging failed in a way that nobody foresaw; the message has what is known."""


_ORDER = {str(name): place for place, name in enumerate(Type)}
_ONLY_WHILE_TRUE = (Type.RECONCILING, Type.STALLED, Type.SUSPENDED, Type.FAILED)


@dataclass(frozen=True, slots=True)
class Condition(View):
    """One condition, as metav1.Condition has it."""

    type: str
    status: Status
    reason: str
    message: str = ""
    observed_generation: int | None = None
    last_transition_time: str | None = None


def merge_conditions(old: Iterable[Condition], new: Iterable[Condition], now: str) -> tuple[Condition, ...]:
    """Return what to write: `new`, with the time of `old` wherever the status is the same.

    The operator is the only writer, so a condition that `new` leaves out is gone. A missing Ready is an
    omission of the planner, and is written as Unknown rather than hidden. The order is always that of `Type`.
    """
    before = {condition.type: condition for condition in old}
    wanted = {c.type: c for c in new if c.status == "True" or c.type not in _ONLY_WHILE_TRUE}
    wanted.setdefault(
        Type.READY, Condition(Type.READY, "Unknown", Reason.PENDING, "Not yet looked at by the operator.")
    )
    return tuple(
        _with_time(condition, before.get(condition.type), now)
        for condition in sorted(wanted.values(), key=lambda c: _ORDER.get(c.type, len(_ORDER)))
    )


def find_condition(conditions: Iterable[Condition], name: str) -> Condition | None:
    """Return the condition of that type, if it is there."""
    return next((condition for condition in conditions if condition.type == name), None)


def is_true(conditions: Iterable[Condition], name: str) -> bool:
    """Whether the condition of that type is there and True."""
    condition = find_condition(conditions, name)
    return condition is not None and condition.status == "True"


def _with_time(condition: Condition, before: Condition | None, now: str) -> Condition:
    same = before is not None and before.status == condition.status
    time = before.last_transition_time if before is not None and same else None
    c = condition
    return Condition(c.type, c.status, c.reason, c.message, c.observed_generation, time or now)
