"""The life of many services on one control plane: created, left alone, all changed, moved to a new profile, deleted.

Each step ends when what was asked for is so, as the harness sees; then the operator is waited for until it rests. Its
requests, its CPU and the bytes that it receives count from the step's begin until then.

Of very many services the whole life takes hours. It may begin with any step; what the former ones leave is put there
(benchmarks/filling.py).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks import command, counted
from benchmarks.api import MERGE, METADATA_LIST, TABLE, Api, Lines, connected
from benchmarks.arms import Arm, start_operator
from benchmarks.audit import AuditLog
from benchmarks.filling import CAUGHT_UP, fill, said
from benchmarks.harness import CHILDREN, SELECTOR, all_ready, at_once, listed
from benchmarks.manifests import PROFILE, SERVICES, path_of
from benchmarks.measure import Plan, rested, serve, told, until_rested
from benchmarks.site import Site, running_site, start_others
from benchmarks.waves import INITIAL, Wave, most_at_once

STEPS: Final = ("created", "alone", "replicas", "profile", "deleted")
_PROFILE: Final = f"/apis/embedding-operator.io/v1alpha1/runtimeprofiles/{PROFILE}"
_PODS: Final = f"/api/v1/pods{SELECTOR}"


@dataclass(frozen=True)
class Step:
    """What one step took."""

    name: str
    services: int
    seconds: float
    cpu_seconds: float
    received_mb: float
    peak_mb: float
    writes: dict[str, int]
    reads: dict[str, int]
    failed: dict[str, int]
    at_once: int | None = None  # the most services whose pods were replaced at the same time


def measure_scenarios(directory: Path, plan: Plan, turns: int, first: str = STEPS[0]) -> list[Step]:
    """All steps from the first on; so many services at a time adopt a new profile."""
    if STEPS.index(first) > STEPS.index("replicas"):
        plan = replace(plan, replicas=1)
    with running_site(directory, services=plan.services, replicas=plan.replicas) as site:
        return asyncio.run(_live(site, plan, turns, first))


async def _live(site: Site, plan: Plan, turns: int, first: str) -> list[Step]:
    async def follow(api: Api) -> None:
        await _patch_profile(api, {"rollout": {"policy": "Follow", "maxConcurrent": turns}})

    if first != STEPS[0]:
        await fill(site, plan, follow)
        start_others(site.control_plane)
    received = site.directory / "received"
    arm = start_operator(site, runner=("-m", "benchmarks.counted", str(received)), workers=plan.workers)
    async with until_rested(site, arm, plan) as audit, connected(site.admin_kubeconfig) as api:
        await said(CAUGHT_UP, arm, time.monotonic())
        await rested(audit, plan.settle)
        await follow(api)
        scene, wave = _Scene(plan, arm, audit, received), Wave(plan.services)
        steps = {
            "created": lambda: scene.step("created", serve(api, arm, plan, range(plan.services))),
            "alone": lambda: scene.step(f"left alone for {plan.quiet:.0f} s", asyncio.sleep(plan.quiet)),
            "replicas": lambda: scene.step("one replica each instead of two", _scale(api, scene)),
            "profile": lambda: scene.step(f"a new profile, {turns} at a time", _roll(api, scene, wave), wave),
            "deleted": lambda: scene.step("deleted", _delete(api, scene)),
        }
        return [await steps[name]() for name in STEPS[STEPS.index(first) :]]


class _Scene:
    def __init__(self, plan: Plan, arm: Arm, audit: AuditLog, received: Path) -> None:
        self.plan, self._arm, self._audit, self._received = plan, arm, audit, received

    async def step(self, name: str, doing: Awaitable[object], wave: Wave | None = None) -> Step:
        """Do it, and wait until the operator rests."""
        before, received = self._arm.usage(), counted.received(self._received)
        self._audit.skip()
        began = time.monotonic()
        await doing
        seconds = time.monotonic() - began
        requests = await rested(self._audit, self.plan.rest)
        after = self._arm.usage()
        step = Step(
            name=name,
            services=self.plan.services,
            seconds=seconds,
            cpu_seconds=after.cpu_seconds - before.cpu_seconds,
            received_mb=(counted.received(self._received) - received) / 1e6,
            peak_mb=after.peak_mb,
            **told(requests),
            at_once=most_at_once(wave.states) if wave else None,
        )
        command.say(json.dumps(vars(step)))
        return step

    async def until(self, happened: Callable[[], Awaitable[bool]]) -> None:
        """Wait for it, while the operator lives."""
        deadline = time.monotonic() + self.plan.timeout
        while not await happened():
            self._arm.check()
            if time.monotonic() > deadline:
                raise TimeoutError("the services were not as asked for in time")
            await asyncio.sleep(0.2)


def _is_set(event: asyncio.Event) -> Callable[[], Awaitable[bool]]:
    """What a task will see."""

    async def happened() -> bool:
        return event.is_set()

    return happened


async def _scale(api: Api, scene: _Scene) -> None:
    done = asyncio.Event()
    rows = Lines(api, f"{SERVICES}?includeObject=None", TABLE)
    watching = asyncio.create_task(all_ready(rows, scene.plan.services, 1, done))
    await rows.begun.wait()
    await at_once([("PATCH", path, json.dumps({"spec": {"replicas": 1}})) for path in _paths(scene)], api, MERGE)
    await scene.until(_is_set(done))
    watching.cancel()


async def _roll(api: Api, scene: _Scene, wave: Wave) -> None:
    followed = {False: Lines(api, CHILDREN["Deployment"] + SELECTOR + INITIAL), True: Lines(api, _PODS + INITIAL)}
    watching = [asyncio.create_task(wave.follow(lines, pods=pods)) for pods, lines in followed.items()]
    for begun in wave.begun.values():
        await scene.until(_is_set(begun))
    await _patch_profile(api, {"pod": {"annotations": {"example.com/driver": "2"}}})
    await scene.until(_is_set(wave.over))
    for task in watching:
        task.cancel()


async def _delete(api: Api, scene: _Scene) -> None:
    """Deleted are services one by one; all else goes with them."""
    await at_once([("DELETE", path, "") for path in _paths(scene)], api)
    for path in (SERVICES + "?", *(path + SELECTOR for path in CHILDREN.values()), _PODS):
        await scene.until(lambda path=path: _is_empty(api, f"{path}&limit=1"))  # type: ignore[misc]


async def _is_empty(api: Api, path: str) -> bool:
    return not await listed(api, path, METADATA_LIST)


def _paths(scene: _Scene) -> list[str]:
    return [path_of(index) for index in range(scene.plan.services)]


async def _patch_profile(api: Api, spec: dict[str, Any]) -> None:
    await api.send("PATCH", _PROFILE, json.dumps({"spec": spec}), MERGE)
