"""The typed views and the CRD files tell the same story, field by field, both ways."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from embedding_operator.api.benchmark import EmbeddingBenchmark
from embedding_operator.api.codec import ApiValueError, IntOrPercent, Quantity, Share, View, wire_names
from embedding_operator.api.job import EmbeddingJob
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.api.source import ModelSource
from tests.unit.test_crds import ROOT, schema_of

KINDS: dict[str, type[View]] = {
    "EmbeddingService": EmbeddingService,
    "EmbeddingJob": EmbeddingJob,
    "ModelCache": ModelCache,
    "RuntimeProfile": RuntimeProfile,
    "EmbeddingBenchmark": EmbeddingBenchmark,
}
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def inner(hint: Any) -> Any:
    """A type hint without its `| None`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = (arg for arg in typing.get_args(hint) if arg is not type(None))
    return hint


def differences(hint: Any, schema: dict[str, Any], path: str) -> list[str]:
    """Where a view's type and a schema disagree."""
    hint = inner(hint)
    origin = typing.get_origin(hint)
    if isinstance(hint, type) and issubclass(hint, View):
        return view_differences(hint, schema, path)
    if origin is tuple:
        return differences(typing.get_args(hint)[0], schema.get("items", {}), f"{path}[]")
    if origin is typing.Literal:
        same = set(typing.get_args(hint)) == set(schema.get("enum", []))
        return [] if same else [f"{path}: choices differ"]
    if origin is dict:
        return [] if schema.get("type") == "object" else [f"{path}: not an object"]
    if origin is not None and issubclass(origin, Mapping):
        return differences(typing.get_args(hint)[1], schema.get("additionalProperties", {}), f"{path}{{}}")
    if hint in (Quantity, IntOrPercent, Share):
        return [] if schema.get("x-kubernetes-int-or-string") else [f"{path}: not a quantity"]
    wanted = {str: "string", int: "integer", bool: "boolean"}[hint]
    return [] if schema.get("type") == wanted else [f"{path}: not {wanted}"]


def view_differences(cls: type[View], schema: dict[str, Any], path: str) -> list[str]:
    properties = schema.get("properties", {})
    names = wire_names(cls)
    extra = set(names.values()) ^ set(properties)
    found = [f"{path}.{name}: only on one side" for name in sorted(extra)]
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        name = names[field.name]
        if name not in properties:
            continue
        found += differences(hints[field.name], properties[name], f"{path}.{name}")
        mandatory = field.default is dataclasses.MISSING
        if mandatory and name not in schema.get("required", []):
            found.append(f"{path}.{name}: the view requires it, the schema does not")
    return found


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("EmbeddingService", "spec"),
        ("EmbeddingService", "status"),
        ("EmbeddingJob", "spec"),
        ("EmbeddingJob", "status"),
        ("ModelCache", "spec"),
        ("ModelCache", "status"),
        ("RuntimeProfile", "spec"),
        ("EmbeddingBenchmark", "spec"),
        ("EmbeddingBenchmark", "status"),
    ],
)
def test_views_and_schemas_have_the_same_fields(kind: str, part: str) -> None:
    hint = typing.get_type_hints(KINDS[kind])[part]
    assert differences(hint, schema_of(kind)["properties"][part], part) == []


def sample(schema: dict[str, Any], path: str = "") -> Any:
    """A value with every property of a schema set."""
    if schema.get("x-kubernetes-int-or-string"):
        return "50%" if "%" in str(schema.get("x-kubernetes-validations")) else "1Gi"
    if "enum" in schema:
        return schema["enum"][0]
    match schema["type"]:
        case "object" if "additionalProperties" in schema:
            return {"key": sample(schema["additionalProperties"])}
        case "object" if "properties" not in schema:
            return {"required": ["anything"]}
        case "object":
            properties = schema["properties"]
            if path.endswith("source"):  # exactly one of them
                properties = {"modelScope": properties["modelScope"]}
            if path.endswith("model") and "cacheRef" in properties:
                properties = {name: value for name, value in properties.items() if name != "cacheRef"}
            if path.endswith(("put",)) and "url" in properties:  # input and output: a claim or an address
                properties = {name: value for name, value in properties.items() if name != "claimName"}
            if path == "spec" and {"model", "serviceRef"} <= set(properties):
                properties = {name: value for name, value in properties.items() if name != "serviceRef"}
            if path.endswith("cache") and "claimTemplate" in properties:
                properties = {name: value for name, value in properties.items() if name != "claimName"}
            return {name: sample(value, f"{path}.{name}") for name, value in properties.items()}
        case "array":
            return [sample(schema["items"])]
        case "integer":
            return 7
        case "boolean":
            return True
        case _:
            return "text"


@pytest.mark.parametrize("kind", KINDS)
def test_a_view_keeps_every_field_of_an_object_that_has_them_all(kind: str) -> None:
    properties = schema_of(kind)["properties"]
    parts = {name: sample(properties[name], name) for name in ("spec", "status") if name in properties}
    stored = {"metadata": {"name": "full"}, **parts}
    assert KINDS[kind].from_dict(stored).to_dict() == stored


SOURCE_SCHEMAS = schema_of("ModelCache")["properties"]["spec"]["properties"]["source"]["properties"]


