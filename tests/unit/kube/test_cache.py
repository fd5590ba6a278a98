"""The cache against a plain dict, and its promises about time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_operator.kube.cache import Cache
from embedding_operator.kube.compact import compact
from embedding_operator.kube.resources import ObjectKey, key_of

SERVICE = "embedding-operator.io/service"
CACHE = "embedding-operator.io/cache"


def obj(name="x", *, kind="Pod", namespace="a", version=1, uid=None, labels=None, phase="Running"):
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": uid or f"{kind}-{namespace}-{name}",
        "resourceVersion": str(version),
    }
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "status": {"phase": phase}}


def names(objects):
    return [o["metadata"]["name"] for o in objects]


KEY = ObjectKey("Pod", "a", "x")


def test_only_changes_that_planners_can_see_are_changes():
    cache = Cache()
    assert cache.upsert(obj(version=1))
    assert not cache.upsert(obj(version=1))
    assert not cache.upsert(obj(version=2))
    assert cache.get(KEY)["metadata"]["resourceVersion"] == "2"
    assert cache.upsert(obj(version=3, phase="Failed"))


def test_what_changed_last_is_not_packed_and_all_else_is():
    cache = Cache(unpacked=2, opened=1)
    for number in range(5):
        cache.upsert(obj(f"pod-{number}"))
    cache.upsert(obj("pod-0", version=2, phase="Failed"))  # packed before, and changed now
    assert not cache.upsert(obj("pod-1", version=2))
    cache.discard(ObjectKey("Pod", "a", "pod-4"))
    as_they_are = {name for name in names(cache.list("Pod")) if handed_out_again(cache, ObjectKey("Pod", "a", name))}
    assert as_they_are == {"pod-0"}
    assert [o["metadata"]["resourceVersion"] for o in cache.list("Pod")] == ["2", "2", "1", "1"]
    assert [o["status"]["phase"] for o in cache.list("Pod")] == ["Failed", "Running", "Running", "Running"]
    cache.upsert(obj("pod-5"))
    cache.upsert(obj("pod-6"))
    assert not handed_out_again(cache, ObjectKey("Pod", "a", "pod-0"))


def handed_out_again(cache, key):
    first = cache.get(key)
    cache.list("Pod")
    return cache.get(key) is first


def test_what_is_packed_is_unpacked_once_for_who_reads_it_again_and_is_never_what_it_was():
    cache = Cache(unpacked=0)
    cache.upsert(obj(version=1))
    before = cache.get(KEY)
    assert cache.list("Pod")[0] is before
    assert not cache.upsert(obj(version=2))
    assert cache.get(KEY)["metadata"]["resourceVersion"] == "2"
    cache.upsert(obj(version=3, phase="Failed"))
    assert cache.get(KEY)["status"]["phase"] == "Failed"
    assert before["status"]["phase"] == "Running"
    cache.discard(KEY)
    assert cache.get(KEY) is None


def test_a_default_that_appears_without_a_new_version_is_a_change_of_our_own_kinds():
    cache = Cache()
    assert cache.upsert(obj(kind="ModelCache", phase="old"))
    assert cache.upsert(obj(kind="ModelCache", phase="new default"))


def test_news_that_are_older_than_what_is_known_change_nothing():
    cache = Cache()
    cache.upsert(obj(version=10, phase="Failed"))
    assert not cache.upsert(obj(version=9, phase="Running"))
    assert cache.get(KEY)["status"]["phase"] == "Failed"


def test_an_object_that_a_newer_list_did_not_show_is_not_brought_back_by_an_older_one():
    cache = Cache()
    cache.upsert(obj(version=10))
    assert cache.prune("Pod", set(), as_of="100") == [KEY]
    cache.discard(KEY, "Pod-a-x", "10")  # what was last known of it is told to who must know
    assert not cache.upsert(obj(version=60))
    assert cache.upsert(obj(version=101))


def test_versions_are_compared_as_numbers():
    cache = Cache()
    cache.upsert(obj(version=9))
    assert cache.upsert(obj(version=10, phase="Failed"))


def test_versions_that_are_not_numbers_are_not_compared():
    cache = Cache()
    cache.upsert(obj(version="b"))
    assert cache.upsert(obj(version="a", phase="Failed"))


def test_a_list_begun_before_a_deletion_does_not_bring_the_object_back():
    cache = Cache()
    cache.upsert(obj(version=5))
    cache.discard(KEY)
    assert not cache.upsert(obj(version=5))
    assert cache.get(KEY) is None


def test_nor_does_a_list_that_saw_it_newer_than_the_watch_did():
    cache = Cache()
    cache.upsert(obj(version=5))
    cache.discard(KEY, "Pod-a-x", "8")
    assert not cache.upsert(obj(version=7))


def test_an_object_that_only_left_the_watchs_selector_comes_back_when_it_is_marked_again():
    cache = Cache()
    cache.upsert(obj(version=5))
    cache.discard(KEY, "Pod-a-x", "6")
    assert cache.upsert(obj(version=7))
    assert cache.get(KEY) is not None


def test_what_was_pruned_does_not_come_back_with_a_late_page_of_an_older_list():
    cache = Cache()
    cache.upsert(obj(version=5))
    cache.prune("Pod", [], as_of="9")
    assert not cache.upsert(obj(version=6))


def test_a_late_deletion_event_of_a_namesakes_forerunner_does_not_hide_the_namesake():
    cache = Cache()
    cache.upsert(obj(version=7, uid="another"))
    cache.discard(KEY, "Pod-a-x", "6")
    assert cache.upsert(obj(version=8, uid="another", phase="Failed"))


def test_a_deletion_of_something_never_seen_is_remembered_too():
    cache = Cache()
    assert not cache.discard(KEY, "Pod-a-x")
    assert not cache.upsert(obj())


def test_a_namesake_made_after_the_deletion_is_taken_in():
    cache = Cache()
    cache.upsert(obj(version=5))
    cache.discard(KEY)
    assert cache.upsert(obj(version=7, uid="another"))


def test_a_late_deletion_event_does_not_remove_a_namesake():
    cache = Cache()
    cache.upsert(obj(version=7, uid="another"))
    assert not cache.discard(KEY, "Pod-a-x")
    assert cache.get(KEY)["metadata"]["uid"] == "another"


def test_pruning_removes_what_a_full_list_did_not_show():
    cache = Cache()
    for name in ("kept", "lost"):
        cache.upsert(obj(name, version=3))
    cache.upsert(obj("elsewhere", kind="Job"))
    assert cache.prune("Pod", [ObjectKey("Pod", "a", "kept")], as_of="9") == [ObjectKey("Pod", "a", "lost")]
    assert names(cache.list("Pod")) == ["kept"]
    assert len(cache.list("Job")) == 1


def test_pruning_keeps_what_is_newer_than_the_list():
    cache = Cache()
    cache.upsert(obj("new", version=10))
    assert cache.prune("Pod", [], as_of="9") == []


def test_pruning_one_namespace_leaves_the_others():
    cache = Cache()
    cache.upsert(obj(namespace="a"))
    cache.upsert(obj(namespace="b"))
    assert cache.prune("Pod", [], as_of="9", namespace="a") == [ObjectKey("Pod", "a", "x")]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"kind": "Pod"}, ["p1", "p2", "p3"]),
        ({"kind": "Pod", "namespace": "a"}, ["p1", "p2"]),
        ({"kind": "Pod", "namespace": "a", "labels": {SERVICE: "s"}}, ["p1"]),
        ({"kind": "Pod", "labels": {SERVICE: "s"}}, ["p1", "p3"]),
        ({"kind": "Pod", "namespace": "a", "labels": {SERVICE: "s", "color": "red"}}, ["p1"]),
        ({"kind": "Pod", "namespace": "a", "labels": {SERVICE: "s", "color": "blue"}}, []),
        ({"kind": "Pod", "namespace": "a", "labels": {"color": "red"}}, ["p1"]),
        ({"kind": "Pod", "namespace": "nowhere"}, []),
        ({"kind": "Job"}, ["j"]),
    ],
)
def test_lists(arguments, expected):
    cache = Cache()
    cache.upsert(obj("p3", namespace="b", labels={SERVICE: "s"}))
    cache.upsert(obj("p2", labels={CACHE: "c"}))
    cache.upsert(obj("p1", labels={SERVICE: "s", "color": "red"}))
    cache.upsert(obj("j", kind="Job", labels={SERVICE: "s"}))
    assert names(cache.list(**arguments)) == expected


def test_jobs_are_found_by_the_service_that_they_name_now():
    cache = Cache()
    job = ObjectKey("EmbeddingJob", "a", "j")
    for version, service in enumerate(("old", "new"), start=1):
        spec = {"serviceRef": {"name": service}}
        cache.upsert(obj("j", kind="EmbeddingJob", version=version) | {"spec": spec})
    cache.upsert(obj("own", kind="EmbeddingJob") | {"spec": {"model": {}}})
    assert cache.referring("EmbeddingJob", "a", "new") == [job]
    assert cache.referring("EmbeddingJob", "a", "old") == cache.referring("EmbeddingJob", "b", "new") == []
    cache.discard(job)
    assert cache.referring("EmbeddingJob", "a", "new") == []


objects = st.builds(
    obj,
    st.sampled_from("xyz"),
    kind=st.sampled_from(["Pod", "Job"]),
    namespace=st.sampled_from("ab"),
    labels=st.dictionaries(st.sampled_from([SERVICE, CACHE]), st.sampled_from("st")),
    phase=st.sampled_from(["Running", "Failed"]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["upsert", "discard", "prune"]), objects), max_size=40), st.integers(0, 3))
def test_indexes_agree_with_a_search_through_everything(steps, unpacked):
    """Whatever came and went, each question is answered as a plain search would, packed or not."""
    cache, plain = Cache(unpacked=unpacked), {}
    for version, (step, thing) in enumerate(steps, start=1):
        thing["metadata"]["resourceVersion"] = str(version)
        thing["metadata"]["uid"] += f"-{version}"  # a new life each time, so that no deletion is remembered
        key = key_of(thing)
        if step == "upsert":
            cache.upsert(thing)
            plain[key] = thing
        elif step == "discard":
            assert cache.discard(key) == (key in plain)
            plain.pop(key, None)
        else:
            gone = sorted(k for k in plain if k.kind == key.kind and k != key)
            assert cache.prune(key.kind, {key}) == gone
            plain = {k: v for k, v in plain.items() if k not in gone}

    assert len(cache) == len(plain)
    assert {key: cache.get(key) for key in plain} == {key: compact(thing) for key, thing in plain.items()}
    for kind in ("Pod", "Job"):
        for namespace in ("a", "b", None):
            inside = [k for k in sorted(plain) if k.kind == kind and namespace in (None, k.namespace)]
            assert cache.keys(kind, namespace) == inside
            for label in (SERVICE, CACHE):
                matching = [k for k in inside if plain[k]["metadata"].get("labels", {}).get(label) == "s"]
                assert [key_of(o) for o in cache.list(kind, namespace, {label: "s"})] == matching
    live_buckets = [bucket for bucket, members in cache._buckets.items() if members]
    assert len(live_buckets) == len(cache._buckets)
