"""The stager's input is read strictly, and each mistake is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from embedding_operator.staging.errors import StageError
from embedding_operator.staging.layout import source_layout
from embedding_operator.staging.main import main_stage
from embedding_operator.staging.settings import Settings
from embedding_operator.staging.spec import parse_spec
from tests.standins.modelhub import ModelHub

from .kit import QUICK, REPO, Volume

GOOD = {"source": {"modelScope": {"repo": "Qwen/Qwen3-VL-Embedding-8B"}}, "root": "/cache"}


def with_source(**fields: object) -> dict[str, object]:
    return {**GOOD, "source": {"modelScope": {"repo": "a/b", **fields}}}


def test_what_is_left_out_has_defaults() -> None:
    spec = parse_spec(json.dumps({**GOOD, "digest": None}))
    assert spec.source.model_scope is not None
    assert spec.source.model_scope.revision == "master"
    assert (spec.parallelism, spec.progress_port, spec.digest) == (8, 8081, None)


def test_all_fields_are_read() -> None:
    spec = parse_spec(
        json.dumps(
            {
                **with_source(
                    revision="v1.0",
                    endpoint="https://hub.example/",
                    secretRef={"name": "hub", "key": "token"},
                    include=["*.json"],
                    exclude=["x"],
                ),
                "digest": f"sha256:{'a' * 64}",
                "parallelism": 64,
                "progressPort": 9000,
            }
        )
    )
    source = spec.source.model_scope
    assert source is not None
    assert (source.endpoint, source.include, source.exclude) == ("https://hub.example", ("*.json",), ("x",))
    assert (spec.parallelism, spec.progress_port) == (64, 9000)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "Invalid JSON"),
        ("[]", "(document): "),
        ({"root": "/cache"}, "source: Field required"),
        ({**GOOD, "source": {}}, "source: give exactly one of modelScope, huggingFace, http, s3 and path"),
        ({**GOOD, "source": {"modelScope": {"repo": "a/b"}, "path": {"path": "x"}}}, "give exactly one of"),
        ({**GOOD, "root": "cache"}, "root: 'cache' is not an absolute path"),
        ({**GOOD, "parallelism": 65}, "parallelism: "),
        ({**GOOD, "parallelism": "8"}, "parallelism: "),
        ({**GOOD, "digest": "sha256:xyz"}, "digest: "),
        ({**GOOD, "extra": 1}, "extra: Extra inputs are not permitted"),
        (with_source(repo="nope"), "source.modelScope.repo: 'nope' is not a repository id; write owner/name"),
        (with_source(repo="../b"), "is not a repository id"),
        (with_source(repo="a/.."), "is not a repository id"),
        (with_source(revision="../x"), "is not a branch, tag or commit"),
        (with_source(endpoint="ftp://x"), "source.modelScope.endpoint: the endpoint must be an http"),
        (with_source(endpoint="https://u:hunter2@hub"), "must not hold a user name or password"),
        (with_source(endpoint="https://hub/?a=b"), "must not hold a query"),
        ({**GOOD, "source": {"path": {"path": "/etc"}}}, "source.path.path: '/etc' is absolute"),
        ({**GOOD, "source": {"path": {"path": "a/../../b"}}}, "leaves its directory by '..'"),
        ({**GOOD, "source": {"path": {"path": ""}}}, "is empty"),
        ({**GOOD, "directory": "../b"}, "directory: '../b' leaves its directory by '..'"),
        ({**GOOD, "directory": ".trash/b"}, "directory: '.trash/b' is no place for weights"),
    ],
)
def test_a_wrong_spec_is_refused_with_the_field(document: object, words: str) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(StageError) as caught:
        parse_spec(text)
    assert (caught.value.reason, caught.value.exit_code) == ("BadSource", 3)
    assert words in caught.value.message
    assert "hunter2" not in caught.value.message


def test_a_wrong_spec_ends_in_a_result_and_exit_code_3(tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    assert main_stage("{}", {"TERMINATION_LOG": str(log)}) == 3
    assert json.loads(log.read_text())["reason"] == "BadSource"


def test_a_wrong_site_endpoint_is_told(tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    text = json.dumps({**GOOD, "root": str(tmp_path), "progressPort": 0})
    assert main_stage(text, {"TERMINATION_LOG": str(log), "MODELSCOPE_ENDPOINT": "hub"}) == 3
    assert json.loads(log.read_text())["message"].startswith("MODELSCOPE_ENDPOINT: the endpoint must be")


def test_a_token_with_its_file_s_new_line_works_and_stays_secret(
    volume: Volume, hub: ModelHub, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hub.tokens[REPO] = "a-token"
    environ = {"TERMINATION_LOG": str(tmp_path / "log"), "MODELSCOPE_API_TOKEN": "a-token\n"}
    assert main_stage(volume.spec(), environ, Settings(**QUICK)) == 0
    output = capfd.readouterr()
    assert "a-token" not in output.out + output.err


@pytest.mark.parametrize("token", ["two words", "two\nlines", "tökén"])
def test_what_cannot_be_a_token_is_refused_without_being_shown(volume: Volume, tmp_path: Path, token: str) -> None:
    log = tmp_path / "termination-log"
    environ = {"TERMINATION_LOG": str(log), "MODELSCOPE_API_TOKEN": token}
    assert main_stage(volume.spec(), environ, Settings(**QUICK)) == 3
    document = json.loads(log.read_text())
    assert document["reason"] == "Unauthorized"
    assert document["message"] == "MODELSCOPE_API_TOKEN is no token: put the token alone into the Secret"


def test_the_longest_names_still_fit_into_the_names_of_directories() -> None:
    layout = source_layout(Path("/cache"), "modelscope", f"{'o' * 96}/{'n' * 96}", "c" * 64, ("x",))
    other = source_layout(Path("/cache"), "modelscope", f"{'o' * 96}/{'n' * 96}", "c" * 63 + "d", ("x",))
    assert max(len(part) for part in layout.published.parts) <= 255
    assert len(f"displaced-{layout.key}-999") <= 255
    assert layout.key != other.key


def test_directories_are_as_documented() -> None:
    layout = source_layout(Path("/cache"), "modelscope", "Qwen/Qwen3-VL-Embedding-8B", "abc")
    assert layout.published == Path("/cache/modelscope/Qwen--Qwen3-VL-Embedding-8B/abc")
    assert layout.staging.parent == Path("/cache/.staging")
    assert layout.partial("sub/x.safetensors").name == "x.safetensors.partial"
    chosen = source_layout(Path("/cache"), "modelscope", "a/b", "abc", ("x", "y"))
    assert chosen == source_layout(Path("/cache"), "modelscope", "a/b", "abc", ("y", "x"))
    assert chosen.relative.startswith("modelscope/a--b/abc-files-")
