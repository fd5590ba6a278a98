"""How long hypothesis searches: the same examples each time in `make test`, many new ones in `make test-long`."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings


def effort(*, examples: int, steps: int = 50, repeatable: bool = True) -> settings:
    """`repeatable`: the same examples in each run, so that a merge is never stopped by chance.

    Only the others are made smaller when they fail, which takes minutes.
    """
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=repeatable,
        database=None,
        deadline=None,
        phases=(Phase.generate,) if repeatable else (Phase.generate, Phase.shrink),
        print_blob=not repeatable,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
