"""Hypothesis strategies: what the CRDs' schemas take, and what else a cluster may show a planner.

They follow the schema files: a field that is added there is generated here.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from hypothesis import strategies as st

from embedding_operator.api.names import SPACE_ANNOTATION
from embedding_operator.planning.revision import ANNOTATION
from embedding_operator.planning.stagejob import job_name
from tests.unit.test_crds import schema_of

Schema = dict[str, Any]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(st.text(max_size=8), JSON, max_size=2)
_MATCHES = re.compile(r"self\.matches\('((?:[^']|\\')*)'\)")
_EXACTLY_ONE = re.compile(r"^(has\(self\.\w+\) != has\(self\.\w+\)|\[(has\(self\.\w+\)(, )?)+\]\.filter.*)$")
_TOGETHER = re.compile(r"^has\(self\.(\w+)\) == has\(self\.(\w+)\)$")
_EXPONENTS = st.from_regex(r"[0-9]{1,3}[eE][+-]?[0-9]{1,4}", fullmatch=True)
_QUANTITIES = (
    st.integers(0, 2**63 - 1)
    | _EXPONENTS
    | st.from_regex(r"\+?[0-9]{1,25}(\.[0-9]{0,3})?(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?", fullmatch=True)
)
_SHARES = st.integers(0, 10000) | st.integers(0, 100).map(lambda share: f"{share}%")
_RATES = st.integers(1, 1000000) | st.sampled_from(["inf", "2.5", "20", "0.001"])
_PARTS = st.text(st.characters(exclude_characters="/", exclude_categories=("Cs",)), min_size=1, max_size=20).filter(
    lambda part: part not in (".", "..")
)
_PATHS = st.lists(_PARTS, min_size=1, max_size=4).map("/".join)
_IMAGES = st.sampled_from(
    [
        "quay.io/ascend/vllm-ascend:v0.23.0-a3",
        "localhost:5000/vllm:v0.18.0",
        "example.com/vllm:main",
        f"example.com/vllm@sha256:{'0123456789abcdef' * 4}",
        f"example.com/vllm:v0.23.0@sha256:{'0123456789abcdef' * 4}",
    ]
)
_VERSIONS = st.sampled_from(["0.23.0", "0.32.0", "0.18", "0.18.0rc1", "0.9.1"])
_URLS = st.sampled_from(["https://hub.example.com", "http://[::1]:8080/", "https://hub.example.com/a/b/"])


def values(schema: Schema) -> st.SearchStrategy[Any]:
    """What a schema takes, by and large: rules over several fields are the caller's."""
    if schema.get("x-kubernetes-int-or-string"):
        if any("inf" in rule for rule in _rules(schema)):
            return _RATES
        return _SHARES if any("%" in rule for rule in _rules(schema)) else _QUANTITIES
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "object":
            return _objects(schema)
        case "array":
            return st.lists(
                values(schema["items"]), min_size=schema.get("minItems", 0), max_size=3, unique_by=json.dumps
            )
        case "integer":
            return st.integers(schema.get("minimum", 0), schema.get("maximum", 2**63 - 1))
        case "boolean":
            return st.booleans()
        case _:
            return _strings(schema)


def alternatives(schema: Schema) -> tuple[set[str], dict[str, str]]:
    """Fields of which a rule wants exactly one, and what goes together with which."""
    one_of = [rule for rule in _rules(schema) if _EXACTLY_ONE.match(rule)]
    choices = {name for rule in one_of[:1] for name in re.findall(r"has\(self\.(\w+)\)", rule)}
    return choices, dict(found.groups() for rule in _rules(schema) if (found := _TOGETHER.match(rule)))


def _objects(schema: Schema) -> st.SearchStrategy[Any]:
    if "additionalProperties" in schema:
        return st.dictionaries(st.text(min_size=1, max_size=63), values(schema["additionalProperties"]), max_size=2)
    if "properties" not in schema:
        return OBJECTS
    fields = {name: values(field) for name, field in schema["properties"].items()}
    required = set(schema.get("required", []))
    choices, together = alternatives(schema)

    def with_choice(chosen: str) -> st.SearchStrategy[Any]:
        always = required | ({chosen, together.get(chosen, chosen)} if chosen else set())
        return st.fixed_dictionaries(
            {name: fields[name] for name in sorted(always)},
            optional={
                name: field for name, field in fields.items() if name not in always | choices | set(together.values())
            },
        )

    return st.sampled_from(sorted(choices) or [""]).flatmap(with_choice)


