"""What an operator that is started does where thousands of services are served already: nothing but look.

The services are copies of some that the operator has served (benchmarks/filling.py), pods and all. What is
measured is the start of an operator there, until it has looked at all of them once.
Nobody else is there: controller manager, scheduler and kubelets would only take the cores.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import counted
from benchmarks.api import connected
from benchmarks.arms import start_operator
from benchmarks.audit import AuditLog
from benchmarks.filling import CAUGHT_UP, fill, said
from benchmarks.harness import verify
from benchmarks.measure import Plan, rested, told
from benchmarks.site import Site, running_site
from benchmarks.usage import usage_of

_LISTED: Final = "listed "


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
        asyncio.run(fill(site, plan))
        restart = asyncio.run(_restart(site, plan))
        if samples:
            asyncio.run(_restart(site, plan, samples))
        return restart


async def _restart(site: Site, plan: Plan, samples: Path | None = None) -> Restart:
    audit, server = AuditLog(site.audit_log), site.control_plane.programs["kube-apiserver"].pid
    audit.skip()
    received, server_before = site.directory / "received", usage_of(server)
    how = ("benchmarks.sampled", str(samples)) if samples else ("benchmarks.counted", str(received))
    began = time.monotonic()
    arm = start_operator(site, runner=("-m", *how), workers=plan.workers, wait=False)
    try:
        listed, usage_listed = await said(_LISTED, arm, began)
        caught_up, usage = await said(CAUGHT_UP, arm, began)
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
