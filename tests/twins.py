"""Two replicas of the operator as processes of this machine, each with an account of its own, so that the API server's
audit log tells who asked what when."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.cluster.controlplane import ControlPlane
from tests.cluster.kubectl import write_kubeconfig
from tests.integration.operating import until
from tests.operator_process import OperatorProcess

Object = dict[str, Any]
NAMES = ("left", "right")


@dataclass(frozen=True)
class Request:
    """One that the API server has answered; `at` is when it came, in seconds."""

    who: str
    verb: str
    kind: str  # plural, with the subresource
    namespace: str
    name: str
    at: float
    code: int

    def __str__(self) -> str:
        return f"{self.who}: {self.verb} {self.kind} {self.namespace}/{self.name} {self.code} at {self.at:.3f}"

    @property
    def is_write(self) -> bool:
        """The Lease's own do not count."""
        return self.verb not in ("get", "list", "watch") and not self.is_lease

    @property
    def is_lease(self) -> bool:
        return self.kind == "leases"

    @property
    def holds(self) -> bool:
        """Whether it took the Lease, or renewed it."""
        return self.is_lease and self.verb in ("create", "update") and self.code < 300


class Twins:
    """`with Twins(control_plane, directory, "ha", lease=6) as twins: ...`; both are ready, one of them leads."""

    def __init__(
        self,
        control_plane: ControlPlane,
        directory: Path,
        namespace: str,
        *,
        lease: int = 15,
        operator: Callable[..., OperatorProcess] = OperatorProcess,
    ) -> None:
        self.lease, self.namespace = lease, namespace
        self._kubectl, self._audit_log = control_plane.kubectl, control_plane.audit_log
        self._seen = self._audit_log.stat().st_size  # what others did before
        self._kubectl("create", "namespace", namespace)
        arguments = (f"--lease-namespace={namespace}", f"--lease-seconds={lease}")
        self.replicas: dict[str, OperatorProcess] = {}
        for name in NAMES:
            kubeconfig = self._account(control_plane, directory, name)
            self.replicas[name] = operator(kubeconfig, directory, *arguments, name=name)

    def __enter__(self) -> Twins:
        for replica in self.replicas.values():
            replica.start()
        until(lambda: bool(self.leader()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for replica in self.replicas.values():
            if replica.is_running():
                replica.send(signal.SIGCONT)
                replica.terminate()

    def leader(self) -> str:
        """Whose name is in the Lease; nobody's is empty."""
        of_it = ("-n", self.namespace, "get", "lease", "embedding-operator")
        found = self._kubectl(*of_it, "--ignore-not-found", "-o", "json")
        holder: str = json.loads(found or "{}").get("spec", {}).get("holderIdentity") or ""
        return holder.rpartition("-")[0]

    def other(self, name: str) -> str:
        return NAMES[1 - NAMES.index(name)]

    def requests(self) -> list[Request]:
        """All of both so far, in the order in which they came."""
        return sorted(self._requests(), key=lambda request: request.at)

    def held_until(self, name: str) -> float:
        """When the Lease of this one has run out, as the API server saw it renewed."""
        return max(request.at for request in self.requests() if request.who == name and request.holds) + self.lease

    def _requests(self) -> Iterator[Request]:
        accounts = {f"system:serviceaccount:{self.namespace}:{name}": name for name in NAMES}
        with self._audit_log.open("rb") as log:
            log.seek(self._seen)
            lines = log.read().splitlines(keepends=True)
        for line in lines:
            if self.namespace.encode() not in line or not line.endswith(b"\n"):
                continue
            entry = json.loads(line)
            who, told = accounts.get(entry["user"]["username"]), entry.get("objectRef") or {}
            if who is None or (entry["verb"] == "watch" and entry["stage"] != "ResponseStarted"):
                continue
            kind = "/".join(part for part in (told.get("resource", ""), told.get("subresource", "")) if part)
            at = datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp()
            code = (entry.get("responseStatus") or {}).get("code", 0)
            yield Request(who, entry["verb"], kind, told.get("namespace", ""), told.get("name", ""), at, code)

    def _account(self, control_plane: ControlPlane, directory: Path, name: str) -> Path:
        of_it = ("-n", self.namespace)
        self._kubectl(*of_it, "create", "serviceaccount", name)
        binding = f"{self.namespace}-{name}"
        account = f"--serviceaccount={self.namespace}:{name}"
        self._kubectl("create", "clusterrolebinding", binding, "--clusterrole=cluster-admin", account)
        token = self._kubectl(*of_it, "create", "token", name, "--duration=2h").strip()
        path = directory / f"{self.namespace}-{name}.kubeconfig"
        return write_kubeconfig(path, control_plane.url, control_plane.ca, token)


def written_after(twins: Twins, name: str, moment: float) -> list[Request]:
    """What this one wrote later than that; nothing, if the moment is the end of its Lease."""
    return [request for request in twins.requests() if request.who == name and request.is_write and request.at > moment]


def made(twins: Twins, namespace: str) -> Counter[str]:
    """How often something was made there, by kind and name; Events have names of their own."""
    return Counter(
        f"{request.kind} {request.name}"
        for request in twins.requests()
        if request.code == 201 and request.is_write and request.namespace == namespace and request.kind != "events"
    )


def lists_before_first_write(twins: Twins, name: str, moment: float) -> list[Request]:
    """What this one listed from its taking of the Lease after that moment to its first write; not whether there are
    kinds that nobody has installed, which is asked for some time after a start."""
    ours = [request for request in twins.requests() if request.who == name and request.at > moment]
    taken = next(request.at for request in ours if request.holds)
    written = next(request.at for request in ours if request.is_write)
    lists = [request for request in ours if request.verb == "list" and request.code != 404]
    return [request for request in lists if taken <= request.at <= written]
