"""The double must not know a flag that vLLM does not: a wrong flag in a manifest has to show in the fast tests."""

import os
import re
import subprocess

import pytest

from images.vllm_cpu import recipe
from tests.contract.conftest import RELEASE, run_beside_vllm, vllm_executable
from tests.releases.read import recorded
from tests.standins.vllm import flags
from tests.unit.planning.combinations import command_lines


def options(version: str) -> set[str]:
    # argparse keeps its actions to itself; its help is the public way to them.
    return set(re.findall(r"--[a-z][a-z0-9-]+", flags.parser(version).format_help()))


@pytest.fixture(scope="module")
def shown() -> set[str]:
    """Every flag that vLLM itself says it has, `--no-` forms included: the first words of its help's entries."""
    help_text = subprocess.run(
        [vllm_executable(), "serve", "--help=all"],
        env={**os.environ, **recipe.SERVER_ENV},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    entries = re.findall(r"^  (-.*)$", help_text, re.M)
    return {flag for entry in entries for flag in re.findall(r"(?<!\S)--[a-z][a-z0-9-]*[a-z0-9]", entry)}


@pytest.mark.vllm
def test_every_flag_of_the_double_is_one_of_vllms(shown: set[str]) -> None:
    assert options(RELEASE) - shown == set()


@pytest.mark.vllm
def test_what_was_read_of_vllms_source_is_what_it_says_itself(shown: set[str]) -> None:
    """So the reading of the releases that cannot be run here is right too."""
    read = set(recorded(RELEASE)["flags"])
    assert read - shown == set()
    assert {flag for flag in shown if not flag.startswith("--no-")} - read == {"--help"}


PARSE = """
import json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = make_arg_parser(FlexibleArgumentParser())
print(json.dumps([parser.parse_args(line).runner for line in json.load(sys.stdin)]))
"""


@pytest.mark.vllm
def test_vllms_own_parser_takes_what_every_model_on_every_chip_is_given() -> None:
    guarded = {"apiKeySecretRef": {"name": "keys"}, "tls": {"secretRef": {"name": "tls"}}}
    lines = [
        *command_lines(RELEASE, exposure=guarded),
        *command_lines(RELEASE, serving={"dimensions": 64, "pooling": {"type": "Cls"}}),
    ]
    assert run_beside_vllm(PARSE, lines) == ["pooling"] * len(lines)


@pytest.mark.parametrize(
    ("version", "arguments"),
    [
        ("0.18.0", ["--disable-frontend-multiprocessing"]),
        ("0.23.0", ["--renderer-num-workers", "2"]),
        ("0.23.0.post1", ["--hf_overrides", '{"is_matryoshka": true}']),
        ("0.32.0", ["--trust-request-mm-kwargs", "--max-model-len=8k", "-tp", "2"]),
        ("0.33.0", ["--no-enable-prefix-caching", "--served-model-name", "a", "b"]),
    ],
)
def test_a_release_knows_its_flags(version: str, arguments: list[str]) -> None:
    assert flags.parse(["/models/x", *arguments], version).model_tag == "/models/x"


@pytest.mark.parametrize(
    ("version", "arguments", "message"),
    [
        ("0.18.0", ["--renderer-num-workers", "2"], "unrecognized arguments: --renderer-num-workers"),
        ("0.23.0", ["--trust-request-mm-kwargs"], "unrecognized arguments: --trust-request-mm-kwargs"),
        ("0.23.0", ["--disable-frontend-multiprocessing"], "unrecognized arguments"),
        ("0.32.0", ["--task", "embed"], "unrecognized arguments: --task"),
        ("0.32.0", ["--dtype", "float8"], "invalid choice: 'float8'"),
        ("0.32.0", ["--max-num-seqs", "many"], "invalid int value: 'many'"),
        ("0.32.0", ["--hf-overrides", "{"], "invalid loads value"),
        ("0.32.0", ["--api-key", "x"], "the double does not implement it"),
    ],
)
def test_a_release_refuses_what_it_does_not_know(
    version: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        flags.parse(["/models/x", *arguments], version)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
