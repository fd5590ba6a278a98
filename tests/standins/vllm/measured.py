"""A histogram as the double tells it. vLLM's bounds are others, and finer."""

from collections.abc import Sequence


class Measured:
    def __init__(self, bounds: Sequence[float] = (0.005, 0.05, 0.5, 5.0, 50.0)) -> None:
        self.bounds = bounds
        self.values: list[int] = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.sum += value
        for at, bound in enumerate((*self.bounds, float("inf"))):
            self.values[at] += value <= bound

    def lines(self, name: str, labels: str, told: str) -> list[str]:
        """In Prometheus' text format."""
        bounds = (*map(str, self.bounds), "+Inf")
        buckets = zip(bounds, self.values, strict=True)
        return [
            f"# HELP {name} {told}",
            f"# TYPE {name} histogram",
            *(f'{name}_bucket{{{labels},le="{bound}"}} {float(count)}' for bound, count in buckets),
            f"{name}_sum{{{labels}}} {self.sum}",
            f"{name}_count{{{labels}}} {float(self.values[-1])}",
        ]
