"""docs/monitoring.md shows every metric and every alert. `make golden` writes the table of metrics anew."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from embedding_operator.api.conditions import Reason
from embedding_operator.controllers.telling import METRICS
from embedding_operator.metrics.text import Metric
from tests.prometheus_rules import alerts
from tests.unit.planning.test_golden import assert_as_reviewed

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "monitoring.md"
BLOCK = re.compile(r"(<!-- metrics -->\n).*?(<!-- end -->)", re.S)


def jobs() -> dict[str, Any]:
    """What docs/monitoring.md shows for a Prometheus without the Prometheus Operator."""
    blocks = re.findall(r"^```yaml\n(scrape_configs:\n.*?)^```$", PAGE.read_text(), re.M | re.S)
    return {job["job_name"]: job for block in blocks for job in yaml.safe_load(block)["scrape_configs"]}


def test_every_alert_says_how_bad_it_is_and_has_a_place_on_the_page() -> None:
    headings = re.findall(r"^### (Embedding\w+)$", PAGE.read_text(), re.M)
    assert headings == [rule["alert"] for rule in alerts()]
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert {"summary", "description"} < set(rule["annotations"])
        assert rule["annotations"]["runbook_url"] == f"docs/monitoring.md#{rule['alert'].lower()}"


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_alerts_ask_for_metrics_that_are_told(rule: dict[str, Any]) -> None:
    asked = {re.sub(r"_bucket$", "", name) for name in re.findall(r"embedding_operator_\w+", rule["expr"])}
    assert asked <= {metric.name for metric in METRICS}
    assert asked


def test_reasons_that_alerts_ask_for_are_told() -> None:
    found = {
        reason
        for rule in alerts()
        for several in re.findall(r'reason!?=~?"([^"]+)"', rule["expr"])
        for reason in several.split("|")
    }
    assert len(found) > 10
    assert found <= set(Reason)


def row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |\n"


def test_every_metric_is_on_the_page() -> None:
    table = "| metric | type | labels | what it is |\n|---|---|---|---|\n" + "".join(map(row, METRICS))
    page = PAGE.read_text()
    assert len(BLOCK.findall(page)) == 1
    assert_as_reviewed(PAGE, BLOCK.sub(lambda match: match[1] + table + match[2], page))
