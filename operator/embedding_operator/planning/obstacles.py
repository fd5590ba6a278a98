"""What keeps a pod from being made, placed or started, told apart by the words of whoever says so.

Of the API server, of a scheduler, of a kubelet and its container runtime; each table for one of them.
"""

from embedding_operator.planning.causes import Cause, cause

REFUSALS: tuple[Cause, ...] = (
    cause(
        "QuotaReached",
        "a quota of the namespace is used up",
        r"exceeded quota: ([^,\s]+)[^\n]*",
        "have ResourceQuota {found} raised, or lower spec.replicas or spec.runtime.resources",
    ),
    cause(
        "QuotaWantsMore",
        "a quota of the namespace wants requests or limits that the pods do not have",
        r"failed quota: \S+ must specify ([^\n]*)",
        "write them into spec.runtime.resources: {found}",
    ),
    cause(
        "LimitRange",
        "a LimitRange of the namespace does not admit the pods' resources",
        r"(?:maximum|minimum) \S+ usage per (?:Container|Pod) is [^\n]*",
        "write what it allows into spec.runtime.resources",
    ),
    cause(
        "PriorityClassMissing",
        "the priority class does not exist",
        r"no PriorityClass with name (\S+) was found",
        "correct spec.scheduling.priorityClassName, or create {found}",
    ),
    cause(
        "RuntimeClassMissing",
        "the runtime class does not exist",
        r"RuntimeClass \"([^\"]+)\" not found",
        "correct pod.runtimeClassName of the RuntimeProfile, or create {found}",
    ),
    cause(
        "WebhookDown",
        "an admission webhook does not answer",
        r"failed calling webhook \"([^\"]+)\"[^\n]*",
        "have {found} mended by whoever runs it",
    ),
    cause(
        "AdmissionRefused",
        "a rule of this cluster does not admit the pods",
        (r"admission webhook \"([^\"]+)\" denied[^\n]*", r"ValidatingAdmissionPolicy '([^']+)'[^\n]*"),
        "do as {found} says, or ask whoever runs it",
    ),
)
"""The API server's words, in the Deployment's ReplicaFailure."""

SCHEDULING: tuple[Cause, ...] = (
    cause(
        "NoDeviceFree",
        "not enough devices are free",
        r"Insufficient ([\w.-]+/[\w.-]*\w)",
        "free some of {found}, add nodes, or lower spec.replicas or spec.parallelism.tensor",
    ),
    cause(
        "NodesTooSmall",
        "nodes have not enough left",
        r"Insufficient (?:cpu|memory|ephemeral-storage|pods)\b|Too many pods",
        "lower spec.runtime.resources.requests or pod.resourcesPerDevice of the RuntimeProfile, or free some",
    ),
    cause(
        "NoNodeSelected",
        "nodes lack the labels",
        r"didn't match Pod's node affinity/selector",
        "label them as pod.nodeSelector of the RuntimeProfile, spec.scheduling.nodeSelector and affinity say, or "
        "correct these",
    ),
    cause(
        "NodesTainted",
        "nodes keep pods away",
        r"untolerated taint(?:\(s\))?(?: \{[^}]*\})?",
        "write tolerations into spec.scheduling or the RuntimeProfile, if these pods may run there",
    ),
    cause(
        "NodesCordoned",
        "nodes are cordoned",
        r"node\(s\) were unschedulable",
        "`kubectl uncordon` them when they may be used again",
    ),
    cause(
        "ClaimNotBound",
        "the claim of the weights has no volume that these nodes reach",
        (
            r"unbound immediate PersistentVolumeClaims",
            r"persistentvolumeclaim \"[^\"]+\" (?:not found|bound to non-existent[^\n]*|is being deleted)",
            r"didn't find available persistent volumes to bind",
            r"volume node affinity conflict",
        ),
        "`kubectl describe pvc` tells why",
    ),
)
"""A scheduler's words, in PodScheduled; several may be true at once, of different nodes."""

