"""`embedding-operator explain`: every decision with its reason, without a cluster; what is wrong in one line."""

import io
from pathlib import Path
from typing import Any

import pytest
import yaml

from embedding_operator import cli
from embedding_operator.commands.manifests import unknown_fields
from tests.unit.planning import given

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
WITH_SERVICES = sorted(path for path in EXAMPLES.glob("*.yaml") if "kind: EmbeddingService" in path.read_text())


@pytest.fixture
def explain(capsys: pytest.CaptureFixture[str]) -> Any:
    def explained(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["explain", *arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return explained


def write(path: Path, *manifests: Any) -> str:
    path.write_text(yaml.safe_dump_all(manifests))
    return str(path)


@pytest.mark.parametrize("example", WITH_SERVICES, ids=lambda path: path.name)
def test_every_example_can_be_served_and_explained(example: Path, explain: Any) -> None:
    code, out, err = explain("-f", str(example))
    assert (code, err) == (0, "")
    for group in ("server", "devices", "flags", "environment", "volumes", "life", "placement", "rollout"):
        assert f"\n{group}\n" in out
    assert ("\npodTemplate\n" in out) is ("podTemplate:" in example.read_text())


@pytest.mark.parametrize("example", WITH_SERVICES, ids=lambda path: path.name)
def test_what_is_explained_is_what_is_made(example: Path, explain: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Every word of the pod's manifest that somebody decided is in the text."""
    _, text, _ = explain("-f", str(example))
    cli.main(["render", "-f", str(example)])
    made = capsys.readouterr().out
    (deployment,) = [one for one in yaml.safe_load_all(made) if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    serve = container["args"][container["args"].index("serve") + 1 :]
    words = [*serve, *(variable["name"] for variable in container["env"]), container["image"]]
    words += [mount["mountPath"] for mount in container["volumeMounts"]]
    assert [word for word in words if word not in text] == []


def test_a_sites_own_profile_goes_before_the_built_in_one(tmp_path: Path, explain: Any) -> None:
    profile = given.profiles()["ascend-910b"].to_dict()
    profile["spec"]["runtime"]["image"] = "registry.example.com/vllm-ascend:v0.23.0"
    profile |= {"apiVersion": "embedding-operator.io/v1alpha1", "kind": "RuntimeProfile"}
    site = write(tmp_path / "site.yaml", profile)
    code, out, _ = explain("-f", site, "-f", write(tmp_path / "a.yaml", given.service()))
    assert code == 0
    assert "image registry.example.com/vllm-ascend:v0.23.0\n" in out


def test_what_a_pod_template_says_is_told(tmp_path: Path, explain: Any) -> None:
    secret = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    vllm = {"name": "vllm", "env": [secret], "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}
    volumes = [{"name": "scratch", "emptyDir": {}}, {"name": "logs", "emptyDir": {}}]
    containers = [vllm, {"name": "logs", "image": "example.com/logs:1"}]
    template = {"spec": {"containers": containers, "volumes": volumes}}
    service = given.service(runtime={"profile": "cpu", "podTemplate": template})
    code, out, err = explain("-f", write(tmp_path / "a.yaml", service))
    assert (code, err) == (0, "")
    told = out.split("\npodTemplate\n")[1]
    assert "  spec.containers[logs].image example.com/logs:1\n      spec.runtime.podTemplate, over" in told
    assert "  /scratch emptyDir\n      spec.runtime.podTemplate, see below\n" in out
    assert "  TOKEN secretKeyRef key=k, name=s\n      spec.runtime.podTemplate, see below\n" in out


def test_a_pod_template_that_is_refused_is_said_so(tmp_path: Path, explain: Any) -> None:
    template = {"spec": {"tolerations": []}}
    service = given.service(runtime={"profile": "cpu", "podTemplate": template})
    code, out, _ = explain("-f", write(tmp_path / "a.yaml", service))
    assert code == 1
    assert "spec.runtime.podTemplate.spec.tolerations is the operator's: write spec.scheduling.tolerations" in out


def test_known_problems_are_told_with_their_references(tmp_path: Path, explain: Any) -> None:
    model = {"source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-8B"}}}
    service = given.service(model=model, runtime={"profile": "ascend-910b", "version": "0.13.0"})
    _, out, _ = explain("-f", write(tmp_path / "a.yaml", service))
    assert "\nknown problems\n" in out
    assert "https://github.com/vllm-project/vllm-ascend/issues/7145" in out


@pytest.mark.parametrize(
    ("repo", "serving", "lines"),
    [
        (
            "Qwen/Qwen3-VL-Embedding-8B",
            {"promptFormat": "Model"},
            ["spec.serving.promptFormat: text of /v1/embeddings is put into the format", "Represent the user's input."],
        ),
        (
            "Qwen/Qwen3-Embedding-8B",
            {"promptFormat": "Model", "instruction": "Find."},
            ["spec.serving.promptFormat: text of /v1/embeddings is put into the format", "Find.", "spec.serving.instr"],
        ),
        ("Qwen/Qwen3-VL-Embedding-8B", {}, ["as promptFormat is left out: text reaches the model as clients send it"]),
    ],
)
def test_the_prompt_format_is_explained(
    repo: str, serving: dict[str, str], lines: list[str], tmp_path: Path, explain: Any
) -> None:
    service = given.service(model={"source": {"modelScope": {"repo": repo}}}, serving=serving)
    code, out, _ = explain("-f", write(tmp_path / "x.yaml", service))
    group = " ".join(out.partition("\nprompt\n")[2].partition("\n\n")[0].split())
    assert code == 0
    assert [line for line in lines if line not in group] == []


def test_a_refused_service_is_said_to_be_and_the_others_are_explained(tmp_path: Path, explain: Any) -> None:
    old = given.service(runtime={"profile": "ascend-910b", "version": "0.13.0"})
    code, out, _ = explain("-f", write(tmp_path / "a.yaml", old, given.service()))
    assert code == 1
    assert "# EmbeddingService search/qwen: refused\nKnownProblem: " in out
    assert "\nflags\n" in out


def test_a_list_as_kubectl_writes_it_is_what_it_holds(tmp_path: Path, explain: Any) -> None:
    several = {"apiVersion": "v1", "kind": "List", "items": [given.service(), {"apiVersion": "v1", "kind": "Pod"}]}
    code, out, _ = explain("-f", write(tmp_path / "a.yaml", several))
    assert (code, out.count("# EmbeddingService")) == (0, 1)


def test_a_benchmark_beside_a_service_is_passed_over(explain: Any) -> None:
    """All that a team has may lie in one place."""
    code, out, err = explain("-f", str(EXAMPLES / "benchmark.yaml"), "-f", str(EXAMPLES / "qwen3-embedding-8b.yaml"))
    assert (code, out.count("# Embedding"), err) == (0, 1, "")

    alone = explain("-f", str(EXAMPLES / "benchmark.yaml"))
    assert alone[0] == 2
    assert alone[2].endswith("/benchmark.yaml, but EmbeddingBenchmark\n")


def test_the_standard_input_is_a_file_too(monkeypatch: pytest.MonkeyPatch, explain: Any) -> None:
    """In UTF-8, whatever the terminal is."""
    manifest = given.service(model={"source": {"path": {"path": "模型-grün"}}})
    text = yaml.safe_dump(manifest, allow_unicode=True).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text), encoding="gbk"))
    code, out = explain("-f", "-")[:2]
    assert (code, "模型-grün" in out) == (0, True)


