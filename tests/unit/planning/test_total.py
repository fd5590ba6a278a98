"""Planning answers whatever it is shown: it never raises, and the same input gives the same plan.

A planner that raises leaves a service without a status, and its worker in a loop.
"""

import copy
import json
import re
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedding_operator.api.conditions import Condition, Reason
from embedding_operator.api.modelcache import ModelCache, Progress
from embedding_operator.api.profile import RuntimeProfile
from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning import revision
from embedding_operator.planning.cacheplan import plan_cache
from embedding_operator.planning.cachestate import ObservedCache
from embedding_operator.planning.errors import PlanError
from embedding_operator.planning.observed import Observed
from embedding_operator.planning.plan import Plan, plan_service
from embedding_operator.planning.space import FILE, Measured
from embedding_operator.planning.stagejob import StagingSite
from embedding_operator.planning.vectors import Comparison, Record, read
from embedding_operator.planning.weights import model_cache
from tests.unit.planning import anything
from tests.unit.planning.given import SCRIPTS
from tests.unit.test_crds import schema_of

MANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
PROBLEMS = st.none() | st.builds(PlanError, st.sampled_from(Reason), st.text(max_size=20))
RECORDS = st.none() | st.sampled_from(["ADwAAA==", "AAAAPA==", "ADw="]).map(
    lambda packed: Record({"short": {"vector": packed, "length": 1.0}})
)
SPACES = ("space-qwen-0", "space-qwen-1")
MEASURED = st.builds(
    Measured,
    id=st.text(max_size=8),
    record=RECORDS,
    comparison=st.none() | st.builds(Comparison, st.floats(-1, 1), st.text(max_size=8), st.floats(0, 1)),
)
SITE = StagingSite("example.com/operator:1", (("HTTPS_PROXY", "http://p:1"),), ("registry",))


@st.composite
def observations(draw: Any, *, staged: bool) -> Observed:
    """What the cluster shows of a service."""
    profiles = {name: RuntimeProfile.from_dict(draw(anything.profiles(name))) for name in ("a", "b")}
    cache = ModelCache.from_dict(draw(anything.caches(staged=staged)))
    pods = draw(anything.PODS)
    revisions = map(revision.parse, draw(anything.STORED_REVISIONS))
    return Observed(
        profiles=profiles,
        cache=cache if staged or draw(st.booleans()) else None,
        revisions=[parsed for parsed in revisions if parsed],
        deployment=draw(anything.DEPLOYMENTS),
        has_budget=draw(st.booleans()),
        has_claim=draw(st.booleans()),
        pods=pods,
        is_replacing=draw(st.booleans()),
        has_waited=draw(st.booleans()),
        may_come=draw(st.booleans()),
        script_sources=SCRIPTS,
        spaces={name: draw(RECORDS) for name in SPACES},
        measured={pod["metadata"]["name"]: draw(MEASURED) for pod in pods},
        refused=draw(PROBLEMS),
    )


@st.composite
def services(draw: Any) -> Any:
    """Services, most of which name a profile that is there."""
    obj = draw(anything.services())
    obj["spec"].setdefault("runtime", {})["profile"] = draw(st.sampled_from("aaabbc"))
    return obj


def planned(obj: Any, seen: Observed) -> Plan:
    return plan_service(EmbeddingService.from_dict(obj), obj["spec"], seen)


def too_much(value: Any, schema: dict[str, Any], path: str) -> list[str]:
    """Where a status says more than its schema takes: the API server would refuse it, and show nothing."""
    match value:
        case dict():
            fields = schema.get("properties", {})
            return [line for name in value for line in too_much(value[name], fields[name], f"{path}.{name}")]
        case list():
            long = [f"{path}: {len(value)} items"] * (len(value) > schema["maxItems"])
            return long + [line for item in value for line in too_much(item, schema["items"], f"{path}[]")]
        case str():
            return [f"{path}: {len(value)} characters"] * (len(value) > schema["maxLength"])
        case int() if not isinstance(value, bool):
            return [f"{path}: {value}"] * (not schema["minimum"] <= value <= schema.get("maximum", 2**63 - 1))
        case _:
            return []


