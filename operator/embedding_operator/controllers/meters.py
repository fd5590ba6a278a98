"""What controllers count as they work, for Prometheus. Plain numbers: what is made of them is told by telling.py."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final

from embedding_operator.api import names
from embedding_operator.api.conditions import Reason
from embedding_operator.metrics.histogram import MINUTES, Histogram

# Told from the start: of a counter that appears with its first event, Prometheus sees no increase.
_KINDS: Final = tuple(names.PLURALS)
_STAGINGS: Final = (Reason.VERIFIED, Reason.RETRYING, Reason.DAMAGED)


def _no_defects() -> Counter[tuple[str, str]]:
    return Counter({(kind, "defect"): 0 for kind in _KINDS})


def _no_stagings() -> Counter[str]:
    return Counter({str(reason): 0 for reason in _STAGINGS})


@dataclass(slots=True)
class Meters:
    """Since the process began."""

    reconciles: Counter[tuple[str, str]] = field(default_factory=_no_defects)  # by kind and result
    seconds: defaultdict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))  # of them, by kind
    lists: Counter[str] = field(default_factory=Counter)  # by plural
    revisions: int = 0
    stagings: Counter[str] = field(default_factory=_no_stagings)  # by result
    staged_bytes: int = 0
    staging_seconds: Histogram = field(default_factory=lambda: Histogram(MINUTES))
    lag: Histogram = field(default_factory=Histogram)  # of the event loop