PULLS: tuple[Cause, ...] = (
    cause(
        "PullDenied",
        "the registry wants a login that the node does not have",
        (
            r"pull access denied[^\n]*",
            r"insufficient_scope[^\n]*",
            r"authorization failed",
            r"401 Unauthorized",
            r"403 Forbidden",
            r"no basic auth credentials",
            r"unauthorized: [^\n]*",
        ),
        "write spec.runtime.imagePullSecrets, or correct the image's name",
    ),
    cause(
        "PullLimited",
        "the registry allows no more pulls for now",
        r"toomanyrequests[^\n]*|429 Too Many Requests",
        "log in with spec.runtime.imagePullSecrets, or use a mirror as spec.runtime.image",
    ),
    cause(
        "RegistryNotTrusted",
        "the node does not trust the registry",
        r"x509: [^\n]*|server gave HTTP response to HTTPS client",
        "have the registry's authority, or plain HTTP, set up in the container runtime of the nodes",
    ),
    cause(
        "WrongPlatform",
        "the image is for other processors than the node's",
        r"no match for platform in manifest[^\n]*|no matching manifest for [^\n]*",
        "take an image for this architecture, or select nodes by kubernetes.io/arch in spec.scheduling.nodeSelector",
    ),
    cause(
        "NodeDiskFull",
        "the node's disk has no room for the image",
        r"no space left on device",
        "free space on the node; an image of vllm-ascend needs about 20 GB",
    ),
    cause(
        "RegistryUnreachable",
        "the node does not reach the registry",
        (
            r"no such host",
            r"dial tcp[^\n]*",
            r"i/o timeout",
            r"connection (?:refused|reset by peer)",
            r"TLS handshake timeout",
            r"context deadline exceeded",
        ),
        "mend the node's network or proxy, use a mirror as spec.runtime.image, or load the image on the nodes",
    ),
    cause(
        "ImageNotFound",
        "the registry has no such image",
        r"manifest unknown|name unknown|repository does not exist|not found\b",
        "correct spec.runtime.image or version, or the image of the RuntimeProfile",
    ),
    cause(
        "ImageNameInvalid",
        "that is no image's name",
        r"invalid reference format[^\n]*|couldn't parse image [^\n]*",
        "correct spec.runtime.image",
    ),
    cause(
        "ImageNotLoaded",
        "the image is not on the node, and is not to be pulled",
        r"not present with pull policy of Never",
        "load it on the nodes, or change runtime.imagePullPolicy of the RuntimeProfile",
    ),
)
"""A kubelet's words while it has no image."""

STARTS: tuple[Cause, ...] = (
    cause(
        "WeightsGone",
        "the weights are not on the claim any more",
        r"failed to (?:create|prepare) subPath[^\n]*",
        "where the claim was replaced, `kubectl delete mcache {cache}` has its weights staged again",
    ),
    cause(
        "ReferenceMissing",
        "a Secret or ConfigMap that the pod names is not there",
        r"(?:secret|configmap) \"[^\"]+\" not found|couldn't find key [^\n]*",
        "create it; nothing else is needed",
    ),
    cause(
        "RootRefused",
        "the image runs as root, and the pod must not",
        r"runAsNonRoot[^\n]*",
        "write another user into the image, or take out what sets runAsNonRoot",
    ),
    cause(
        "ProgramMissing",
        "the image lacks a program",
        r"exec: \"([^\"]+)\": (?:executable file not found|stat [^\n]*no such file)[^\n]*",
        "correct spec.runtime.image: a serving image has {found}",
    ),
    cause(
        "HostPathMissing",
        "the node lacks a file that the pod mounts",
        r"(?:failed to stat|hostPath type check failed:?) *\"?([^\s\":]+)[^\n]*",
        "install the NPU's driver on the node, or correct pod.hostMounts of the RuntimeProfile",
    ),
    cause(
        "RuntimeHookFailed",
        "the container runtime of the node could not give the pod its devices",
        r"error running \w+ hook[^\n]*|ascend-docker-\w+[^\n]*",
        "see to Ascend Docker Runtime on that node",
    ),
)
"""A kubelet's and its runtime's words while they cannot make the container."""

REJECTIONS: tuple[Cause, ...] = (
    cause(
        "DeviceNotGiven",
        "the node's device plugin did not give the pod its device",
        r"UnexpectedAdmissionError[^\n]*",
        "see to the device plugin on that node; another pod is made meanwhile",
    ),
    cause(
        "Evicted",
        "the node was short of something",
        r"low on resource: ([\w-]+)[^\n]*|Evicted[^\n]*",
        "free it on that node, or ask for as much as the pod needs in spec.runtime.resources; another pod is made "
        "meanwhile",
    ),
    cause(
        "OutOfDevices",
        "the node had no device left when the pod came to it",
        r"OutOf\S+[^\n]*",
        "nothing: another pod is made; where it goes on, see to the device plugin on that node",
    ),
)
"""A kubelet's words about a pod that it does not run, or runs no more."""
