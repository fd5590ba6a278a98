"""The command line: each release is given only flags that it knows, by its own source and by the double's parser."""

import json

import pytest

from embedding_operator.planning.commandline import flag_of
from embedding_operator.planning.releases import RELEASES
from tests.releases.read import recorded
from tests.standins.vllm import flags
from tests.unit.planning import given
from tests.unit.planning.combinations import VERSIONS, command_lines

# the double speaks for releases since 0.18; older ones are rendered without what came then
SPOKEN_FOR = [release for release in RELEASES if release.version >= (0, 18, 0)]


def test_the_double_knows_the_releases_that_the_operator_knows() -> None:
    assert tuple(release.version[:2] for release in SPOKEN_FOR) == flags.KNOWN_RELEASES


SIZES = {"maxModelLen": 8192, "maxBatchedTokens": 16384, "maxSequences": 256}


def all_lines(version: str) -> list[list[str]]:
    """With nothing said, and with all that can be."""
    tensor = {"tensor": 2}
    said = command_lines(version, serving=SIZES, parallelism=tensor)
    pooled = {"dimensions": 64, "pooling": {"type": "Mean", "normalize": True}, "multimodal": {"imagesPerPrompt": 2}}
    return [*command_lines(version), *said, *command_lines(version, serving=SIZES | pooled)]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_release_is_given_only_flags_and_pooler_keys_that_its_source_has(version: str) -> None:
    record = recorded(version)
    lines = all_lines(version)
    assert len(lines) > 10
    assert {flag_of(word) for line in lines for word in line} - {None} <= set(record["flags"])
    poolers = [line[line.index("--pooler-config") + 1] for line in lines if "--pooler-config" in line]
    assert poolers
    assert {key for pooler in poolers for key in json.loads(pooler)} <= set(record["poolerKeys"])


@pytest.mark.parametrize("version", [str(release) for release in SPOKEN_FOR])
def test_a_releases_own_parser_takes_them(version: str) -> None:
    for line in all_lines(version):
        assert flags.parse(line, version).runner == "pooling"


@pytest.mark.parametrize("version", ["0.13.0", "0.14.1"])
def test_a_release_is_not_given_what_came_after_it(version: str) -> None:
    newer = {"--shutdown-timeout", "--safetensors-load-strategy", "--disable-access-log-for-endpoints"}
    assert [line for line in command_lines(version) if newer & set(line)] == []


def test_a_name_cannot_ask_for_a_variable_of_its_pod_and_arguments_may() -> None:
    """A kubelet puts a variable's value in for `$(NAME)`, and reads `$$` as `$`."""
    model = {"source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-0.6B"}}, "servedName": "$(KEY)"}
    service = given.service(model=model, runtime={"profile": "cpu", "args": ["--seed=$(SEED)"]})
    (container,) = given.child(
        given.plan(service, given.seen(cache=given.cache(repo="Qwen/Qwen3-Embedding-0.6B"))), "Deployment"
    )["spec"]["template"]["spec"]["containers"]
    words = [*container.get("command", ()), *container["args"]]
    assert words[words.index("--served-model-name") + 1] == "$$(KEY)"
    assert words[-1] == "--seed=$(SEED)"
