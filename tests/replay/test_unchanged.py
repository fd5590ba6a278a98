"""The cache of replayed operators notices who changes what it handed out."""

import pytest

from embedding_operator.kube.resources import ObjectKey
from tests.replay.unchanged import Unchanged


@pytest.mark.parametrize("others", [0, 20])  # with as many it is packed
def test_who_changes_what_was_handed_out_is_noticed(others: int) -> None:
    cache = Unchanged()
    for name in ["x", *map(str, range(others))]:
        labels = {"color": "red"}
        cache.upsert({"kind": "Pod", "metadata": {"name": name, "namespace": "a", "labels": labels, "uid": name}})
    key = ObjectKey("Pod", "a", "x")
    handed_out = cache.get(key)
    assert handed_out is not None
    assert cache.get(key) is handed_out
    handed_out["metadata"]["labels"]["color"] = "blue"
    with pytest.raises(AssertionError, match="somebody changed"):
        cache.list("Pod")
