"""What is left of objects that an API server sends, and how it is kept."""

import copy
import sys

import pytest

from embedding_operator.kube.compact import compact, kept, says_the_same, unpacked
from tests.unit.kube.sent import CASES, METADATA


@pytest.mark.parametrize("name", CASES)
def test_what_is_kept(name):
    whole, expected = CASES[name]
    cut = unpacked(compact({"apiVersion": "v1", "metadata": METADATA, **whole}))
    assert {field: cut[field] for field in cut if field not in ("apiVersion", "kind", "metadata")} == expected


def test_metadata_without_noise():
    cut = compact({"apiVersion": "v1", "kind": "ConfigMap", "metadata": METADATA})["metadata"]
    assert "managedFields" not in cut
    assert cut["annotations"] == {"kept": "yes"}
    assert cut["ownerReferences"] == [
        {
            "apiVersion": "embedding-operator.io/v1alpha1",
            "kind": "EmbeddingService",
            "name": "x",
            "uid": "u0",
            "controller": True,
        }
    ]
    same = ("name", "namespace", "uid", "generation", "resourceVersion", "labels", "creationTimestamp")
    assert {name: cut[name] for name in same} == {name: METADATA[name] for name in same}


def test_the_original_is_neither_changed_nor_shared():
    whole = {"apiVersion": "v1", "kind": "ModelCache", "metadata": METADATA, "spec": {"list": [{"a": "b"}]}}
    before = copy.deepcopy(whole)
    cut = compact(whole)
    cut["spec"]["list"][0]["a"] = "changed"
    cut["metadata"]["labels"]["new"] = "label"
    assert whole == before


def of_each_kind():
    return [compact({"apiVersion": "v1", "metadata": METADATA, **whole}) for whole, _ in CASES.values()]


def test_an_object_is_kept_so_that_it_can_be_read_as_it_was():
    examples = {}
    for _ in range(2):  # the first of a kind is the example of the second
        for cut, again in zip(of_each_kind(), of_each_kind(), strict=True):
            assert kept(cut).object() is cut
            packed = kept(cut).packed(examples)
            assert packed.object() == again
            assert packed.packed(examples) is packed


def test_what_differs_in_its_version_alone_says_the_same():
    examples = {}
    for first, same, other in zip(of_each_kind(), of_each_kind(), of_each_kind(), strict=True):
        same["metadata"]["resourceVersion"] = "78"
        other["metadata"]["labels"] = {}
        for one in (first, kept(first).packed(examples).object()):
            assert says_the_same(one, same)
            assert not says_the_same(one, other)


def test_of_thousands_that_are_alike_each_takes_little():
    pod, _ = CASES["a running pod"]
    examples = {}

    def size(number):
        metadata = {**METADATA, "name": f"pod-{number}", "uid": f"{number:032x}", "resourceVersion": str(number)}
        one = kept(compact({"metadata": metadata, **pod})).packed(examples)
        return len(one.content._text)

    assert size(1) > 0
    assert max(size(number) for number in range(2, 100)) < 100


DEPLOYED = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": METADATA, "spec": {"replicas": 2}, "status": {}}


def test_a_spec_of_the_same_generation_is_taken_over_from_what_is_known():
    known = compact(DEPLOYED)
    later = compact({**copy.deepcopy(DEPLOYED), "status": {"replicas": 2}}, known)
    assert later["spec"] is known["spec"]
    assert later["status"] == {"replicas": 2}


@pytest.mark.parametrize("change", [{"generation": 4}, {"uid": "u9"}])
def test_a_spec_of_another_generation_or_of_a_namesake_is_not(change):
    changed = {**DEPLOYED, "metadata": {**METADATA, **change}, "spec": {"replicas": 7}}
    assert unpacked(compact(changed, compact(DEPLOYED)))["spec"] == {"replicas": 7}


def test_what_is_packed_is_small_and_equal_to_its_like():
    container = {"name": "vllm", "args": [f"--flag-{number}=value" for number in range(500)]}
    template = {**DEPLOYED, "spec": {"template": {"spec": {"containers": [container]}}}}
    one, other = compact(template), compact(copy.deepcopy(template))
    assert one == other
    assert one != compact(DEPLOYED)
    assert sys.getsizeof(one["spec"]._text) < 4000
    assert unpacked(one)["spec"] == template["spec"]
