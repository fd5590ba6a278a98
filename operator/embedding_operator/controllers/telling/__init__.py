"""What Prometheus is told: all of it made at the scrape, from counters and the cache."""

from collections.abc import Iterator

from embedding_operator.controllers.context import Context
from embedding_operator.controllers.telling import objects, operator
from embedding_operator.controllers.telling.operator import Standing
from embedding_operator.metrics.process import PROCESS, process
from embedding_operator.metrics.text import Family, Metric

METRICS: tuple[Metric, ...] = (*operator.METRICS, *objects.METRICS, *PROCESS)


def families(context: Context, standing: Standing) -> Iterator[Family]:
    """All of them, in the order of `METRICS`."""
    yield from operator.families(context, standing)
    yield from objects.families(context)
    yield from process()
