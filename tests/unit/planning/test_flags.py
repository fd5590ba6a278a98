"""The command line: each release is given only flags that it knows, by its own source and by the double's parser."""

import pytest

from embedding_operator.planning.releases import RELEASES, flag_of
from tests.releases.read import recorded
from tests.standins.vllm import flags
from tests.unit.planning import given

# the double speaks for releases since 0.18; older ones are rendered without what came then
SPOKEN_FOR = [release for release in RELEASES if release.version >= (0, 18, 0)]


def test_the_double_knows_the_releases_that_the_operator_knows() -> None:
    assert tuple(release.version[:2] for release in SPOKEN_FOR) == flags.KNOWN_RELEASES


def arguments(profile: str, version: str) -> list[str]:
    """What a service that says all it can gives to `vllm serve`, after the model's path."""
    service = given.service(
        model={"source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-8B"}}},
        runtime={"profile": profile, "version": version},
        serving={"maxModelLen": 8192, "maxBatchedTokens": 16384, "maxSequences": 256},
        parallelism={"tensor": 2},
    )
    (revision,) = given.stored(given.plan(service, given.seen(cache=given.cache(repo="Qwen/Qwen3-Embedding-8B"))))
    program, command, *rest = revision.resolved["args"]
    assert (program, command) == ("vllm", "serve")
    return list(rest)


@pytest.mark.parametrize("version", [str(release) for release in RELEASES])
@pytest.mark.parametrize("profile", sorted(given.profiles()))
def test_a_release_is_given_only_flags_that_its_source_has(profile: str, version: str) -> None:
    given_flags = {flag_of(word) for word in arguments(profile, version)} - {None}
    assert given_flags - set(recorded(version)["flags"]) == set()
    assert "--max-model-len" in given_flags


@pytest.mark.parametrize("version", [str(release) for release in SPOKEN_FOR])
@pytest.mark.parametrize("profile", sorted(given.profiles()))
def test_a_releases_own_parser_takes_them(profile: str, version: str) -> None:
    assert flags.parse(arguments(profile, version), version).max_model_len == 8192


@pytest.mark.parametrize("version", ["0.13.0", "0.14.1"])
def test_a_release_is_not_given_what_came_after_it(version: str) -> None:
    newer = {"--shutdown-timeout", "--safetensors-load-strategy", "--disable-access-log-for-endpoints"}
    assert newer & set(arguments("ascend-910b", version)) == set()
