"""Thousands of services that are served, in minutes: copies of some that the operator served (benchmarks/seeding.py).

Afterwards nobody works with what is there, neither the operator nor controller manager, scheduler and kubelets.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from benchmarks import seeding
from benchmarks.api import Api, connected
from benchmarks.arms import Arm, start_operator
from benchmarks.audit import AuditLog
from benchmarks.etcd import Etcd
from benchmarks.measure import Plan, rested, serve, until_rested
from benchmarks.site import Site, stop_others
from benchmarks.usage import Usage
from embedding_operator.controllers.routing import USERS_SETTLE

CAUGHT_UP: Final = "caught up"
_PATIENCE: Final = 600  # seconds


async def fill(site: Site, plan: Plan, prepare: Callable[[Api], Awaitable[None]] | None = None) -> None:
    """Serve some and copy them; an operator is started once more, which tells the ModelCaches of their users."""
    writes = site.directory / "writes.jsonl"
    arm = start_operator(site, runner=("-m", "benchmarks.recorder", str(writes)), workers=plan.workers)
    async with until_rested(site, arm, plan) as audit, connected(site.admin_kubeconfig) as api:
        if prepare:
            await prepare(api)
        await serve(api, arm, plan, seeding.originals(plan.services))
        await rested(audit, plan.rest)
    stop_others(site.control_plane)
    site.control_plane.stop_apiserver()
    seeding.seed(Etcd(site.control_plane.etcd_url), writes, plan.services, site.control_plane.site.service_cidr)
    site.control_plane.start_apiserver(timeout=_PATIENCE)
    arm = start_operator(site, workers=plan.workers, wait=False)
    try:
        await said(CAUGHT_UP, arm, time.monotonic())
        await rested(AuditLog(site.audit_log), max(plan.rest, 2 * USERS_SETTLE))
    finally:
        arm.end()


async def said(words: str, arm: Arm, began: float) -> tuple[float, Usage]:
    """Wait until an operator has logged them. Returns the seconds since it began, and what it has used."""
    while words not in arm.said():
        arm.check()
        if time.monotonic() - began > _PATIENCE:
            raise TimeoutError(f"the operator had not said {words.strip()!r} after {_PATIENCE} s")
        await asyncio.sleep(0.05)
    return time.monotonic() - began, arm.usage()
