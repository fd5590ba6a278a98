"""How clients reach the pods of an EmbeddingService: `spec.exposure`."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from embedding_operator.api.codec import View, named
from embedding_operator.api.json import JsonObject
from embedding_operator.api.meta import LocalReference

ServiceType: TypeAlias = Literal["ClusterIP", "NodePort", "LoadBalancer"]


@dataclass(frozen=True, slots=True)
class ExposedService(View):
    """The Service in front of the pods, in Kubernetes' own words."""

    type: ServiceType | None = None
    cluster_ip: Literal["None"] | None = named("clusterIP")
    port: int | None = None
    node_port: int | None = None
    annotations: Mapping[str, str] | None = None
    load_balancer_class: str | None = None
    load_balancer_source_ranges: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Tls(View):
    """The server's certificate."""

    secret_ref: LocalReference | None = None


@dataclass(frozen=True, slots=True)
class IpBlock(View):
    """Addresses outside the cluster."""

    cidr: str
    except_: tuple[str, ...] | None = named("except")


@dataclass(frozen=True, slots=True)
class Peer(View):
    """Who may connect, as a NetworkPolicy says it."""

    pod_selector: JsonObject | None = None
    namespace_selector: JsonObject | None = None
    ip_block: IpBlock | None = None


@dataclass(frozen=True, slots=True)
class NetworkPolicy(View):
    """All who may reach the pods."""

    from_: tuple[Peer, ...] = dataclasses.field(metadata={"name": "from"})


@dataclass(frozen=True, slots=True)
class ParentReference(View):
    """A Gateway, or one of its listeners."""

    name: str
    namespace: str | None = None
    section_name: str | None = None


@dataclass(frozen=True, slots=True)
class Gateway(View):
    """By which Gateways clients outside get in, and under which hosts."""

    parent_refs: tuple[ParentReference, ...]
    hostnames: tuple[str, ...] | None = None
    request_timeout: str | None = None


@dataclass(frozen=True, slots=True)
class Exposure(View):
    """How clients reach the pods."""

    service: ExposedService = ExposedService()
    api_key_secret_ref: LocalReference | None = None
    tls: Tls = Tls()
    gateway: Gateway | None = None
    network_policy: NetworkPolicy | None = None
