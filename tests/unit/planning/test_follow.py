"""Following a profile: how far one service is, what adopting does, and what keeps it as it is."""

import dataclasses
from typing import Any

import pytest

from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning.choosing import profile_hash
from embedding_operator.planning.follow import Phase, Standing, standing
from embedding_operator.planning.revision import ANNOTATION, Revision
from tests.unit.planning import given
from tests.unit.planning.test_history import OTHER
from tests.unit.planning.test_rollback import annotated

JsonObject = dict[str, Any]
SERVICE = given.service(replicas=2)
FOLLOW = {"policy": "Follow", "maxConcurrent": 3}


def profiles(edited: bool = True, **rollout: Any) -> Any:
    pod = {"pod": {"env": [{"name": "EDITED", "value": "1"}]}} if edited else {}
    return given.profiles(rollout=FOLLOW | rollout, **pod)


def rendered(**observed: Any) -> Revision:
    (one,) = given.stored(given.plan(SERVICE, given.seen(**({"cache": given.cache()} | observed))))
    return one


OLD = rendered()
NEW = dataclasses.replace(rendered(profiles=profiles()), number=2)


def pods(revision: Revision, count: int = 2, **pod: Any) -> list[JsonObject]:
    made = [given.pod(f"{revision.name}-{number}", **pod) for number in range(count)]
    for one in made:
        one["metadata"]["annotations"] = {ANNOTATION: revision.name}
    return made


def ending(pod: JsonObject) -> JsonObject:
    return pod | {"metadata": pod["metadata"] | {"deletionTimestamp": "2030-01-01T00:00:00Z"}}


def stands(obj: JsonObject = SERVICE, **observed: Any) -> Standing:
    usual: JsonObject = {"cache": given.cache(), "profiles": profiles(), "revisions": [OLD], "pods": pods(OLD)}
    return standing(EmbeddingService.from_dict(obj), obj["spec"], given.seen(**(usual | observed)))


@pytest.mark.parametrize(
    ("phase", "whole", "observed"),
    [
        (Phase.BEHIND, True, {}),
        (Phase.BEHIND, False, {"pods": pods(OLD, ready=False)}),
        (Phase.SETTLED, True, {"profiles": profiles(edited=False)}),
        (Phase.ROLLING, False, {"revisions": [OLD, NEW]}),  # the Deployment is still to be applied
        (Phase.ROLLING, False, {"revisions": [OLD, NEW], "pods": pods(NEW) + pods(OLD, 1)}),
        (Phase.ROLLING, False, {"revisions": [OLD, NEW], "pods": pods(NEW, 1)}),
        (Phase.ROLLING, False, {"revisions": [OLD, NEW], "pods": pods(NEW, ready=False)}),
        (Phase.SETTLED, True, {"revisions": [OLD, NEW], "pods": pods(NEW)}),
        (Phase.SETTLED, True, {"revisions": [OLD, NEW], "pods": [*pods(NEW), ending(pods(OLD)[0])]}),
        (Phase.SETTLED, True, {"revisions": [OLD, NEW], "pods": pods(NEW) + pods(OLD, 1, ready=False, phase="Failed")}),
        (Phase.SETTLED, True, {"revisions": [OLD, NEW], "pods": pods(NEW) + pods(NEW, 1, ready=False)}),
    ],
    ids=[
        "behind",
        "broken",
        "nothing new",
        "noted",
        "surging",
        "replacing",
        "starting",
        "done",
        "an old one drains",
        "one was evicted by its node long ago",
        "one more waits for a healthy device",
    ],
)
def test_how_far_a_service_is(phase: Phase, whole: bool, observed: JsonObject) -> None:
    assert stands(**observed) == Standing(phase, "ascend-910b", 3, whole)


@pytest.mark.parametrize(
    ("obj", "observed"),
    [
        (SERVICE, {"profiles": profiles(policy="Pinned")}),
        (SERVICE, {"profiles": given.profiles(pod={"env": [{"name": "EDITED", "value": "1"}]})}),
        (SERVICE, {"profiles": {}}),
        (SERVICE, {"revisions": []}),
        (SERVICE, {"cache": None}),
        (SERVICE, {"cache": given.cache(digest=OTHER)}),
        (given.service(replicas=2, serving={"maxModelLen": 512}), {}),
        (given.service(replicas=2, runtime={"profile": "ascend-a3"}), {}),
        (given.service(replicas=2, runtime={}), {}),
        (annotated(SERVICE, ROLLBACK=OLD.name), {}),
    ],
    ids=[
        "pinned",
        "pinned where nothing is said",
        "no profile",
        "nothing runs",
        "no weights",
        "other weights to come",
        "another spec to come",
        "another profile to come",
        "no default",
        "held by a rollback",
    ],
)
def test_who_stands_apart(obj: JsonObject, observed: JsonObject) -> None:
    assert stands(obj, **observed).phase is Phase.APART


def test_with_its_turn_a_service_adopts_the_profile_and_without_it_says_what_it_waits_for() -> None:
    seen = given.seen(cache=given.cache(), profiles=profiles(), revisions=[OLD])
    waiting = given.plan(SERVICE, seen)
    assert given.stored(waiting) == [OLD]
    told = "its services adopt it by themselves, 3 at a time, and this one waits for its turn"
    assert told in given.conditions(waiting)["UpdateAvailable"][2]
    adopted = given.plan(SERVICE, dataclasses.replace(seen, may_follow=True))
    assert given.stored(adopted) == [NEW]
    assert "UpdateAvailable" not in given.conditions(adopted)


def test_a_profile_that_cannot_serve_it_any_more_is_told_and_its_pods_stay() -> None:
    unfit = given.profiles(rollout=FOLLOW, accelerator={"type": "Ascend", "resourceName": "x/y", "allowedCounts": [8]})
    seen = given.seen(cache=given.cache(), profiles=unfit, revisions=[OLD], may_follow=True)
    planned = given.plan(SERVICE, seen)
    assert given.stored(planned) == [OLD]
    assert given.conditions(planned)["Stalled"][1] == "DeviceCountNotAllowed"


def test_how_a_profile_is_rolled_out_is_no_content_of_it() -> None:
    """Or to write `policy: Follow` would roll all services."""
    plain, follow = given.profiles()["cpu"], profiles(edited=False)["cpu"]
    assert profile_hash(plain) == profile_hash(follow)