def assert_sound(conditions: tuple[Condition, ...]) -> None:
    """kstatus' rules, and words that the schema takes."""
    by_type = {condition.type: condition for condition in conditions}
    assert len(by_type) == len(conditions)
    ready = by_type["Ready"]
    moving = by_type.keys() & {"Reconciling", "Stalled"}
    assert len(moving) == (ready.status != "True")
    assert all(by_type[name].status == "True" for name in moving)
    assert all(re.fullmatch("[A-Z][A-Za-z0-9]*", condition.reason) for condition in conditions)


@MANY
@given(services(), st.booleans().flatmap(lambda staged: observations(staged=staged)))
def test_every_service_has_a_plan_and_always_the_same(obj: Any, seen: Observed) -> None:
    before = copy.deepcopy((obj, seen.pods, seen.deployment))
    plan = planned(obj, seen)
    assert plan == planned(obj, seen)
    assert (obj, seen.pods, seen.deployment) == before
    assert_sound(plan.status.conditions)
    assert too_much(plan.status.to_dict(), schema_of("EmbeddingService")["properties"]["status"], "status") == []


@MANY
@given(services(), observations(staged=True))
def test_a_plan_that_was_carried_out_asks_for_nothing_new(obj: Any, seen: Observed) -> None:
    first = planned(obj, seen)
    stored = [revision.parse(child) for child in first.apply if child["kind"] == "ControllerRevision"]
    names = {found.name for found in stored if found}
    kept = [
        old for old in seen.revisions if old.name not in names and ("ControllerRevision", old.name) not in first.delete
    ]
    spaces = {name: record for name, record in seen.spaces.items() if ("ConfigMap", name) not in first.delete}
    spaces |= {
        child["metadata"]["name"]: read(json.loads(child["data"][FILE]))
        for child in first.apply
        if child["kind"] == "ConfigMap" and FILE in child["data"]
    }
    after = replace(
        seen,
        revisions=[*kept, *(found for found in stored if found)],
        has_budget=any(child["kind"] == "PodDisruptionBudget" for child in first.apply),
        has_claim=True,
        spaces=spaces,
    )
    second = planned(obj, after)
    assert second.apply == first.apply
    assert (second.create, second.delete) == ((), ())


@MANY
@given(services(), anything.profiles("a"))
def test_every_service_with_a_source_asks_for_a_cache_with_a_name_for_labels(obj: Any, profile: Any) -> None:
    service = EmbeddingService.from_dict(obj)
    if service.spec.model.source is None:
        return
    made = model_cache(service, RuntimeProfile.from_dict(profile).spec.pod)
    assert re.fullmatch("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", made["metadata"]["name"])
    assert ModelCache.from_dict(made).spec.source.canonical() == made["spec"]["source"]


@MANY
@given(services(), st.lists(anything.profiles("a"), max_size=2))
def test_a_profile_is_chosen_or_its_lack_is_told_in_one_line(obj: Any, stored: Any) -> None:
    profiles = {str(index): RuntimeProfile.from_dict(profile) for index, profile in enumerate(stored)}
    seen = Observed(profiles=profiles, script_sources=SCRIPTS)
    (ready, *_) = planned(obj, seen).status.conditions
    assert "\n" not in ready.message


@MANY
@given(st.data(), anything.caches(staged=False))
def test_every_cache_has_a_plan_and_always_the_same(data: st.DataObject, obj: Any) -> None:
    cache = ModelCache.from_dict(obj)
    progress = schema_of("ModelCache")["properties"]["status"]["properties"]["progress"]
    seen = ObservedCache(
        users=data.draw(st.lists(st.text(max_size=8), max_size=3)),
        jobs=data.draw(anything.jobs(cache)),
        pods=data.draw(anything.STAGING_PODS),
        claim_exists=data.draw(st.sampled_from([True, False, None])),
        progress=data.draw(st.none() | anything.values(progress).map(Progress.from_dict)),
        refused=data.draw(PROBLEMS),
    )
    plan = plan_cache(cache, seen, SITE)
    assert plan == plan_cache(cache, seen, SITE)
    assert_sound(plan.status.conditions)
    assert too_much(plan.status.to_dict(), schema_of("ModelCache")["properties"]["status"], "status") == []
