"""Names, sources, quantities, durations and conditions: small pure functions that live objects depend on."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_operator.api import names
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.conditions import Condition, Reason, Type, find_condition, is_true, merge_conditions
from embedding_operator.api.quantity import parse_duration, parse_quantity, times
from embedding_operator.api.source import (
    HttpFile,
    HttpSource,
    HuggingFaceSource,
    ModelScopeSource,
    ModelSource,
    PathSource,
    S3Source,
    Storage,
)
from tests.unit.test_crds import schema_of

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
STORAGE = Storage("model-weights", "models")


def hub(repo: str = "Qwen/Qwen3-VL-Embedding-8B", **fields: object) -> ModelSource:
    return ModelSource(model_scope=ModelScopeSource(repo, **fields))  # type: ignore[arg-type]


def packed(url: str) -> ModelSource:
    return ModelSource(http=HttpSource(url, "0" * 64))


def one_by_one(*urls: str) -> ModelSource:
    return ModelSource(http=HttpSource(files=tuple(HttpFile(url[-8:], url, "0" * 64) for url in urls)))


# Names


@given(st.text())
def test_any_text_becomes_a_dns_label(text: str) -> None:
    label = names.slug(text, 20)
    assert LABEL.fullmatch(label)
    assert len(label) <= 20


@given(st.text(min_size=1), st.text(min_size=1))
def test_names_of_caches_and_jobs_are_dns_labels_of_63_characters_at_most(owner: str, name: str) -> None:
    cache = names.model_cache_name(hub(f"{owner}/{name}"), STORAGE)
    job = names.staging_job_name(cache, {"image": "operator:1"})
    for made in (cache, job):
        assert LABEL.fullmatch(made)
        assert len(made) <= 63


def test_names_of_live_objects_never_change() -> None:
    """A change here would orphan what runs in people's clusters."""
    cache = names.model_cache_name(hub(), STORAGE)
    assert cache == "modelscope-qwen3-vl-embedding-8b-0e2d1845"
    in_place = ModelSource(path=PathSource("models/all-MiniLM-L6-v2"))
    assert names.model_cache_name(in_place, STORAGE) == "path-all-minilm-l6-v2-2ad0827b"
    assert names.staging_job_name("weights", {"image": "operator:1"}) == "stage-weights-2aceb13f"
    assert names.controller_revision_name("search", "0123456789abcdef") == "search-0123456789"
    assert names.scripts_config_map_name("0123456789abcdef") == "embedding-operator-scripts-0123456789"
    assert names.made_claim_name("search") == "search-models"


def test_the_longest_service_name_leaves_room_for_its_children() -> None:
    name = "x" * names.MAX_SERVICE_NAME
    assert len(names.controller_revision_name(name, "0123456789")) <= names.MAX_NAME
    assert len(names.made_claim_name(name)) <= names.MAX_NAME


def test_the_schema_takes_no_longer_name() -> None:
    (rule,) = schema_of("EmbeddingService")["x-kubernetes-validations"]
    assert f"size(self.metadata.name) <= {names.MAX_SERVICE_NAME}" in rule["rule"]


def test_two_ways_to_write_a_source_share_one_cache() -> None:
    short = hub(endpoint="https://hub.example.com/", include=("b", "a", "a"))
    long = hub(endpoint="https://hub.example.com", include=("a", "b"), revision="master")
    assert names.model_cache_name(short, STORAGE) == names.model_cache_name(long, STORAGE)


@pytest.mark.parametrize(
    ("source", "storage"),
    [
        (hub(revision="v1"), STORAGE),
        (hub("Other/Qwen3-VL-Embedding-8B"), STORAGE),
        (hub(exclude=()), STORAGE),
        (hub(endpoint="https://hub.example.com"), STORAGE),
        (hub(), Storage("model-weights")),
        (hub(), Storage("other", "models")),
    ],
)
def test_other_weights_or_another_place_make_another_cache(source: ModelSource, storage: Storage) -> None:
    assert names.model_cache_name(source, storage) != names.model_cache_name(hub(), STORAGE)


def test_other_inputs_make_another_job() -> None:
    assert names.staging_job_name("weights", {"image": "a"}) != names.staging_job_name("weights", {"image": "b"})


def test_pods_are_selected_by_a_label_that_they_carry() -> None:
    assert names.service_selector("x").items() <= names.service_labels("x").items()


# Sources


@pytest.mark.parametrize(
    ("source", "kind", "display", "served", "revision"),
    [
        (hub(), "modelScope", "Qwen/Qwen3-VL-Embedding-8B", "Qwen/Qwen3-VL-Embedding-8B", "master"),
        (hub("a/b", revision="v2"), "modelScope", "a/b", "a/b", "v2"),
        (ModelSource(hugging_face=HuggingFaceSource("a/b")), "huggingFace", "a/b", "a/b", "main"),
        (packed("https://x:8/models/mini.tar.gz?a=b/c"), "http", "x:8/models/mini", "mini", None),
        (packed("https://x/mini"), "http", "x/mini", "mini", None),
        (one_by_one("https://x/models/mini/config.json"), "http", "x/models/mini", "mini", None),
        (ModelSource(s3=S3Source("models", "qwen/mini")), "s3", "models/qwen/mini", "mini", None),
        (ModelSource(s3=S3Source("mini")), "s3", "mini", "mini", None),
        (ModelSource(path=PathSource("models/mini")), "path", "models/mini", "mini", None),
    ],
)
def test_a_source_knows_what_it_is_called(
    source: ModelSource, kind: str, display: str, served: str, revision: str | None
) -> None:
    assert (source.kind, source.display, source.default_served_name, source.revision) == (
        kind,
        display,
        served,
        revision,
    )


