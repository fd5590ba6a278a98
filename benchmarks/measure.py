"""One measured run of one arm on a control plane of its own, from nothing to services at rest."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks import recording
from benchmarks.api import Api, connected
from benchmarks.arms import BARE, OPERATOR, Arm, start_bare, start_operator
from benchmarks.audit import AuditLog, Requests
from benchmarks.harness import Times, caches_are_ready, create_and_wait, verify
from benchmarks.manifests import path_of
from benchmarks.site import Site, running_site
from benchmarks.usage import usage_of

WARM: Final = 4  # services before the clock starts: what an API server does for the first time is slow
ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True)
class Plan:
    """What a run is asked for."""

    services: int
    replicas: int
    workers: int
    timeout: float
    rest: float = 4.0  # seconds without a request until things are called at rest
    settle: float = 15.0  # the operator lists once more what nobody told it of, that long after its start
    quiet: float = 0.0


@dataclass(frozen=True)
class Run:
    """What one run found."""

    arm: str
    services: int
    replicas: int
    created_seconds: float
    children_seconds: float
    ready_seconds: float
    cpu_seconds: float
    rss_mb: float
    peak_mb: float
    apiserver_cpu_seconds: float
    writes: dict[str, int]
    reads: dict[str, int]
    failed: dict[str, int]
    lease_requests: int
    quiet: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For the results file."""
        return asdict(self)


def make_recording(directory: Path, plan: Plan) -> Path:
    """Let the operator serve one service, and keep what it wrote."""
    raw, kept = directory / "writes.jsonl", directory / "recording.json"

    async def run(site: Site) -> None:
        arm = start_operator(site, runner=("-m", "benchmarks.recorder", str(raw)), workers=plan.workers)
        async with until_rested(site, arm, plan) as audit, connected(site.admin_kubeconfig) as api:
            await serve(api, arm, plan, [0])
            await rested(audit, plan.rest)
            stored = json.loads(await api.send("GET", path_of(0)))
            kept.write_text(recording.to_text(recording.load(raw, stored["metadata"]["uid"])))

    with running_site(directory / "recorded", services=1, replicas=plan.replicas) as site:
        asyncio.run(run(site))
    return kept


def measure(directory: Path, arm: str, plan: Plan, recorded: Path) -> Run:
    """One run; its logs stay in `directory`."""
    with running_site(directory, services=WARM + plan.services, replicas=plan.replicas) as site:
        return asyncio.run(_measure(site, lambda: _start(site, arm, plan, recorded), plan))


def measure_profiled(directory: Path, plan: Plan) -> tuple[Run, Path]:
    """One run of the operator under the profiler, which slows it down; returns the profile too."""
    stats = directory / "operator.prof"
    with running_site(directory, services=WARM + plan.services, replicas=plan.replicas) as site:
        runner = ("-m", "benchmarks.profiled", str(stats))
        run = asyncio.run(_measure(site, lambda: start_operator(site, runner=runner, workers=plan.workers), plan))
    return run, stats


def _start(site: Site, arm: str, plan: Plan, recorded: Path) -> Arm:
    if arm == BARE:
        return start_bare(site, recorded)
    assert arm == OPERATOR
    return start_operator(site, workers=plan.workers)


@contextlib.asynccontextmanager
async def until_rested(site: Site, arm: Arm, plan: Plan) -> AsyncIterator[AuditLog]:
    """The arm at rest, with its requests counted from here; it is ended in any case."""
    try:
        audit = AuditLog(site.audit_log)
        if arm.name == OPERATOR:
            async with connected(site.admin_kubeconfig) as api:
                while not await caches_are_ready(api):
                    arm.check()
                    await asyncio.sleep(0.2)
        await rested(audit, plan.rest)
        yield audit
    finally:
        arm.end()


async def _measure(site: Site, start: Callable[[], Arm], plan: Plan) -> Run:
    arm = start()
    async with until_rested(site, arm, plan) as audit, connected(site.admin_kubeconfig) as api:
        server = site.control_plane.programs["kube-apiserver"].pid
        await serve(api, arm, plan, range(WARM))
        await rested(audit, plan.settle if arm.name == OPERATOR else plan.rest)
        before, server_before = arm.usage(), usage_of(server)
        times = await serve(api, arm, plan, range(WARM, WARM + plan.services), existing=WARM)
        after, server_after = arm.usage(), usage_of(server)
        requests = await rested(audit, plan.rest)
        await verify(api, services=WARM + plan.services, replicas=plan.replicas)
        at_rest = arm.usage()
        quiet = await _quiet(audit, arm, plan.quiet) if plan.quiet else {}
        return Run(
            arm=arm.name,
            services=plan.services,
            replicas=plan.replicas,
            created_seconds=times.created,
            children_seconds=times.children,
            ready_seconds=times.ready,
            cpu_seconds=after.cpu_seconds - before.cpu_seconds,
            rss_mb=at_rest.rss_mb,
            peak_mb=arm.usage().peak_mb,
            apiserver_cpu_seconds=server_after.cpu_seconds - server_before.cpu_seconds,
            **told(requests),
            lease_requests=requests.leases,
            quiet=quiet,
        )


async def serve(api: Api, arm: Arm, plan: Plan, indexes: Sequence[int], *, existing: int = 0) -> Times:
    """Create services and wait until they are ready."""
    return await create_and_wait(
        api, indexes, existing=existing, replicas=plan.replicas, seconds=plan.timeout, check=arm.check
    )


async def rested(audit: AuditLog, seconds: float) -> Requests:
    """Wait until nothing but the Lease was asked for in so many seconds; returns all that was asked until then."""
    counts: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    last = time.monotonic()
    while time.monotonic() - last < seconds:
        await asyncio.sleep(0.25)
        news = audit.requests()
        counts += news.counts
        failed += news.failed
        if sum(news.counts.values()) > news.leases:
            last = time.monotonic()
    return Requests(counts, failed)


async def _quiet(audit: AuditLog, arm: Arm, seconds: float) -> dict[str, Any]:
    before = arm.usage()
    await asyncio.sleep(seconds)
    requests = audit.requests()
    cpu = arm.usage().cpu_seconds - before.cpu_seconds
    return {"seconds": seconds, **told(requests), "lease_requests": requests.leases, "cpu_seconds": cpu}


def told(requests: Requests) -> dict[str, dict[str, int]]:
    """For the results file."""
    return {
        "writes": dict(requests.writes().most_common()),
        "reads": dict(requests.reads().most_common()),
        "failed": dict(requests.failed.most_common()),
    }
