"""There is an example for whatever somebody may want to serve; the API server is asked in tests/integration/."""

from pathlib import Path

import pytest
import yaml

from embedding_operator.api.service import EmbeddingService
from embedding_operator.planning.families import FAMILIES, family_of
from embedding_operator.planning.profiles import BUILT_IN

FILES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.yaml"))
SERVICES = [
    EmbeddingService.from_dict(manifest)
    for file in FILES
    for manifest in yaml.safe_load_all(file.read_text())
    if manifest["kind"] == "EmbeddingService"
]


def family(service: EmbeddingService) -> str:
    model = service.spec.model
    found = family_of(model.source, model.served_name) if model.source else None
    return found.name if found else ""


@pytest.mark.parametrize("name", [family.name for family in FAMILIES])
def test_each_family_of_models_has_an_example(name: str) -> None:
    assert [service for service in SERVICES if family(service) == name] != []


@pytest.mark.parametrize("profile", [profile["metadata"]["name"] for profile in BUILT_IN])
def test_each_chip_has_an_example(profile: str) -> None:
    assert [service for service in SERVICES if service.spec.runtime.profile == profile] != []


@pytest.mark.parametrize("task", ["Embed", "Rerank", "Classify"])
def test_each_task_has_an_example(task: str) -> None:
    assert [service for service in SERVICES if (service.spec.task or "Embed") == task] != []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_begins_with_what_it_is_for(file: Path) -> None:
    assert file.read_text().partition("apiVersion:")[0].startswith("# ")