def test_a_canonical_source_reads_back_as_itself() -> None:
    canonical = hub(include=("b", "a")).canonical()
    assert ModelSource.from_dict(canonical).canonical() == canonical
    assert canonical["modelScope"]["revision"] == "master"


def test_the_order_of_files_makes_no_other_cache() -> None:
    there, back = one_by_one("https://x/1.json", "https://x/2.json"), one_by_one("https://x/2.json", "https://x/1.json")
    assert there.canonical() == back.canonical()


def test_no_include_and_an_empty_one_are_the_same_and_an_empty_exclude_is_not() -> None:
    assert hub(include=()).canonical() == hub().canonical()
    assert hub(exclude=()).canonical()["modelScope"]["exclude"] == []


# Quantities and durations


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4", 4),
        (4, 4),
        ("500m", "0.5"),
        ("1.5Gi", 3 * 2**29),
        ("100M", 10**8),
        ("2e3", 2000),
        (".5", "0.5"),
        ("1E", 10**18),
    ],
)
def test_quantities_are_read_exactly(text: str | int, number: int | str) -> None:
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize(
    ("text", "factor", "product"),
    [
        ("22", 4, "88"),
        ("100Gi", 2, "200Gi"),
        ("1.5Gi", 2, "3Gi"),
        ("250m", 3, "750m"),
        (10, 10, "100"),
        ("1e3", 2, "2e3"),
        ("0.5", 2, "1"),
        ("+2", 3, "6"),
        ("0", 8, "0"),
        ("12345678901234567890123456789012", 2, "24691357802469135780246913578024"),
        ("1e999999999", 2, "2e999999999"),
    ],
)
def test_a_product_keeps_the_unit_as_written(text: str | int, factor: int, product: str) -> None:
    assert times(text, factor) == product


def test_a_number_beyond_all_measure_is_larger_than_others_and_raises_nothing() -> None:
    assert parse_quantity("1e999999999999999999999999") > parse_quantity("9E")
    assert parse_quantity("1e-999999999999999999999999") < parse_quantity("1n")


@given(st.integers(0, 10**6), st.sampled_from(["", "m", "k", "Mi", "Gi"]), st.integers(1, 64))
def test_multiplying_and_reading_commute(number: int, unit: str, factor: int) -> None:
    assert parse_quantity(times(f"{number}{unit}", factor)) == parse_quantity(f"{number}{unit}") * factor


@pytest.mark.parametrize("text", ["", "Gi", "1GB", "1 Gi", "one", "1,5"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ApiValueError, match="must be a quantity"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("120s", 120), ("2m", 120), ("1h30m", 5400), ("1h1m1s", 3661), ("0s", 0)]
)
def test_durations_are_read_as_seconds(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "120", "2 m", "1d", "30m1h", "-5s", "1.5h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ApiValueError, match="must be a duration such as 120s, 2m or 1h30m"):
        parse_duration(text)


# Conditions


def ready(status: str, reason: str = "Serving", time: str | None = None, message: str = "") -> Condition:
    return Condition("Ready", status, reason, message, 1, time)  # type: ignore[arg-type]


def test_the_time_of_a_condition_changes_only_with_its_status() -> None:
    (same,) = merge_conditions([ready("True", time="before")], [ready("True", "ScaledToZero", message="x")], "now")
    assert (same.last_transition_time, same.reason, same.message) == ("before", "ScaledToZero", "x")
    (changed,) = merge_conditions([ready("True", time="before")], [ready("False")], "now")
    assert changed.last_transition_time == "now"


def test_merging_the_same_again_changes_nothing() -> None:
    wanted = [ready("False"), Condition("Reconciling", "True", "Starting")]
    once = merge_conditions([], wanted, "then")
    assert merge_conditions(once, wanted, "now") == once


@pytest.mark.parametrize("name", ["Reconciling", "Stalled"])
@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_reconciling_and_stalled_are_there_only_while_true(name: str, status: str) -> None:
    old = merge_conditions([], [ready("False"), Condition(name, "True", "Starting")], "then")
    assert is_true(old, name)
    merged = merge_conditions(old, [ready("True"), Condition(name, status, "Done")], "now")  # type: ignore[arg-type]
    assert [condition.type for condition in merged] == ["Ready"]


def test_ready_is_always_there() -> None:
    (condition,) = merge_conditions([], [], "now")
    assert (condition.type, condition.status, condition.last_transition_time) == ("Ready", "Unknown", "now")


def test_a_condition_that_is_not_wanted_any_more_is_gone() -> None:
    old = merge_conditions([], [ready("True"), Condition("Formerly", "True", "ReplicasUnavailable")], "then")
    assert find_condition(merge_conditions(old, [ready("True")], "now"), "Formerly") is None


def test_conditions_come_in_one_order() -> None:
    wanted = [Condition(name, "True", "Starting") for name in reversed(Type)] + [Condition("Other", "True", "X")]
    merged = merge_conditions([], wanted, "now")
    assert [condition.type for condition in merged] == [*Type, "Other"]


@pytest.mark.parametrize("reason", Reason)
def test_reasons_are_words_that_the_schema_takes(reason: str) -> None:
    assert re.fullmatch("[A-Z][A-Za-z0-9]*", reason)
