"""The operator is upgraded, and taken back, while clients ask: servers on real nodes do not notice.

tests/integration/test_upgrade.py shows the same of what earlier versions left.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.changed_operator import VARIABLE
from tests.chaos.operators import HostOperators
from tests.chaos.scene import Scene, report
from tests.e2e.product import Product
from tests.integration.operating import until

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(1200)]


def what_runs(scene: Scene) -> dict[str, Any]:
    """Each server with its starts, and what it is made of."""
    (deployment,) = scene.place.items("deployment")
    return {
        "pods": {
            pod["metadata"]["uid"]: [one["restartCount"] for one in pod["status"]["containerStatuses"]]
            for pod in scene.serving_pods()
        },
        "template": deployment["spec"]["template"],
    }


def has_looked(scene: Scene) -> None:
    """The operator has seen to the service: what it lacks is there again."""
    scene.place.kubectl("delete", "poddisruptionbudget", "qwen")
    until(lambda: scene.place.get("poddisruptionbudget", "qwen") is not None)
    until(lambda: scene.is_serving(2))


def test_an_upgrade_and_the_way_back_restart_no_server_and_lose_no_request(
    product: Product, operators: HostOperators
) -> None:
    operators.start()
    scene = Scene(product)
    scene.serve()
    scene.until_serving(2)
    before = what_runs(scene)
    with scene.trickle() as trickle:
        operators.start(module=("tests.changed_operator",))
        has_looked(scene)
        assert what_runs(scene) == before
        assert scene.place.condition("emb", "qwen", "UpdateAvailable")["status"] == ""

        patch = {"spec": {"serving": {"maxModelLen": 4096}}}  # rendered by the next version
        scene.place.kubectl("patch", "emb", "qwen", "--type=merge", "-p", json.dumps(patch))
        until(lambda: VARIABLE in json.dumps(what_runs(scene)["template"]))
        scene.until_serving(2)
        rolled = what_runs(scene)
        assert not rolled["pods"].keys() & before["pods"].keys()

        operators.start()  # and back: what it did not render itself it leaves alone, too
        has_looked(scene)
        assert what_runs(scene) == rolled
    assert trickle.failed == 0, trickle.told()
    report("the operator upgraded, a spec changed, the operator taken back", **trickle.told())
