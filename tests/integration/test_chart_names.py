"""Names of releases and namespaces: whatever Helm takes, the chart makes objects of."""

import re
from collections.abc import Iterator

import pytest

from tests.chart import render


def named(found: object) -> Iterator[object]:
    """Every name, namespace and label in an object."""
    for key, value in found.items() if isinstance(found, dict) else ():
        if key in ("name", "namespace"):
            yield value
        elif key in ("labels", "matchLabels"):
            yield from value.values()
    for inner in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from named(inner)


NAMES = [("1234", "default", "r1234"), ("prod", "1234", ""), ("true", "no", "")]


@pytest.mark.parametrize("monitor", ["podMonitor", "serviceMonitor"])
@pytest.mark.parametrize(("release", "namespace", "name"), NAMES)
def test_a_name_that_yaml_takes_for_something_else_stays_a_name(
    release: str, namespace: str, name: str, monitor: str
) -> None:
    monitoring = {key: {"enabled": True} for key in (monitor, "prometheusRule")}
    watched = ["0815", "on"]
    values = {"watchNamespaces": watched, "monitoring": monitoring, "crds": {"install": False}}
    found = list(named(render(release, namespace, fullnameOverride=name, **values)))
    assert [name for name in found if not isinstance(name, str)] == []
    assert {release, namespace, *watched} <= set(found)


@pytest.mark.parametrize("release", ["my.release", f"{'a' * 50}.b", f"{'a' * 50}--b"])
def test_a_release_may_have_any_name_that_helm_takes(release: str) -> None:
    """A Service has no dots in its name, and no name ends in a dash."""
    for one in render(release, monitoring={"serviceMonitor": {"enabled": True}}, crds={"install": False}):
        assert re.fullmatch(r"[a-z][-a-z0-9:.]*[a-z0-9]", one["metadata"]["name"]), one["kind"]
        assert one["kind"] != "Service" or "." not in one["metadata"]["name"]
