"""`python -m benchmarks.rollouts`: what each change to a service costs with two hundred requests in flight.

docs/rollouts.md says what is measured and how to read it. Root is needed: the cluster has nodes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import report
from demo import install
from tests.chaos import busy
from tests.chaos.busy import Busy, Outcome, Over, undergo
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.e2e.product import Product

_HEADER = ("change", "replicas", "a device is free", "requests", "failed", "seconds")


@dataclass(frozen=True)
class Scenario:
    """One service, and what happens to it one after the other; with the words for the table."""

    name: str
    replicas: int
    changes: tuple[tuple[str, Callable[[Busy], Over]], ...]
    spare: bool = True


SCENARIOS = (
    Scenario(
        "spec",
        2,
        (
            ("image", busy.another_image),
            ("flag (`serving.maxModelLen`)", busy.another_flag),
            ("weights, with their verification", busy.other_weights),
        ),
    ),
    Scenario(
        "kubectl",
        2,
        (
            ("`kubectl rollout restart`", busy.restart),
            ("scaled up to 4", busy.scale_up),
            ("scaled down to 2", busy.scale_down),
            ("one pod deleted", busy.one_pod_deleted),
            ("`kubectl drain` of a node", busy.a_node_drained),
        ),
    ),
    Scenario("scarce", 2, (("flag", busy.another_flag), ("`kubectl rollout restart`", busy.restart)), spare=False),
    Scenario("single", 1, (("image", busy.another_image),)),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is asked for, print it, keep it."""
    arguments = _parser().parse_args(argv)
    try:
        outcomes = list(_outcomes(arguments))
    except (ClusterError, RuntimeError, AssertionError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    print(report.machine())
    print(report.tabulated(_HEADER, [_row(*one) for one in outcomes], markdown=True))
    if arguments.output:
        runs = [asdict(outcome) | {"spare": scenario.spare} for scenario, outcome in outcomes]
        arguments.output.write_text(json.dumps({"machine": report.machine(), "runs": runs}, indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rollouts", description=__doc__)
    add = parser.add_argument
    names = [scenario.name for scenario in SCENARIOS]
    add("--scenarios", nargs="+", choices=names, default=names, metavar="NAME", help=f"default: {' '.join(names)}")
    add("--cluster", metavar="NAME", help="a test cluster that is up (default: one of its own)")
    add("--output", type=Path, metavar="FILE", help="write all runs as JSON")
    return parser


def _outcomes(arguments: argparse.Namespace) -> Iterator[tuple[Scenario, Outcome]]:
    name = arguments.cluster
    cluster = Cluster.attach(name) if name else Cluster.up(f"rollouts-{os.getpid()}", die_with_parent=True)
    try:
        install.load_images(cluster, ["operator", "standins"])
        install.install_operator(cluster)
        install.install_hub(cluster.kubectl)
        product = Product(cluster)
        for scenario in SCENARIOS:
            if scenario.name in arguments.scenarios:
                for outcome in _happens(product, scenario):
                    print(outcome, file=sys.stderr, flush=True)
                    yield scenario, outcome
    finally:
        if not name:
            cluster.down()


def _happens(product: Product, scenario: Scenario) -> Iterator[Outcome]:
    service = Busy(product, scenario.replicas)
    if not scenario.spare:
        service.leave_no_device_free()
    for what, change in scenario.changes:
        yield undergo(service, what, change)
    product.leave()


def _row(scenario: Scenario, outcome: Outcome) -> list[str]:
    return [
        outcome.what,
        str(outcome.replicas),
        "yes" if scenario.spare else "no",
        f"{outcome.told['requests']:,}",
        f"**{outcome.failed}**",
        f"{outcome.seconds:.0f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
