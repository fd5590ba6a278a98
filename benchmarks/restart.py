"""What an operator that is started does where thousands of services are served already: nothing but look.

The services are copies of some that the operator has served (benchmarks/seeding.py), pods and all. It is started once
to tell the ModelCaches of their users, ended, and started again; that start is measured, until all was looked at once.
Nobody else is there: controller manager, scheduler and kubelets would only take the cores.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import counted, seeding
from benchmarks.api import connected
from benchmarks.arms import Arm, start_operator
from benchmarks.audit import AuditLog
from benchmarks.etcd import Etcd
from benchmarks.harness import verify
from benchmarks.measure import Plan, rested, serve, told, until_rested
from benchmarks.site import Site, running_site
from benchmarks.usage import Usage, usage_of
from embedding_operator.controllers.routing import USERS_SETTLE

_ELSEWHERE: Final = ("kube-controller-manager", "kube-scheduler", "kubelets")
_LISTED: Final = "listed "
_CAUGHT_UP: Final = "caught up"


@dataclass(frozen=True)
class Restart:
    """What an operator did that was started with everything in force."""

    services: int
    listed_seconds: float
    seconds: float  # from the start of the process until all was looked at once
    listed_cpu_seconds: float
    cpu_seconds: float
    apiserver_cpu_seconds: float
    peak_mb: float
    rss_mb: float
    received_mb: float
    writes: dict[str, int]
    reads: dict[str, int]
    failed: dict[str, int]


def measure_restart(directory: Path, plan: Plan, samples: Path | None = None) -> Restart:
    """Measure it; with `samples`, do it once more and keep that one's stacks there."""
    with running_site(directory, services=plan.services, replicas=plan.replicas) as site:
        asyncio.run(_fill(site, plan))
        restart = asyncio.run(_restart(site, plan))
        if samples:
            asyncio.run(_restart(site, plan, samples))
        return restart


async def _fill(site: Site, plan: Plan) -> None:
    writes = site.directory / "writes.jsonl"
    arm = start_operator(site, runner=("-m", "benchmarks.recorder", str(writes)), workers=plan.workers)
    async with until_rested(site, arm, plan) as audit, connected(site.admin_kubeconfig) as api:
        await serve(api, arm, plan, seeding.originals(plan.services))
        await rested(audit, plan.rest)
    for name in _ELSEWHERE:
        site.control_plane.stop_program(name)
    site.control_plane.stop_apiserver()
    seeding.seed(Etcd(site.control_plane.etcd_url), writes, plan.services, site.control_plane.site.service_cidr)
    site.control_plane.start_apiserver(timeout=600)
    arm = start_operator(site, workers=plan.workers)
    try:
        await _until(lambda: _CAUGHT_UP in arm.said(), arm, time.monotonic())
        await rested(AuditLog(site.audit_log), max(plan.rest, 2 * USERS_SETTLE))
    finally:
        arm.end()


async def _restart(site: Site, plan: Plan, samples: Path | None = None) -> Restart:
    audit, server = AuditLog(site.audit_log), site.control_plane.programs["kube-apiserver"].pid
    audit.skip()
    received, server_before = site.directory / "received", usage_of(server)
    how = ("benchmarks.sampled", str(samples)) if samples else ("benchmarks.counted", str(received))
    began = time.monotonic()
    arm = start_operator(site, runner=("-m", *how), workers=plan.workers, wait=False)
    try:
        listed, usage_listed = await _until(lambda: _LISTED in arm.said(), arm, began)
        caught_up, usage = await _until(lambda: _CAUGHT_UP in arm.said(), arm, began)
        server_after = usage_of(server)
        requests = await rested(audit, plan.rest)
        at_rest = arm.usage()
        async with connected(site.admin_kubeconfig) as api:
            await verify(api, services=plan.services, replicas=plan.replicas)
    finally:
        arm.end()
    return Restart(
        services=plan.services,
        listed_seconds=listed,
        seconds=caught_up,
        listed_cpu_seconds=usage_listed.cpu_seconds,
        cpu_seconds=usage.cpu_seconds,
        apiserver_cpu_seconds=server_after.cpu_seconds - server_before.cpu_seconds,
        peak_mb=at_rest.peak_mb,
        rss_mb=at_rest.rss_mb,
        received_mb=0.0 if samples else counted.received(received) / 1e6,
        **told(requests),
    )


async def _until(happened: Callable[[], bool], arm: Arm, began: float) -> tuple[float, Usage]:
    while not happened():
        arm.check()
        if time.monotonic() - began > 600:
            raise TimeoutError("the operator did not catch up in ten minutes")
        await asyncio.sleep(0.05)
    return time.monotonic() - began, arm.usage()
