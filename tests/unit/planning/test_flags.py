"""Releases of vLLM: each is in both tables, ours and the double's, and is given no flag that it lacks."""

import pytest

from embedding_operator.planning.releases import RELEASES
from tests.standins.vllm import flags
from tests.unit.planning import given

# the double speaks for releases since 0.18; older ones are rendered without what came then
SPOKEN_FOR = [release for release in RELEASES if release.version >= (0, 18, 0)]


def test_the_double_knows_the_releases_that_the_operator_knows() -> None:
    assert tuple(release.version[:2] for release in SPOKEN_FOR) == flags.KNOWN_RELEASES


@pytest.mark.parametrize("version", [str(release) for release in SPOKEN_FOR])
@pytest.mark.parametrize("profile", sorted(given.profiles()))
def test_a_release_is_given_only_flags_that_it_knows(profile: str, version: str) -> None:
    service = given.service(
        runtime={"profile": profile, "version": version},
        serving={"maxModelLen": 8192, "maxBatchedTokens": 16384, "maxSequences": 256},
        parallelism={"tensor": 2},
    )
    (revision,) = given.stored(given.plan(service, given.seen(cache=given.cache())))
    program, command, *arguments = revision.resolved["args"]
    assert (program, command) == ("vllm", "serve")
    assert flags.parse(arguments, version).max_model_len == 8192


def test_a_release_is_not_given_what_came_after_it() -> None:
    service = given.service(runtime={"profile": "ascend-910b", "version": "0.13.0"})
    (revision,) = given.stored(given.plan(service, given.seen(cache=given.cache())))
    newer = {"--shutdown-timeout", "--safetensors-load-strategy", "--disable-access-log-for-endpoints"}
    assert newer & set(revision.resolved["args"]) == set()
