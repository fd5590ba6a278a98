"""`embedding-operator render` and `explain` of EmbeddingJobs: what would be made of a manifest, without a cluster."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from embedding_operator import cli
from tests.unit.planning.test_job_words import unknown

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
JOBS = sorted(path for path in EXAMPLES.glob("embeddingjob*.yaml") if "service" not in path.name)
BY_SERVICE = str(EXAMPLES / "embeddingjob-service.yaml")
SERVICE = str(EXAMPLES / "qwen3-embedding-8b.yaml")


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Any:
    def tell(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return tell


@pytest.mark.parametrize("file", JOBS, ids=lambda file: file.stem)
def test_the_jobs_that_would_be_made_are_shown_in_their_order(told: Any, file: Path) -> None:
    code, out, err = told("render", "-f", str(file))
    assert (code, err) == (0, "")
    made = list(yaml.safe_load_all(out))
    assert [one["kind"] for one in made] == ["ModelCache", "Job", "ConfigMap", "Job", "Job"]
    phases = [one["metadata"]["name"].partition("-")[0] for one in made if one["kind"] == "Job"]
    assert phases == ["split", "embed", "finish"]
    (work,) = [one for one in made if one["metadata"]["name"].startswith("embed-")]
    assert work["spec"]["completions"] == 8 * work["spec"]["parallelism"]
    assert "ownerReferences" not in out


def test_a_job_by_a_service_needs_the_services_manifest(told: Any) -> None:
    code, out, _ = told("render", "-f", BY_SERVICE, "-f", SERVICE, "--kind", "Job")
    assert (code, out.count("kind: Job")) == (0, 3)
    assert "http://qwen3-embedding.default.svc:8000" in out
    code, _, err = told("render", "-f", BY_SERVICE)
    assert code == 1
    assert "EmbeddingJob default/nightly is embedded by EmbeddingService qwen3-embedding, which is in none of" in err


def test_a_job_that_is_refused_is_named_with_the_reason(told: Any, tmp_path: Path) -> None:
    manifest = yaml.safe_load(JOBS[-1].read_text())
    manifest["spec"]["runtime"]["profile"] = "nope"
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(manifest))
    for command in ("render", "explain"):
        code, out, err = told(command, "-f", str(tmp_path / "job.yaml"))
        assert code == 1
        assert "ProfileNotFound: spec.runtime.profile names 'nope'" in out + err


@pytest.mark.parametrize("command", ["render", "explain"])
def test_a_job_whose_shards_are_of_no_size_is_refused(command: str, told: Any, tmp_path: Path) -> None:
    job = yaml.safe_load(JOBS[0].read_text())
    job["spec"]["shardBytes"] = "75%"
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    code, out, err = told(command, "-f", str(tmp_path / "job.yaml"))
    assert code == 1
    assert 'InvalidSpec: spec.shardBytes must be a quantity such as "4", 500m or 16Gi, not "75%"' in out + err


def test_a_job_is_explained_with_its_workers_server(told: Any) -> None:
    code, out, _ = told("explain", "-f", str(EXAMPLES / "embeddingjob-rerank.yaml"))
    assert code == 0
    for words in (
        "# EmbeddingJob default/judgements",
        "a native sidecar of each worker",
        "input s3://evaluation/pairs: *.parquet\n      read in ranges, where it is, and by the driver alone",
        "\n      sent with each request, for the model's own template around query and document",
        "image quay.io/ascend/vllm-ascend:v0.23.0",
        "--served-model-name Qwen/Qwen3-Reranker-4B",
    ):
        assert words in out
    for words in ("drainTimeout", "EMBEDDING_OPERATOR_PROMPT", "/etc/embedding-operator/space", "maxConnectionAge"):
        assert words not in out


@pytest.mark.parametrize("file", JOBS, ids=lambda file: file.stem)
def test_what_is_explained_is_explained_by_fields_of_the_job(told: Any, file: Path) -> None:
    _, out, _ = told("explain", "-f", str(file))
    assert unknown(out) == []
    assert "let clients" not in out


def test_a_job_by_a_service_is_explained_with_its_bound(told: Any) -> None:
    code, out, _ = told("explain", "-f", BY_SERVICE, "-f", SERVICE)
    assert code == 0
    assert "driver --max-in-flight 32" in out
