"""The queries of the dashboards, as Grafana asks a Prometheus."""

from __future__ import annotations

import json
from collections.abc import Iterator

from charts.manifests import CHART


def panels(dashboard: str = "*") -> Iterator[tuple[str, str]]:
    """The title and the expression of each query of each panel, with nothing chosen."""
    for path in sorted((CHART / "dashboards").glob(f"{dashboard}.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                asked = target["expr"].replace("$__rate_interval", "1m")
                yield f"{path.stem}: {panel['title']}", asked.replace("$namespace", ".*").replace("$service", ".*")