BROKEN = given.service(serving={"maxModelLength": 8192})
CACHE_REF = given.service(model={"cacheRef": {"name": "weights"}}, cache=None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: [", "a.yaml is not YAML: "),
        ("\xff", "a.yaml is not YAML: "),
        ("", "no EmbeddingService and no EmbeddingJob in "),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: x}", "no EmbeddingService and no EmbeddingJob in "),
        (yaml.safe_dump(BROKEN), "EmbeddingService qwen: there is no field spec.serving.maxModelLength"),
        (yaml.safe_dump(given.service(replicas="two")), "EmbeddingService qwen: spec.replicas: must be a whole number"),
        (yaml.safe_dump(given.service() | {"kind": "Embedding"}), "there is no kind 'Embedding'"),
        (yaml.safe_dump(given.service() | {"metadata": "x"}), "EmbeddingService None: metadata: must be an object"),
        (yaml.safe_dump(CACHE_REF), "takes its weights from ModelCache weights, which is in none of the files"),
    ],
)
def test_what_cannot_be_explained_is_one_line(content: str, words: str, tmp_path: Path, explain: Any) -> None:
    (tmp_path / "a.yaml").write_bytes(content.encode("latin-1"))
    code, out, err = explain("-f", str(tmp_path / "a.yaml"))
    assert (code, out) == (2, "")
    assert words in err
    assert err.startswith("embedding-operator explain: ")
    assert err.count("\n") == 1


def test_a_file_that_is_not_there_is_named(explain: Any) -> None:
    assert explain("-f", "nowhere.yaml") == (
        2,
        "",
        "embedding-operator explain: nowhere.yaml: No such file or directory\n",
    )


@pytest.mark.parametrize(
    ("written", "understood", "unknown"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1}}, []),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, ["spec.a.c"]),
        ({"a": {}, "b": None}, {}, []),
        ({"a": [{"b": 1}, {"x": 1}]}, {"a": [{"b": 1}, {}]}, ["spec.a[1].x"]),
    ],
)
def test_fields_that_nobody_knows(written: Any, understood: Any, unknown: list[str]) -> None:
    assert list(unknown_fields(written, understood, "spec")) == unknown


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "Enforce, cosine of at least 0.999"),
        ({"policy": "Warn", "threshold": "0.99"}, "Warn, cosine of at least 0.99"),
        ({"policy": "Off"}, "Off"),
    ],
)
def test_what_becomes_of_other_vectors_is_explained(
    explain: Any, tmp_path: Path, asked: dict[str, str], told: str
) -> None:
    service = given.service(rollout={"embeddingSpace": asked})
    _, out, _ = explain("-f", write(tmp_path / "x.yaml", service))
    (line,) = [line for line in out.splitlines() if line.strip().startswith("embedding space")]
    assert line.split("embedding space")[1].strip().startswith(told)
