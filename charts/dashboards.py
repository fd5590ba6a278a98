"""Makes the Grafana dashboards of the chart: `make manifests` writes them, and a test holds them equal.

A panel is a title, what its words say of it, its unit and its queries; all the rest of Grafana's JSON is the same for
all of them. What the queries ask for is what docs/monitoring.md lists, vLLM tells of itself, and npu-exporter of NPUs.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

Object = dict[str, Any]
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
RATE: Final = "[$__rate_interval]"
CHOSEN: Final = 'namespace=~"$namespace",service=~"$service"'
_WIDTH: Final = 24  # columns of Grafana's grid
_GREEN, _YELLOW, _RED = "green", "#EAB839", "red"


@dataclass(frozen=True)
class Query:
    """An expression of PromQL, and what its lines are called."""

    expression: str
    legend: str = ""


def quantiles(buckets: str, legend: str, *percents: int) -> tuple[Query, ...]:
    """How much of a histogram's rate lies below which value, for each of those percents."""
    return tuple(Query(f"histogram_quantile({one / 100:g}, {buckets})", f"{legend}p{one}") for one in percents)


def one_of_each(metric: str, labels: str, by: str = "namespace, service") -> str:
    """A metric of the operator, each replica of which tells of all services and weights."""
    return f"max by ({by}) (embedding_operator_{metric}{{{labels}}})"


@dataclass(frozen=True)
class Panel:
    """One picture. `thresholds` are the values from which on it is yellow and red (or green, if that is `good`)."""

    title: str
    told: str
    unit: str
    queries: tuple[Query, ...]
    type: str = "timeseries"
    width: int = 8
    stacked: bool = False
    thresholds: tuple[float, ...] = ()
    good: bool = False
    most: float | None = None


@dataclass(frozen=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


def dashboard(uid: str, title: str, told: str, variables: list[Object], rows: tuple[Row, ...]) -> Object:
    """The whole dashboard. It names no data source, only the variable that does."""
    panels: list[Object] = []
    top = 0
    for row in rows:
        panels.append(_heading(len(panels) + 1, row.title, top))
        top = _place(panels, row.panels, top + 1)
    return {
        "uid": uid,
        "title": title,
        "description": told,
        "tags": ["embedding-operator"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "tags": ["embedding-operator"], "title": "Embeddings", "asDropdown": True}],
        "templating": {"list": [_datasource(), *variables]},
        "annotations": {"list": []},
        "panels": panels,
    }


def variable(name: str, label: str, query: str) -> Object:
    """A variable with all values that a metric's label has."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def written(made: Object) -> str:
    """As the chart has it."""
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def _datasource() -> Object:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1}


def _heading(number: int, title: str, top: int) -> Object:
    place = {"x": 0, "y": top, "w": _WIDTH, "h": 1}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _place(panels: list[Object], wanted: tuple[Panel, ...], top: int) -> int:
    """Put them side by side and below each other. Returns the first line that is free."""
    left, height = 0, 0
    for panel in wanted:
        if left + panel.width > _WIDTH:
            left, top, height = 0, top + height, 0
        tall = 4 if panel.type == "stat" else 8
        place = {"x": left, "y": top, "w": panel.width, "h": tall}
        panels.append(_panel(len(panels) + 1, panel, place))
        left, height = left + panel.width, max(height, tall)
    return top + height


def _panel(number: int, panel: Panel, place: Object) -> Object:
    return {
        "id": number,
        "type": panel.type,
        "title": panel.title,
        "description": panel.told,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": [_target(panel, at, query) for at, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
        **({"transformations": [_COLUMNS]} if panel.type == "table" else {}),
    }


_COLUMNS: Final = {"id": "organize", "options": {"excludeByName": {"Time": True, "Value": True}}}


def _target(panel: Panel, at: int, query: Query) -> Object:
    instant = panel.type in ("table", "stat")
    shown = {"format": "table" if panel.type == "table" else "time_series"}
    return {
        "refId": "ABCDEFGH"[at],
        "datasource": SOURCE,
        "expr": query.expression,
        "legendFormat": query.legend,
        "instant": instant,
        "range": not instant,
        **shown,
    }


def _defaults(panel: Panel) -> Object:
    defaults: Object = {"unit": panel.unit, "min": 0, "thresholds": _thresholds(panel)}
    if panel.most is not None:
        defaults["max"] = panel.most
    if panel.type == "timeseries":
        fill = {"fillOpacity": 20 if panel.stacked else 5, "lineWidth": 1, "showPoints": "never"}
        defaults["custom"] = fill | {"stacking": {"mode": "normal" if panel.stacked else "none"}}
        if panel.thresholds:
            defaults["custom"]["thresholdsStyle"] = {"mode": "dashed"}
    return defaults


def _thresholds(panel: Panel) -> Object:
    colors = (_YELLOW, _RED)[-len(panel.thresholds) :] if panel.thresholds else ()
    base = _GREEN
    if panel.good:
        base, colors = _RED, (_YELLOW, _GREEN)[-len(panel.thresholds) :]
    steps: list[Object] = [{"color": base, "value": None}]
    steps += [{"color": color, "value": value} for color, value in zip(colors, panel.thresholds, strict=True)]
    return {"mode": "absolute", "steps": steps}


def _options(panel: Panel) -> Object:
    if panel.type == "stat":
        shown = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {"reduceOptions": shown, "colorMode": "value", "graphMode": "none", "textMode": "auto"}
    if panel.type == "table":
        return {"showHeader": True, "cellHeight": "sm"}
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
