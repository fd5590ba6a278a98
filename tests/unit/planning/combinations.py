"""Chips x models x versions, as plan tests take them."""

import re
from collections.abc import Iterator
from typing import Any

from embedding_operator.planning.plan import Plan
from embedding_operator.planning.releases import RELEASES
from tests.unit.planning import given

CHIPS = {
    "910B": "ascend-910b",
    "A3": "ascend-a3",
    "310P": "ascend-310p",
    "950": "ascend-950",
    "CPU": "cpu",
}
MODELS = {
    "Qwen/Qwen3-Embedding-8B": "Embed",
    "Qwen/Qwen3-VL-Embedding-8B": "Embed",
    "BAAI/bge-m3": "Embed",
    "acme/encoder": "Embed",
    "Qwen/Qwen3-Reranker-8B": "Rerank",
    "Qwen/Qwen3-VL-Reranker-8B": "Rerank",
    "BAAI/bge-reranker-v2-m3": "Rerank",
    "acme/sentiment": "Classify",
}
VERSIONS = [str(release) for release in RELEASES]


def planned(chip: str, repo: str, version: str, context: int | None = None, **spec: Any) -> Plan:
    """The plan of a new service whose weights are staged, and allow inputs of so many tokens as far as is known."""
    service = given.service(
        model={"source": {"modelScope": {"repo": repo}}},
        task=MODELS[repo],
        runtime={"profile": CHIPS[chip], "version": version},
        **spec,
    )
    return given.plan(service, given.seen(cache=given.cache(repo=repo, contextLength=context)))


def command_lines(version: str, *, chips: tuple[str, ...] = tuple(CHIPS), **spec: Any) -> Iterator[list[str]]:
    """What every model on every chip is given after `vllm serve`, unless it is refused."""
    for repo in MODELS:
        for chip in chips:
            plan = planned(chip, repo, version, **spec)
            if plan.apply:
                yield list(plan.status.resolved.args or ())[2:]


def outcome(chip: str, repo: str, version: str) -> dict[str, Any]:
    """What chip, model and version decide of a pod; or why there is none."""
    plan = planned(chip, repo, version)
    told = given.conditions(plan)
    if "Stalled" in told:
        return {"refused": told["Stalled"][2]}
    (container,) = given.child(plan, "Deployment")["spec"]["template"]["spec"]["containers"]
    probe = container["startupProbe"]["exec"]["command"]
    return {
        "image": container["image"].replace(version, "VERSION"),
        "device": next((name for name in container["resources"]["limits"] if "/" in name), None),
        "args": " ".join(plan.status.resolved.args or ()),
        "startup": " ".join(probe[probe.index("--task") :]),
        "known": re.findall(r"https://[^)]+", told["KnownProblems"][2]) if "KnownProblems" in told else [],
    }


def matrix() -> dict[str, Any]:
    """All of them; versions that are served alike stand together."""
    found: dict[str, Any] = {}
    for repo in MODELS:
        for chip in CHIPS:
            alike: list[tuple[list[str], dict[str, Any]]] = []
            for version in VERSIONS:
                got = outcome(chip, repo, version)
                if not alike or alike[-1][1] != got:
                    alike.append(([], got))
                alike[-1][0].append(version)
            found[f"{repo} on {chip}"] = {", ".join(versions): got for versions, got in alike}
    return found
