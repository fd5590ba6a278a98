"""The table that the chart's admission policies are made of."""

from typing import Any

import yaml

from charts.manifests import CHART


def guards() -> dict[str, Any]:
    """By resource: which fields need which right."""
    text = (CHART / "templates/_guards.tpl").read_text()
    table = text.partition('define "embedding-operator.guards" -}}')[2].partition("{{- end")[0]
    loaded: dict[str, Any] = yaml.safe_load(table)
    return loaded
