"""The dashboards as Grafana takes them; tests/integration/test_monitoring.py asks a Prometheus all their queries."""

import json
import re
from itertools import combinations
from typing import Any

import pytest

from charts.manifests import CHART, dashboards
from embedding_operator.controllers.telling import METRICS

FILES = sorted((CHART / "dashboards").glob("*.json"))
every_dashboard = pytest.mark.parametrize(
    "made", [json.loads(path.read_text()) for path in FILES], ids=lambda d: d["uid"]
)
OURS = {metric.name for metric in METRICS}
UNITS = {"none", "s", "ops", "reqps", "bytes", "Bps", "percent", "percentunit", "celsius", "watt"}


def panels(made: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in made["panels"] if panel["type"] != "row"]


def test_the_files_are_what_is_made() -> None:
    assert {path.name: path.read_text() for path in FILES} == dashboards(), "run `make manifests`"


@every_dashboard
def test_no_data_source_is_named_but_by_the_variable(made: dict[str, Any]) -> None:
    targets = [target for panel in panels(made) for target in panel["targets"]]
    named = [one["datasource"] for one in (*panels(made), *targets, *made["templating"]["list"][1:])]
    assert {source["uid"] for source in named} == {"${datasource}"}
    first, *others = made["templating"]["list"]
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    assert [one["name"] for one in others] == ["namespace", "service"]


@every_dashboard
def test_ids_are_unique_and_no_panel_lies_on_another(made: dict[str, Any]) -> None:
    assert "id" not in made  # Grafana gives that one
    assert len({panel["id"] for panel in made["panels"]}) == len(made["panels"])
    places = [panel["gridPos"] for panel in made["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for a, b in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
    assert [place["y"] for place in places] == sorted(place["y"] for place in places)


@every_dashboard
def test_a_panel_says_what_it_shows_in_which_unit(made: dict[str, Any]) -> None:
    titles = [panel["title"] for panel in panels(made)]
    assert len(titles) == len({*zip(titles, (panel["targets"][0]["expr"] for panel in panels(made)), strict=True)})
    for panel in panels(made):
        assert panel["description"].endswith((".", "?")), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["type"] != "timeseries" or all(target["legendFormat"] for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@every_dashboard
def test_thresholds_begin_below_everything_and_rise(made: dict[str, Any]) -> None:
    for panel in panels(made):
        base, *steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert base["value"] is None
        assert [step["value"] for step in steps] == sorted(step["value"] for step in steps)


@every_dashboard
def test_no_metric_of_ours_is_asked_for_that_is_not_told(made: dict[str, Any]) -> None:
    asked = set(re.findall(r"\b(?:embedding_operator|process)_\w+", json.dumps(panels(made))))
    assert {re.sub(r"_bucket$", "", name) for name in asked} <= OURS
