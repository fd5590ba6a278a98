"""What controllers count as they work, for Prometheus. Plain numbers: what is made of them is told by telling.py."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from embedding_operator.metrics.histogram import MINUTES, Histogram


@dataclass(slots=True)
class Meters:
    """Since the process began."""

    reconciles: Counter[tuple[str, str]] = field(default_factory=Counter)  # by kind and result
    seconds: defaultdict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))  # of them, by kind
    lists: Counter[str] = field(default_factory=Counter)  # by plural
    revisions: int = 0
    stagings: Counter[str] = field(default_factory=Counter)  # by result
    staged_bytes: int = 0
    staging_seconds: Histogram = field(default_factory=lambda: Histogram(MINUTES))
    lag: Histogram = field(default_factory=Histogram)  # of the event loop
