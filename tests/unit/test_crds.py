"""The CRD files obey the rules that design gives them: they teach, they are bounded, and they set no default
that a profile or a later release may want to set."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from embedding_operator.api import names

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "crds").glob("*.yaml"))
CRDS = {crd["spec"]["names"]["kind"]: crd for crd in (yaml.safe_load(file.read_text()) for file in FILES)}
UNSEEN = {
    "type": "Ready",
    "status": "Unknown",
    "reason": "Pending",
    "message": "Not yet looked at by the operator.",
    "lastTransitionTime": "1970-01-01T00:00:00Z",
}
"""What a status says before there is one, for kstatus takes an object without any for one that is ready."""
_BOUNDS = ("type", "enum", "minimum", "maximum", "maxLength", "maxItems", "pattern", "format")
ALLOWED_DEFAULTS = {
    ("EmbeddingService", "spec.replicas"): 1,
    ("EmbeddingService", "status"): {"observedGeneration": -1, "conditions": [UNSEEN]},
    ("EmbeddingJob", "status"): {"observedGeneration": -1, "conditions": [UNSEEN]},
    ("ModelCache", "status"): {"observedGeneration": -1, "conditions": [UNSEEN]},
    ("EmbeddingBenchmark", "status"): {"observedGeneration": -1, "conditions": [UNSEEN]},
}


def schema_of(kind: str) -> dict[str, Any]:
    schema: dict[str, Any] = CRDS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below this one with its path; `[]` stands for a list's items, `{}` for a map's values."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        if (path, name) != ("", "metadata"):  # the API server allows nothing there
            yield from walk(child, f"{path}.{name}".lstrip("."))
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from walk(schema["additionalProperties"], f"{path}{{}}")


FIELDS = [(kind, path, schema) for kind in CRDS for path, schema in walk(schema_of(kind))]


def test_there_is_one_file_for_each_kind() -> None:
    assert {kind: crd["spec"]["names"]["plural"] for kind, crd in CRDS.items()} == names.PLURALS
    assert [file.stem for file in FILES] == sorted(names.PLURALS.values())


def test_every_field_has_a_description() -> None:
    silent = [f"{kind} {path}" for kind, path, schema in FIELDS if not schema.get("description", "").strip()]
    assert silent == []


def test_descriptions_are_sentences() -> None:
    odd = [
        f"{kind} {path}: {schema['description']}"
        for kind, path, schema in FIELDS
        if not schema["description"].endswith(".") or "  " in schema["description"]
    ]
    assert odd == []


def bound_missing(schema: dict[str, Any]) -> str | None:
    """What this schema lacks for its values to be of limited size."""
    if schema.get("x-kubernetes-int-or-string"):
        return None if "maxLength" in schema else "maxLength"
    match schema["type"]:
        case "string":
            return None if "maxLength" in schema else "maxLength"
        case "array":
            return None if "maxItems" in schema else "maxItems"
        case "object" if "additionalProperties" in schema or "x-kubernetes-preserve-unknown-fields" in schema:
            return None if "maxProperties" in schema else "maxProperties"
        case "integer":
            return None if "minimum" in schema and "format" in schema else "minimum or format"
        case _:
            return None


def test_every_value_is_bounded() -> None:
    unbounded = [f"{k} {p}: {lack}" for k, p, schema in FIELDS if (lack := bound_missing(schema))]
    assert unbounded == []


def test_numbers_that_users_write_have_a_maximum() -> None:
    unbounded = [
        f"{kind} {path}"
        for kind, path, schema in FIELDS
        if path.startswith("spec") and schema.get("type") == "integer" and "maximum" not in schema
    ]
    assert unbounded == []


def test_defaults_are_only_where_no_profile_and_no_later_release_sets_them() -> None:
    assert {(k, p): schema["default"] for k, p, schema in FIELDS if "default" in schema} == ALLOWED_DEFAULTS


def test_lists_say_how_they_merge() -> None:
    silent = [
        f"{kind} {path}"
        for kind, path, schema in FIELDS
        if schema.get("type") == "array" and "x-kubernetes-list-type" not in schema
    ]
    assert silent == []


def test_required_fields_exist() -> None:
    unknown = [
        f"{kind} {path}.{name}"
        for kind, path, schema in FIELDS
        for name in schema.get("required", [])
        if name not in schema["properties"]
    ]
    assert unknown == []


def test_every_rule_has_a_message_of_one_line() -> None:
    rules = [
        (f"{kind} {path}", rule) for kind, path, schema in FIELDS for rule in schema.get("x-kubernetes-validations", [])
    ]
    assert len(rules) > 50
    assert [where for where, rule in rules if not rule.get("message") or "\n" in rule["message"]] == []


@pytest.mark.parametrize("kind", ["EmbeddingService", "EmbeddingJob", "ModelCache", "EmbeddingBenchmark"])
def test_kinds_with_status_have_the_subresource(kind: str) -> None:
    assert "status" in schema_of(kind)["properties"]
    assert "status" in CRDS[kind]["spec"]["versions"][0]["subresources"]


def test_the_same_source_is_accepted_by_a_service_and_by_a_cache() -> None:
    """A service's source is copied into a ModelCache, so what one takes the other must take."""

    def bare(schema: Any) -> Any:
        if isinstance(schema, dict):
            return {key: bare(value) for key, value in schema.items() if not is_text(key, value)}
        return [bare(value) for value in schema] if isinstance(schema, list) else schema

    def is_text(key: str, value: Any) -> bool:
        return key == "description" and isinstance(value, str)

    def spec(kind: str) -> Any:
        return bare(schema_of(kind)["properties"]["spec"]["properties"])

    service, job, cache = spec("EmbeddingService"), spec("EmbeddingJob"), spec("ModelCache")
    assert service["model"]["properties"]["source"]["properties"] == cache["source"]["properties"]
    assert job["model"]["properties"]["source"]["properties"] == cache["source"]["properties"]
    for fields in (service["cache"]["properties"], job["cache"]["properties"]):
        assert fields["deletionPolicy"] == cache["deletionPolicy"]
        assert fields["ttlAfterUnused"] == cache["ttlAfterUnused"]


@pytest.mark.parametrize("group", ["runtime", "serving", "scheduling"])
def test_a_job_takes_what_a_service_takes(group: str) -> None:
    """Its workers' servers are made as those of a service, by the same code; what it has not makes no sense there."""
    service = schema_of("EmbeddingService")["properties"]["spec"]["properties"][group]["properties"]
    job = schema_of("EmbeddingJob")["properties"]["spec"]["properties"][group]["properties"]
    lacks = {"serving": {"dimensions", "instruction", "maxConnectionAge", "maxInFlight"}}.get(group, set())
    assert set(service) - set(job) == lacks
    assert set(job) <= set(service)
    for name in job:
        kinds = [{key: field[key] for key in field if key in _BOUNDS} for field in (service[name], job[name])]
        assert kinds[0] == kinds[1], name


def test_the_source_root_is_never_a_package() -> None:
    """`operator/__init__.py` would shadow the standard library's `operator` for whoever starts Python here."""
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert not (ROOT / "operator.py").exists()
