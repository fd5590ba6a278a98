"""What `embedding-operator explain` does: reads manifests, decides as the operator would, and says why. No cluster.

What the cluster would know is assumed at its best: the weights are staged, the claim is there. Profiles are the
built-in ones and those of the files, which go before.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from embedding_operator import podscripts
from embedding_operator.api import names
from embedding_operator.api.codec import ApiValueError, View
from embedding_operator.api.conditions import Type, find_condition
from embedding_operator.api.json import JsonObject
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.api.source import ModelSource
from embedding_operator.planning.choosing import choose_profile
from embedding_operator.planning.explain import Decision, explain
from embedding_operator.planning.observed import Observed
from embedding_operator.planning.plan import plan_service
from embedding_operator.planning.profiles import BUILT_IN
from embedding_operator.planning.resolve import resolve
from embedding_operator.planning.weights import cache_name, model_cache, storage

KINDS: Mapping[str, type[View]] = {
    names.EMBEDDING_SERVICE: EmbeddingService,
    names.MODEL_CACHE: ModelCache,
    names.RUNTIME_PROFILE: RuntimeProfile,
}
COMMIT = "COMMIT"  # of the weights: staging finds it out
_DIGEST = "sha256:" + "0" * 64
_WIDTH = 110


class ExplainError(Exception):
    """What cannot be explained, in one line."""


def main(files: Sequence[str], output: str) -> int:
    """Explain every service of the files. 0: all can be served, 1: one is refused, 2: a file cannot be read."""
    try:
        manifests = list(read(files))
        services = [obj for obj in manifests if obj["kind"] == names.EMBEDDING_SERVICE]
        if not services:
            raise ExplainError(f"no {names.EMBEDDING_SERVICE} in {', '.join(files)}")
        refused = [_one(obj, manifests, output) for obj in services]
    except ExplainError as error:
        print(f"embedding-operator explain: {error}", file=sys.stderr)
        return 2
    return 1 if any(refused) else 0


def read(files: Iterable[str]) -> Iterator[JsonObject]:
    """The objects of our kinds in these files, `-` being the standard input; others are passed over."""
    for file in files:
        try:
            text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
            documents = list(yaml.safe_load_all(text))
        except OSError as error:
            raise ExplainError(f"{file}: {error.strerror}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ExplainError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
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
        raise ExplainError(f"{file}: there is no kind {kind!r} in {names.API_VERSION}, write one of {', '.join(KINDS)}")
    try:
        view = KINDS[kind].from_dict(obj)
    except ApiValueError as error:
        raise ExplainError(f"{file}, {kind} {name}: {error}") from error
    for field in unknown_fields(obj.get("spec") or {}, view.to_dict().get("spec") or {}, "spec"):
        raise ExplainError(f"{file}, {kind} {name}: there is no field {field} (kubectl explain {kind.lower()}.spec)")
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


def _one(obj: JsonObject, manifests: Iterable[JsonObject], output: str) -> bool:
    """Explain one service; returns whether it is refused."""
    metadata = {"namespace": "default", "uid": "UID", "generation": 1} | obj["metadata"]
    service = EmbeddingService.from_dict(obj | {"metadata": metadata})
    profiles = _profiles(manifests)
    cache = _staged(service, manifests)
    seen = Observed(profiles=profiles, cache=cache, has_claim=False, script_sources=podscripts.sources())
    plan = plan_service(service, obj["spec"], seen)
    stalled = find_condition(plan.status.conditions, Type.STALLED)
    if stalled is not None:
        print(f"# {_title(service)}: refused\n{stalled.reason}: {stalled.message}")
        return True
    profile = choose_profile(service, profiles)
    if output == "yaml":
        own = [model_cache(service, profile.spec.pod)] if service.spec.model.source else []
        print("---")
        yaml.safe_dump_all([*own, *plan.create, *plan.apply], sys.stdout, sort_keys=False, width=_WIDTH)
        return False
    (deployment,) = (child for child in plan.apply if child["kind"] == "Deployment")
    resolved = resolve(service, profile, cache.spec.source, cache.status.context_length)
    decisions = explain(service, profile, cache.spec.source, resolved, deployment)
    print("\n".join(lines(_title(service), decisions)))
    return False


def _title(service: EmbeddingService) -> str:
    return f"EmbeddingService {service.metadata.namespace}/{service.metadata.name}"


def _profiles(manifests: Iterable[JsonObject]) -> dict[str, RuntimeProfile]:
    own = [obj for obj in manifests if obj["kind"] == names.RUNTIME_PROFILE]
    return {obj["metadata"]["name"]: RuntimeProfile.from_dict(obj) for obj in (*BUILT_IN, *own)}


def _staged(service: EmbeddingService, manifests: Iterable[JsonObject]) -> ModelCache:
    """The service's ModelCache as if its weights were staged."""
    name, source = cache_name(service), service.spec.model.source
    if source is not None:
        spec: JsonObject = {"source": source.to_dict(), "storage": storage(service).to_dict()}
    else:
        found = [obj for obj in manifests if obj["kind"] == names.MODEL_CACHE and obj["metadata"]["name"] == name]
        if not found:
            raise ExplainError(
                f"{_title(service)} takes its weights from ModelCache {name}, which is in none of the files: "
                "give its manifest too, with another -f"
            )
        spec = found[0]["spec"]
        source = ModelSource.from_dict(spec["source"])
    path = source.path.path if source.path else f"{source.kind.lower()}/{source.display.replace('/', '--')}/{COMMIT}"
    status = {"path": path, "digest": _DIGEST, "revision": COMMIT}
    metadata = {"name": name, "namespace": service.metadata.namespace}
    return ModelCache.from_dict({"metadata": metadata, "spec": spec, "status": status})


def lines(title: str, decisions: Iterable[Decision]) -> Iterator[str]:
    """The decisions as people read them: by group, each with its reason below."""
    yield f"# {title}"
    group = ""
    for decision in decisions:
        if decision.group != group:
            group = decision.group
            yield f"\n{group}"
        yield f"  {decision.what} {decision.value}".rstrip()
        yield from textwrap.wrap(decision.why, _WIDTH, initial_indent="      ", subsequent_indent="      ")