def _strings(schema: Schema) -> st.SearchStrategy[str]:
    rules = " ".join(_rules(schema))
    limit = schema["maxLength"]
    if "isURL" in rules:
        return _URLS
    if "self.contains('@')" in rules:
        return _IMAGES
    if "split('/')" in rules:
        return _PATHS.map(lambda path: f"/{path}" if "startsWith('/')" in rules else path)
    found = _MATCHES.search(rules)
    pattern = found[1].replace("\\\\", "\\") if found else schema.get("pattern")
    if pattern is None:
        return st.text(min_size=schema.get("minLength", 0), max_size=min(limit, 80))
    if pattern.startswith("^[0-9]"):
        return _VERSIONS
    return st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True).filter(
        lambda text: schema.get("minLength", 0) <= len(text) <= limit
    )


def _rules(schema: Schema) -> list[str]:
    return [rule["rule"] for rule in schema.get("x-kubernetes-validations", ())]


@cache
def stored(kind: str, *, name: str, parts: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """A stored object of one of our kinds."""
    metadata = {"name": name, "namespace": "search", "uid": "u-1", "generation": 3}
    schema = schema_of(kind)["properties"]
    return st.fixed_dictionaries({"metadata": st.just(metadata), **{part: values(schema[part]) for part in parts}})


@st.composite
def services(draw: Callable[..., Any]) -> Any:
    """EmbeddingServices that the schema takes, with the longest name it allows."""
    obj = draw(stored("EmbeddingService", name="s" * 52, parts=("spec",)))
    if "source" in obj["spec"]["model"]:
        obj["spec"].setdefault("cache", {"claimName": "claim"})
    else:
        obj["spec"].pop("cache", None)
    return obj


def profiles(name: str) -> st.SearchStrategy[Any]:
    """RuntimeProfiles, with and without devices."""
    return stored("RuntimeProfile", name=name, parts=("spec",))


def caches(*, staged: bool) -> st.SearchStrategy[Any]:
    """ModelCaches: proven, or in whatever state a status can show."""
    done = {"revision": "9c3d", "digest": "sha256:" + "ab" * 32, "path": "modelscope/a--b/9c3d"}
    said = st.fixed_dictionaries(
        {
            "type": st.sampled_from(["Ready", "Reconciling", "Stalled"]),
            "status": st.sampled_from(["True", "False"]),
            "reason": st.sampled_from(["Pending", "Downloading", "ClaimNotFound", "Verified"]),
            "message": st.text(max_size=20),
        }
    )
    told = st.lists(said, max_size=3, unique_by=lambda condition: condition["type"])
    objects = st.tuples(stored("ModelCache", name="c" * 63, parts=("spec", "status")), told)
    return objects.map(
        lambda drawn: drawn[0] | {"status": drawn[0]["status"] | {"conditions": drawn[1]} | (done if staged else {})}
    )


def _texts(*known: str) -> st.SearchStrategy[str]:
    return st.one_of(*map(st.just, known), st.text(max_size=20))


def _sometimes(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({}, optional=fields)


_RESULTS = _sometimes(
    result=_texts("Staged", "Staged", "Failed") | JSON,
    reason=_texts("NotFound", "HubUnavailable") | JSON,
    message=_texts() | JSON,
    revision=_texts() | JSON,
    digest=_texts("sha256:" + "ab" * 32) | JSON,
    path=_texts("modelscope/a--b/9c3d") | JSON,
    files=st.integers(0) | JSON,
    bytes=st.integers(0) | JSON,
    excluded=_sometimes(files=st.integers(0), bytes=st.integers(0)) | JSON,
)
_MESSAGES = (_RESULTS | _RESULTS | JSON).map(json.dumps) | _texts()
_TERMINATED = _sometimes(message=_MESSAGES, exitCode=st.integers(0, 255), reason=_texts("Error", "OOMKilled"))
_STATES = _sometimes(
    waiting=_sometimes(
        reason=_texts("ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff", "CreateContainerConfigError"),
        message=_texts('Back-off pulling image "x": ErrImagePull: no', 'secret "x" not found'),
    ),
    terminated=_TERMINATED,
    running=st.just({}),
)
_CONDITIONS = st.lists(
    st.fixed_dictionaries(
        {
            "type": _texts("Ready", "PodScheduled", "Complete", "Failed", "Progressing", "ReplicaFailure"),
            "status": st.sampled_from(["True", "False", "Unknown"]),
        },
        optional={"reason": _texts("Unschedulable", "ProgressDeadlineExceeded"), "message": _texts()},
    ),
    max_size=3,
)
_CONTAINERS = st.lists(
    _sometimes(name=_texts(), started=st.booleans(), restartCount=st.integers(0, 5), state=_STATES, lastState=_STATES),
    max_size=2,
)


def _metadata(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    times = st.sampled_from(["2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z"])
    return st.fixed_dictionaries(
        {"name": st.text(min_size=1, max_size=8)},
        optional={"creationTimestamp": times, "deletionTimestamp": times, **optional},
    )


_POD_ANNOTATIONS = _sometimes(
    **{ANNOTATION: st.text(max_size=8), SPACE_ANNOTATION: st.sampled_from(["space-qwen-0", "space-qwen-1"])}
)
PODS = st.lists(
    st.fixed_dictionaries(
        {"metadata": _metadata(annotations=_POD_ANNOTATIONS)},
        optional={
            "spec": _sometimes(nodeName=_texts()),
            "status": _sometimes(
                phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
                reason=_texts("Evicted"),
                message=_texts(),
                conditions=_CONDITIONS,
                containerStatuses=_CONTAINERS,
                initContainerStatuses=_CONTAINERS,
            ),
        },
    ),
    max_size=3,
)
_ENDED_PODS = st.lists(
    st.fixed_dictionaries(
        {
            "metadata": _metadata(),
            "status": st.fixed_dictionaries(
                {
                    "phase": st.sampled_from(["Succeeded", "Failed"]),
                    "containerStatuses": st.fixed_dictionaries(
                        {"state": st.fixed_dictionaries({"terminated": _sometimes(message=_MESSAGES)})}
                    ).map(lambda status: [status]),
                }
            ),
        }
    ),
    min_size=1,
    max_size=2,
)
STAGING_PODS = _ENDED_PODS | PODS
_COUNTS = st.integers(0, 5)
DEPLOYMENTS = st.none() | st.fixed_dictionaries(
    {"metadata": _metadata(generation=_COUNTS)},
    optional={
        "status": _sometimes(
            observedGeneration=_COUNTS,
            replicas=_COUNTS,
            readyReplicas=_COUNTS,
            updatedReplicas=_COUNTS,
            conditions=_CONDITIONS,
        ),
    },
)
_DATA_FIELDS = ("specHash", "profileHash", "digest", "scripts", "template", "resolved", "weights")
STORED_REVISIONS = st.lists(
    st.fixed_dictionaries(
        {"metadata": _metadata()},
        optional={
            "revision": st.integers(0, 9),
            "data": OBJECTS | st.fixed_dictionaries(dict.fromkeys(_DATA_FIELDS, st.text(max_size=8) | OBJECTS)),
        },
    ),
    max_size=3,
)


def jobs(of: Any) -> st.SearchStrategy[Any]:
    """Jobs of a cache: its own, or one of other inputs."""
    name = st.sampled_from([job_name(of), job_name(of), "stage-other"])
    ended = st.sampled_from(["Complete", "Failed"]).map(lambda kind: [{"type": kind, "status": "True"}])
    status = _sometimes(conditions=ended | _CONDITIONS, completionTime=st.just("2026-01-02T03:04:05Z"))
    job = st.fixed_dictionaries({"metadata": st.fixed_dictionaries({"name": name}), "status": status})
    return st.just([]) | st.lists(job, min_size=1, max_size=2)
