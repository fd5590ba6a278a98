"""What Pod Security refuses is told as the level that a namespace must admit, and what to do."""

from typing import Any

import pytest

from embedding_operator.planning.podsecurity import forbidden
from tests.unit.planning import given

HOST_PATHS = 'pods "qwen-5c9-x2x9z" is forbidden: violates PodSecurity "baseline:latest": hostPath volumes (volume "a")'
AS_ROOT = 'pods "qwen-5c9" is forbidden: violates PodSecurity "restricted:v1.36": runAsNonRoot != true (container "x")'
BOTH = f'{AS_ROOT}, restricted volume types (volume "a" uses restricted volume type "hostPath")'


@pytest.mark.parametrize(
    ("words", "told", "cure", "instead"),
    [
        (HOST_PATHS, "is baseline by Pod Security and these pods need privileged", "privileged", "without hostMounts"),
        (AS_ROOT, "is restricted by Pod Security and these pods need baseline", "baseline", "a namespace that is"),
        (BOTH, "is restricted by Pod Security and these pods need privileged", "privileged", "without hostMounts"),
        (HOST_PATHS.replace("hostPath volumes", "host namespaces"), "need privileged", "privileged", "that is"),
    ],
)
def test_the_level_that_is_missing_is_named_with_what_to_do(words: str, told: str, cure: str, instead: str) -> None:
    verdict = forbidden(words, "search")
    assert verdict is not None
    assert told in verdict.message
    assert f"kubectl label namespace search pod-security.kubernetes.io/enforce={cure} --overwrite" in verdict.message
    assert instead in verdict.message.partition("--overwrite")[2]


def test_each_try_has_another_pod_and_the_message_is_the_same() -> None:
    assert forbidden(HOST_PATHS, "search") == forbidden(HOST_PATHS.replace("x2x9z", "abcde"), "search")


def test_other_refusals_are_no_business_of_pod_security() -> None:
    assert forbidden('pods "x" is forbidden: exceeded quota: gpus', "search") is None


def status(**deployment: Any) -> dict[str, tuple[str, str, str]]:
    refused = [{"type": "ReplicaFailure", "status": "True", "message": HOST_PATHS}]
    running = given.deployment(replicas=2, ready=2, updated=0, conditions=refused, **deployment)
    pods = [given.pod(f"p{number}") for number in range(2)]
    return given.conditions(given.plan(given.service(), given.seen(cache=given.cache(), deployment=running, pods=pods)))


def test_a_service_is_stalled_by_it_and_says_what_still_serves() -> None:
    stalled = status()["Stalled"]
    assert stalled[1] == "PodSecurity"
    assert stalled[2].startswith("2 of 4 replicas serving; namespace search is baseline")
    assert status()["Available"][0] == "True"


def test_what_a_former_spec_was_refused_for_does_not_stall_the_mended_one() -> None:
    assert "Stalled" not in status(observedGeneration=1)
