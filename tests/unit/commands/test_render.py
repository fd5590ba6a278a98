"""`embedding-operator render`: the objects of a manifest, without a cluster."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from embedding_operator import cli
from tests.unit.planning import given

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
MINILM = str(EXAMPLES / "minilm-cpu.yaml")


@pytest.fixture
def render(capsys: pytest.CaptureFixture[str]) -> Any:
    def rendered(*arguments: str) -> tuple[int, str, str]:
        code = cli.main(["render", *arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return rendered


def write(path: Path, *manifests: Any) -> str:
    path.write_text(yaml.safe_dump_all(manifests))
    return str(path)


def test_the_objects_that_would_be_made_are_shown_in_their_order(render: Any) -> None:
    code, out, err = render("-f", MINILM)
    assert (code, err) == (0, "")
    assert [one["kind"] for one in yaml.safe_load_all(out)] == [
        "ModelCache",
        "PersistentVolumeClaim",
        "ConfigMap",
        "ControllerRevision",
        "Service",
        "Deployment",
    ]


def test_nothing_has_an_owner_that_is_not_there(render: Any) -> None:
    """A garbage collector would delete it at once."""
    _, out, _ = render("-f", MINILM)
    assert "ownerReferences" not in out


def test_what_two_services_share_is_there_once_and_a_namespace_may_be_given(tmp_path: Path, render: Any) -> None:
    one, two = given.service(), given.service()
    two["metadata"] = two["metadata"] | {"name": "other"}
    for service in (one, two):
        service["metadata"] = {"name": service["metadata"]["name"]}
    _, out, _ = render("-f", write(tmp_path / "a.yaml", one, two), "-n", "search", "-o", "json")
    objects = json.loads(out)["items"]
    kinds = [one["kind"] for one in objects]
    assert [kinds.count(kind) for kind in ("ModelCache", "ConfigMap", "Deployment")] == [1, 1, 2]
    assert {one["metadata"]["namespace"] for one in objects} == {"search"}


def test_a_kind_can_be_asked_for_and_one_that_is_not_there_is_said(render: Any) -> None:
    _, out, _ = render("-f", MINILM, "--kind", "Deployment", "--kind", "Service")
    assert [one["kind"] for one in yaml.safe_load_all(out)] == ["Service", "Deployment"]
    code, out, err = render("-f", MINILM, "--kind", "Pod")
    assert (code, out) == (1, "")
    assert err == (
        "embedding-operator render: no object of kind Pod: there are ConfigMap, ControllerRevision, Deployment, "
        "ModelCache, PersistentVolumeClaim, Service\n"
    )


def test_a_refused_service_is_said_and_the_others_are_rendered(tmp_path: Path, render: Any) -> None:
    old = given.service(runtime={"profile": "ascend-910b", "version": "0.13.0"})
    fine = given.service() | {"metadata": {"name": "fine", "namespace": "search"}}
    code, out, err = render("-f", write(tmp_path / "a.yaml", old, fine))
    assert code == 1
    assert err.startswith("embedding-operator render: EmbeddingService search/qwen is refused: KnownProblem: ")
    assert [one["metadata"]["name"] for one in yaml.safe_load_all(out) if one["kind"] == "Deployment"] == ["fine"]


@pytest.mark.parametrize("option", ["--kubeconfig", "--context"])
def test_a_cluster_that_would_not_be_asked_is_said(option: str, render: Any) -> None:
    code, _, err = render("-f", MINILM, option, "x")
    assert code == 1
    assert "which is asked with --from-cluster only" in err


def test_a_network_policy_lets_in_the_operator_where_it_runs(tmp_path: Path, render: Any) -> None:
    guarded = given.service(exposure={"networkPolicy": {"from": []}})
    for options, where in (((), "embedding-operator-system"), (("--operator-namespace", "mine"), "mine")):
        _, out, _ = render("-f", write(tmp_path / "a.yaml", guarded), "--kind", "NetworkPolicy", *options)
        assert f"kubernetes.io/metadata.name: {where}" in out