@pytest.mark.parametrize("source", SOURCE_SCHEMAS)
def test_a_view_keeps_every_field_of_every_source(source: str) -> None:
    written = sample(SOURCE_SCHEMAS[source])
    for part in [written] if source != "http" else [{"url": "u", "sha256": "s"}, {"files": written["files"]}]:
        full = {source: {"secretRef": written["secretRef"], **part}} if source == "http" else {source: part}
        assert ModelSource.from_dict(full).to_dict() == full


@pytest.mark.parametrize("kind", KINDS)
def test_a_view_adds_nothing_to_an_object_that_has_the_least(kind: str) -> None:
    least = {
        "EmbeddingService": {"model": {"cacheRef": {"name": "weights"}}},
        "EmbeddingJob": {
            "serviceRef": {"name": "qwen"},
            "input": {"claimName": "corpus", "files": ["*.txt"], "format": "Text"},
            "output": {"url": "s3://vectors/x"},
        },
        "ModelCache": {"source": {"path": {"path": "model"}}, "storage": {"claimName": "claim"}},
        "RuntimeProfile": {
            "accelerator": {"type": "None"},
            "runtime": {"name": "vllm", "version": "0.32.0", "image": "vllm:v0.32.0"},
        },
        "EmbeddingBenchmark": {"serviceRef": {"name": "s"}, "runs": [{"dataset": "random", "prompts": 1}]},
    }[kind]
    written = KINDS[kind].from_dict({"metadata": {"name": "least"}, "spec": least}).to_dict()
    written.pop("status", None)
    assert written == {"metadata": {"name": "least"}, "spec": least}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_parse_and_come_out_as_written(file: Path) -> None:
    for manifest in yaml.safe_load_all(file.read_text()):
        if manifest["kind"] in KINDS:
            view = KINDS[manifest["kind"]].from_dict(manifest)
            assert view.to_dict()["spec"] == manifest["spec"]


def test_there_are_examples_of_services_and_caches() -> None:
    kinds = [manifest["kind"] for file in EXAMPLES for manifest in yaml.safe_load_all(file.read_text())]
    assert {"EmbeddingService", "ModelCache", "PersistentVolume", "PersistentVolumeClaim"} <= set(kinds)


SOURCE = {"modelScope": {"repo": "a/b"}}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "spec.model: is required"),
        ({"model": []}, "spec.model: must be an object, not []"),
        ({"model": {}}, "spec.model: write exactly one of source or cacheRef"),
        (
            {"model": {"source": {}}},
            "spec.model.source: write exactly one of modelScope, huggingFace, http, s3 or path",
        ),
        ({"model": {"source": {"modelScope": {}}}}, "spec.model.source.modelScope.repo: is required"),
        (
            {"model": {"source": {"modelScope": {"repo": "a/b", "include": ["*", 1]}}}},
            "spec.model.source.modelScope.include[1]: must be a string, not 1",
        ),
        ({"model": {"source": SOURCE}}, "spec: write cache with model.source, or model.cacheRef without cache"),
        (
            {"model": {"source": SOURCE}, "cache": {"subPath": "x"}},
            "spec.cache: write exactly one of claimName or claimTemplate",
        ),
        (
            {"model": {"cacheRef": {"name": "c"}}, "serving": {"dtype": "float16"}},
            "spec.serving.dtype: must be one of Auto, Float16, BFloat16, Float32, not 'float16'",
        ),
        (
            {"model": {"cacheRef": {"name": "c"}}, "replicas": True},
            "spec.replicas: must be a whole number, not True",
        ),
        (
            {"model": {"cacheRef": {"name": "c"}}, "suspend": "no"},
            "spec.suspend: must be true or false, not 'no'",
        ),
        (
            {"model": {"cacheRef": {"name": "c"}}, "runtime": {"resources": {"limits": {"cpu": []}}}},
            'spec.runtime.resources.limits[cpu]: must be a quantity such as "4" or 16Gi, not []',
        ),
        (
            {"model": {"cacheRef": {"name": "c"}}, "runtime": {"args": "--x"}},
            "spec.runtime.args: must be a list, not '--x'",
        ),
    ],
)
def test_an_object_that_cannot_be_read_names_the_field(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiValueError) as caught:
        EmbeddingService.from_dict({"metadata": {"name": "x"}, "spec": spec})
    assert str(caught.value) == message


def test_fields_of_a_newer_release_are_ignored() -> None:
    spec = {"model": {"cacheRef": {"name": "c"}}, "invented": {"later": 1}}
    assert EmbeddingService.from_dict({"metadata": {"name": "x"}, "spec": spec}).spec.model.cache_ref is not None


def test_a_whole_number_is_a_quantity_too() -> None:
    spec = {"model": {"cacheRef": {"name": "c"}}, "runtime": {"resources": {"limits": {"cpu": 4}}}}
    service = EmbeddingService.from_dict({"metadata": {"name": "x"}, "spec": spec})
    assert service.spec.runtime.resources.limits == {"cpu": "4"}


@pytest.mark.parametrize(("annotation", "expected"), [("true", True), ("false", False), (None, False)])
def test_the_default_profile_is_the_annotated_one(annotation: str | None, expected: bool) -> None:
    metadata: dict[str, Any] = {"name": "cpu"}
    if annotation:
        metadata["annotations"] = {"embedding-operator.io/default-profile": annotation}
    runtime = {"name": "vllm", "version": "0.32.0", "image": "vllm:v0.32.0"}
    profile = {"metadata": metadata, "spec": {"accelerator": {"type": "None"}, "runtime": runtime}}
    assert RuntimeProfile.from_dict(profile).is_default is expected
