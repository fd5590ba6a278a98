"""The manifests that people give: read, and held against what the operator understands of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from embedding_operator.api import names
from embedding_operator.api.benchmark import EmbeddingBenchmark
from embedding_operator.api.codec import ApiValueError, View
from embedding_operator.api.job import EmbeddingJob
from embedding_operator.api.json import JsonObject
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.commands import CommandError

KINDS: Mapping[str, type[View]] = {
    names.EMBEDDING_SERVICE: EmbeddingService,
    names.EMBEDDING_JOB: EmbeddingJob,
    names.MODEL_CACHE: ModelCache,
    names.RUNTIME_PROFILE: RuntimeProfile,
    names.EMBEDDING_BENCHMARK: EmbeddingBenchmark,
}


def with_services(files: Sequence[str], namespace: str, *, or_jobs: bool = False) -> list[JsonObject]:
    """The objects of our kinds in these files, among them a service, or a job where that will do; those that name no
    namespace get this one."""
    manifests = [in_namespace(obj, namespace) for obj in read(files)]
    if not services(manifests) and not (or_jobs and jobs(manifests)):
        wanted = f"{names.EMBEDDING_SERVICE} and no {names.EMBEDDING_JOB}" if or_jobs else names.EMBEDDING_SERVICE
        others = ", ".join(dict.fromkeys(str(obj["kind"]) for obj in manifests))
        raise CommandError(f"no {wanted} in {', '.join(files)}" + (f", but {others}" if others else ""))
    return manifests


def services(manifests: Iterable[JsonObject]) -> list[JsonObject]:
    """The EmbeddingServices among them."""
    return [obj for obj in manifests if obj["kind"] == names.EMBEDDING_SERVICE]


def jobs(manifests: Iterable[JsonObject]) -> list[JsonObject]:
    """The EmbeddingJobs among them."""
    return [obj for obj in manifests if obj["kind"] == names.EMBEDDING_JOB]


def in_namespace(obj: JsonObject, namespace: str) -> JsonObject:
    """The manifest with a namespace, where its kind has one."""
    if obj["kind"] == names.RUNTIME_PROFILE or obj["metadata"].get("namespace"):
        return obj
    return obj | {"metadata": obj["metadata"] | {"namespace": namespace}}


def read(files: Iterable[str]) -> Iterator[JsonObject]:
    """The objects of our kinds in these files, `-` being the standard input; others are passed over."""
    for file in files:
        try:
            text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
            documents = list(yaml.safe_load_all(text.decode("utf-8")))
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise CommandError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
        for obj in (one for document in documents for one in _members(document)):
            if isinstance(obj, dict) and str(obj.get("apiVersion", "")).startswith(f"{names.GROUP}/"):
                yield _checked(file, obj)


def _members(document: Any) -> list[Any]:
    """The objects of a List, as kubectl writes several, or the one that it is."""
    if isinstance(document, dict) and document.get("kind") == "List" and isinstance(document.get("items"), list):
        items: list[Any] = document["items"]
        return items
    return [document]


def _checked(file: str, obj: JsonObject) -> JsonObject:
    kind, metadata = str(obj.get("kind")), obj.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if kind not in KINDS:
        raise CommandError(f"{file}: there is no kind {kind!r} in {names.API_VERSION}, write one of {', '.join(KINDS)}")
    try:
        view = KINDS[kind].from_dict(obj)
    except ApiValueError as error:
        raise CommandError(f"{file}, {kind} {name}: {error}") from error
    for field in unknown_fields(obj.get("spec") or {}, view.to_dict().get("spec") or {}, "spec"):
        raise CommandError(f"{file}, {kind} {name}: there is no field {field} (kubectl explain {kind.lower()}.spec)")
    return obj


def unknown_fields(written: Any, understood: Any, path: str) -> Iterator[str]:
    """The fields of a manifest that no view has: what is written, and does not come out again."""
    if isinstance(written, Mapping) and isinstance(understood, Mapping):
        for name, value in written.items():
            if name in understood or isinstance(value, Mapping):  # a view leaves out a group of which it knows nothing
                yield from unknown_fields(value, understood.get(name, {}), f"{path}.{name}")
            elif value not in (None, []):
                yield f"{path}.{name}"
    elif isinstance(written, list) and isinstance(understood, list):
        for index, (one, other) in enumerate(zip(written, understood, strict=False)):
            yield from unknown_fields(one, other, f"{path}[{index}]")
