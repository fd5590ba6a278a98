"""Specs drawn from the CRDs' own schemas: those that should do, and those that are a little wrong.

A spec has few fields, for one with many is nearly always refused for some two of them, and teaches nothing of the
rest. What the schema leaves open (parts of pods and selectors in Kubernetes' own words) is taken from OPEN.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from embedding_operator.planning.profiles import BUILT_IN
from tests.unit.planning import anything
from tests.unit.test_crds import schema_of

Draw = Callable[[st.SearchStrategy[Any]], Any]
Schema = dict[str, Any]

_LETTERS = string.ascii_letters + string.digits
_NAMES = st.text("abcxyz019", min_size=1, max_size=8).map(lambda text: f"a{text}z")
_KEYS = st.builds(lambda prefix, name: prefix + name, st.sampled_from(["", "", "example.com/", "a.b-c.io/"]), _NAMES)
_RESOURCES = ["cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "example.com/fast-disk", "huawei.com/Ascend910"]
_LABELS = st.text(_LETTERS, max_size=10)
_SELECTORS = [
    {},
    {"matchLabels": {"app": "client"}},
    {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]},
    {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}]},
]
_NODE_TERM = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
_POD_TERM = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "x"}}}
_POD_TERMS = [
    {"requiredDuringSchedulingIgnoredDuringExecution": [_POD_TERM]},
    {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": _POD_TERM}]},
]
_FILES = ["wiki/*.parquet", "a.jsonl", "deep/**", "[0-9]?.jsonl", "ä b"]
_SIDECAR = {"name": "agent", "image": "example.com/agent:1"}
OPEN: dict[str, list[Any]] = {
    "podSelector": _SELECTORS,
    "namespaceSelector": _SELECTORS,
    "labelSelector": _SELECTORS,
    "podAffinity": _POD_TERMS,
    "podAntiAffinity": _POD_TERMS,
    "nodeAffinity": [
        {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_NODE_TERM]}},
        {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": _NODE_TERM}]},
    ],
    "spec": [
        {"containers": [_SIDECAR]},
        {"initContainers": [_SIDECAR]},
        {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"},
        {"runtimeClassName": "kata"},
        {"volumes": [{"name": "extra", "emptyDir": {}}]},
        {"containers": [{"name": "vllm", "env": [{"name": "A", "value": "b"}]}]},
        {"containers": [{"name": "vllm", "securityContext": {"readOnlyRootFilesystem": True}}]},
        {"securityContext": {"fsGroup": 1000}, "serviceAccountName": "someone"},
    ],
}
PROFILES = ["site", "site", *(profile["metadata"]["name"] for profile in BUILT_IN)]


def value(draw: Draw, schema: Schema, name: str = "", share: int = 30) -> Any:
    """What a schema takes; of what is optional only a `share` in a hundred."""
    if name in OPEN and "properties" not in schema:
        return draw(st.sampled_from(OPEN[name]))
    if "additionalProperties" in schema:
        below = schema["additionalProperties"]
        values = _LABELS if below.get("type") == "string" else anything.values(below)
        keys = st.sampled_from(_RESOURCES) if name in ("requests", "limits") else _KEYS
        return draw(st.dictionaries(keys, values, min_size=schema.get("minProperties", 0), max_size=2))
    if "properties" in schema:
        return {field: value(draw, schema["properties"][field], field, share) for field in _fields(draw, schema, share)}
    if schema.get("type") == "array":
        count = draw(st.integers(schema.get("minItems", 0), min(2, schema["maxItems"])))
        return [value(draw, schema["items"], "", share) for _ in range(count)]
    return draw(anything.values(schema))


def _fields(draw: Draw, schema: Schema, share: int) -> list[str]:
    choices, together = anything.alternatives(schema)
    always = set(schema.get("required", ()))
    if choices:
        chosen = draw(st.sampled_from(sorted(choices)))
        always |= {chosen, together.get(chosen, chosen)}
    never = choices | set(together.values())
    return [
        field
        for field in schema["properties"]
        if field in always or (field not in never and draw(st.integers(0, 99)) < share)
    ]


def _job(draw: Draw, spec: Any) -> None:
    """What goes together in an EmbeddingJob, which has more rules than a few fields keep by chance."""
    if "serviceRef" in spec:
        for field in ("cache", "runtime", "serving"):
            spec.pop(field, None)
    else:
        spec.setdefault("runtime", {})["profile"] = draw(st.sampled_from(PROFILES))
        if "source" in spec["model"]:
            spec.setdefault("cache", {"claimName": "weights"})
        else:
            spec.pop("cache", None)
    source, target = spec["input"], spec["output"]
    if "files" in source and draw(st.integers(0, 3)):  # of what is drawn letter by letter, hardly anything is a path
        source["files"] = draw(st.lists(st.sampled_from(_FILES), min_size=1, max_size=2, unique=True))
    for place in (source, target):
        if "claimName" in place:
            for field in ("endpoint", "region", "secretRef"):
                place.pop(field, None)
        elif not place["url"].startswith("s3://"):
            place["url"] = "s3://bucket/x"
    if "secretRef" in source:
        source["secretRef"].pop("key", None)
        if "secretRef" in target:
            target["secretRef"] = dict(source["secretRef"])
    if "url" in target:
        for field in ("path", "securityContext"):
            target.pop(field, None)
    ranks = spec.get("task") == "Rerank"
    named = ("queryField", "documentField") if ranks else ("textField",)
    for field in ("idField", "textField", "imageField", "queryField", "documentField"):
        if field not in ("idField", *named) or source["format"] == "Text":
            source.pop(field, None)
    if ranks:
        source["format"] = "Parquet" if source["format"] == "Text" else source["format"]
        target.pop("dimensions", None)
        for field in ("pooling", "promptFormat"):
            spec.get("serving", {}).pop(field, None)
    if source["format"] != "Text":
        source.update({field: source.get(field, "x") for field in named})


@st.composite
def specs(draw: Draw, kind: str) -> Any:
    """A spec of few fields, each of which the schema takes, and what none can do without."""
    spec = value(draw, schema_of(kind)["properties"]["spec"], share=draw(st.sampled_from([3, 8, 15, 30])))
    match kind:
        case "EmbeddingService":
            spec.setdefault("runtime", {})["profile"] = draw(st.sampled_from(PROFILES))
            if "source" in spec["model"]:
                spec.setdefault("cache", {"claimName": "weights"})
            else:
                spec.pop("cache", None)
        case "EmbeddingBenchmark":
            _of_one_load(spec)
        case "EmbeddingJob":
            _job(draw, spec)
        case "RuntimeProfile" if spec["accelerator"]["type"] == "None":
            spec["accelerator"] = {"type": "None"}
        case "RuntimeProfile":
            spec["accelerator"].setdefault("resourceName", "huawei.com/Ascend910")
    return spec


def _of_one_load(spec: Any) -> None:
    """What rules over several fields want of the runs of a benchmark."""
    for run in spec["runs"]:
        swept = spec.get("sweep") or {}
        if run["dataset"] == "custom":
            run.setdefault("file", "prompts.jsonl")
            spec.setdefault("input", {"claimName": "corpus"})
        else:
            run.setdefault("inputTokens", 16)
        extra = ("inputTokens", "inputsPerRequest") if run["dataset"] == "custom" else ("file",)
        for field in (*extra, *swept):
            run.pop(field, None)
        run["prompts"] = max(run["prompts"], run.get("inputsPerRequest", 1))
