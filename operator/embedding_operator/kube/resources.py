"""The kinds that the operator touches, and how their URLs are made.

Every URL of the product is built here and nowhere else. No discovery: the operator knows its kinds, and
a call at start that can fail would buy nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from embedding_operator.api.names import GROUP, VERSION

# JSON objects as the API server sends them. Their shape is the server's business, so the layer that moves
# them around does not type it; planning has typed views.
Object = dict[str, Any]
Objects = list[Object]  # classes with a method `list` cannot say so themselves


class ObjectKey(NamedTuple):
    """What identifies an object among all that we watch; `namespace` is "" for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of the API: enough to build its URLs."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection (in all namespaces without `namespace`) or of one object.

        Names come from people, too: whatever they wrote, it names what is looked for and asks for nothing else.
        """
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        elif self.namespaced and name:
            raise ValueError(f"{self.kind} {name}: a namespace is needed to name one object")
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


EMBEDDING_SERVICES: Final = Resource(GROUP, VERSION, "embeddingservices", "EmbeddingService")
EMBEDDING_JOBS: Final = Resource(GROUP, VERSION, "embeddingjobs", "EmbeddingJob")
MODEL_CACHES: Final = Resource(GROUP, VERSION, "modelcaches", "ModelCache")
EMBEDDING_BENCHMARKS: Final = Resource(GROUP, VERSION, "embeddingbenchmarks", "EmbeddingBenchmark")
RUNTIME_PROFILES: Final = Resource(GROUP, VERSION, "runtimeprofiles", "RuntimeProfile", namespaced=False)
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
REVISIONS: Final = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
DISRUPTION_BUDGETS: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
HTTP_ROUTES: Final = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
POD_MONITORS: Final = Resource("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor")
JOBS: Final = Resource("batch", "v1", "jobs", "Job")
SERVICES: Final = Resource("", "v1", "services", "Service")
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
PODS: Final = Resource("", "v1", "pods", "Pod")
CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS: Final = Resource("events.k8s.io", "v1", "events", "Event")

OWN_KINDS: Final = (EMBEDDING_SERVICES, EMBEDDING_JOBS, MODEL_CACHES, RUNTIME_PROFILES, EMBEDDING_BENCHMARKS)
CHILD_KINDS: Final = (
    DEPLOYMENTS,
    REVISIONS,
    DISRUPTION_BUDGETS,
    NETWORK_POLICIES,
    HTTP_ROUTES,
    POD_MONITORS,
    JOBS,
    SERVICES,
    CONFIG_MAPS,
    PODS,
    CLAIMS,
)
# A cluster may not have them, or not give us the right to them: who asks for none need not notice. That may change.
# A CRD that came after the others may be brought later than the operator, and services do not wait for it.
OPTIONAL_KINDS: Final = (HTTP_ROUTES, POD_MONITORS, NETWORK_POLICIES, EMBEDDING_JOBS, EMBEDDING_BENCHMARKS)
ALL: Final = (*OWN_KINDS, *CHILD_KINDS, LEASES, EVENTS)
_BY_KIND: Final = {resource.kind: resource for resource in ALL}


def by_kind(kind: str) -> Resource:
    """The resource of a kind; KeyError for one that the operator has no business with."""
    return _BY_KIND[kind]


def key_of(obj: Mapping[str, Any]) -> ObjectKey:
    metadata = obj["metadata"]
    return ObjectKey(obj["kind"], metadata.get("namespace") or "", metadata["name"])
