"""What all controllers share: the client, the cache, the queue, and the operator's settings. No behaviour."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import aiohttp

from embedding_operator import podscripts
from embedding_operator.controllers.following import Following
from embedding_operator.controllers.identity import Identity
from embedding_operator.controllers.meters import Meters
from embedding_operator.controllers.patience import Patience
from embedding_operator.controllers.progress import Looks
from embedding_operator.controllers.site import Site
from embedding_operator.controllers.spaces import Spaces
from embedding_operator.controllers.untold import Untold
from embedding_operator.controllers.users import CacheUsers
from embedding_operator.controllers.views import Views
from embedding_operator.kube.apply import Applier
from embedding_operator.kube.cache import Cache
from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.events import Recorder
from embedding_operator.kube.leader import Times
from embedding_operator.kube.resources import ObjectKey
from embedding_operator.kube.watches import Watches
from embedding_operator.kube.workqueue import WorkQueue
from embedding_operator.planning.rolling import PATIENCE
from embedding_operator.planning.stagejob import StagingSite

COMPANY = 15.0  # seconds in which what is applied together has come: Flux applies a service before its ModelCache
SCRIPTS = "Scripts"  # the queue's word for "the script ConfigMaps of a namespace"
FIRST_ROUND = "FirstRound"  # and for the end of what a new leader found to do


@dataclass(frozen=True, slots=True)
class Settings:
    """How this operator was started."""

    staging: StagingSite
    identity: str = "embedding-operator"
    namespaces: tuple[str, ...] = ()  # empty: all
    lease_namespace: str = "default"
    lease_name: str = "embedding-operator"
    lease: Times = field(default_factory=Times)
    workers: int = 16
    resync_seconds: float = 600.0
    health_port: int | None = 8080
    profiles: Path | None = None  # a directory of RuntimeProfiles that are kept as they are written there
    pod_name: str = ""  # the operator's own, where it runs in one
    pod_uid: str = ""

    @property
    def installation(self) -> str:
        """What tells this installation from others on the same cluster."""
        return f"{self.lease_namespace}/{self.lease_name}"


@dataclass(frozen=True, slots=True)
class Context:
    """One operator's parts, made once by the app."""

    settings: Settings
    client: KubeClient
    applier: Applier
    recorder: Recorder
    http: aiohttp.ClientSession
    cache: Cache = field(default_factory=Cache)
    views: Views = field(default_factory=Views)
    queue: WorkQueue[ObjectKey] = field(default_factory=WorkQueue)
    watches: Watches = field(default_factory=Watches)
    meters: Meters = field(default_factory=Meters)
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)  # all there is was looked at once
    asks: WorkQueue[ObjectKey] = field(default_factory=WorkQueue)  # services whose pods are to be asked for vectors
    users: CacheUsers = field(default_factory=CacheUsers)
    following: Following = field(default_factory=Following)
    identity: Identity = field(default_factory=Identity)
    looks: Looks = field(default_factory=Looks)
    lacking: Patience = field(default_factory=lambda: Patience(PATIENCE))  # services whose pods lack a device
    site: Site = field(default_factory=Site)
    missing: Patience = field(default_factory=lambda: Patience(COMPANY))  # services that refer to what is not there
    spaces: Spaces = field(default_factory=Spaces)
    untold: Untold = field(default_factory=Untold)  # Events about services
    left_out: set[str] = field(default_factory=set)  # named namespaces in which there are no rights
    absent: set[str] = field(default_factory=set)  # optional kinds that the cluster does not serve, or not to us
    measuring: asyncio.Lock = field(default_factory=asyncio.Lock)  # held while it is decided whose turn it is
    bereft: set[ObjectKey] = field(default_factory=set)  # services that lost a child, and may be gone themselves

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Those in which this operator works; empty: all."""
        return tuple(one for one in self.settings.namespaces if one not in self.left_out)


@cache
def script_sources() -> Mapping[str, str]:
    """The scripts for serving pods, as this version of the operator ships them."""
    return podscripts.sources()
