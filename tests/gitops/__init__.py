"""Argo CD, Flux and kstatus, asked through their own libraries (see README.md)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.cluster.binaries import ensure_binaries
from tests.cluster.errors import ClusterError
from tests.cluster.sources import GITOPS

Object = dict[str, Any]


class Engines:
    """`with Engines(kubeconfig) as engines: ...`; one process answers all questions."""

    def __init__(self, kubeconfig: Path) -> None:
        self._command = [str(ensure_binaries([GITOPS])["gitops-engines"]), f"-kubeconfig={kubeconfig}"]

    def __enter__(self) -> Engines:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def kstatus(self, obj: Object) -> str:
        """What Flux's `wait` and `healthChecks`, `kubectl apply --wait` of cli-utils and others read from an object."""
        (said,) = self._ask("kstatus", [obj])
        return str(said["status"])

    def argo_health(self, obj: Object, script: str = "") -> tuple[str, str]:
        """Argo CD's health and its words; both empty for a kind that has none."""
        (said,) = self._ask("argo-health", [obj], lua=script)
        return said["status"], said["message"]

    def argo_diff(self, desired: Sequence[Object], manager: str = "") -> list[Object]:
        """What Argo CD shows as OutOfSync, as (live, predicted); compared on the server if a manager is given."""
        found = self._ask("argo-diff", desired, manager=manager)
        return [one for one in found if one["modified"]]

    def flux_apply(self, objects: Sequence[Object]) -> dict[str, str]:
        """What became of each object: created, configured or unchanged."""
        done: dict[str, str] = self._ask("flux-apply", objects)
        return done

    def flux_diff(self, objects: Sequence[Object]) -> dict[str, str]:
        done: dict[str, str] = self._ask("flux-diff", objects)
        return done

    def flux_wait(self, objects: Sequence[Object], seconds: int) -> str:
        """Empty once all are Current, else Flux's words, at the end of its patience or as soon as one is Failed."""
        said: Object = self._ask("flux-wait", objects, seconds=seconds)
        return str(said["message"])

    def flux_prune(self, objects: Sequence[Object]) -> dict[str, str]:
        done: dict[str, str] = self._ask("flux-prune", objects)
        return done

    def _ask(self, what: str, objects: Sequence[Object], **more: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"ask": what, "objects": list(objects), **more}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise ClusterError(f"the engines ended when asked for {what}")
        said = json.loads(line)
        if "error" in said:
            raise ClusterError(f"{what}: {said['error']}")
        return said["answer"]
