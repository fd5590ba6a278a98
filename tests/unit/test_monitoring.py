"""docs/monitoring.md shows every metric that the operator tells. `make golden` writes the table anew."""

import re
from pathlib import Path

from embedding_operator.controllers.telling import METRICS
from embedding_operator.metrics.text import Metric
from tests.unit.planning.test_golden import assert_as_reviewed

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "monitoring.md"
BLOCK = re.compile(r"(<!-- metrics -->\n).*?(<!-- end -->)", re.S)


def row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |\n"


def test_every_metric_is_on_the_page() -> None:
    table = "| metric | type | labels | what it is |\n|---|---|---|---|\n" + "".join(map(row, METRICS))
    page = PAGE.read_text()
    assert len(BLOCK.findall(page)) == 1
    assert_as_reviewed(PAGE, BLOCK.sub(lambda match: match[1] + table + match[2], page))
