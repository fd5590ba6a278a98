"""The site's files of RuntimeProfiles: what is read of them, and what is said of those that are wrong."""

from pathlib import Path

import pytest
import yaml

from embedding_operator.controllers import siteprofiles
from embedding_operator.controllers.context import Context
from embedding_operator.planning.profiles import CPU
from tests.unit.controllers import given

PROFILE = {"apiVersion": "embedding-operator.io/v1alpha1", "kind": "RuntimeProfile"}


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return given.context(profiles=tmp_path)


def manifest(name: str) -> str:
    return yaml.safe_dump({**PROFILE, "metadata": {"name": name}, "spec": CPU["spec"]})


def names(context: Context) -> list[str]:
    return [key.name for key in siteprofiles.look(context)]


def test_every_file_and_every_document_counts(context: Context, tmp_path: Path) -> None:
    (tmp_path / "gold.yaml").write_text(manifest("gold"))
    (tmp_path / "others").write_text("---\n---\n".join([manifest("silver"), manifest("bronze")]))
    (tmp_path / "..data").mkdir()  # as a kubelet mounts a ConfigMap
    assert names(context) == ["gold", "silver", "bronze"]
    assert context.site.wishes["gold"].profile["spec"] == CPU["spec"]


def test_only_what_changed_is_looked_at_again(context: Context, tmp_path: Path) -> None:
    for name in ("gold", "silver"):
        (tmp_path / name).write_text(manifest(name))
    assert names(context) == ["gold", "silver"]
    assert names(context) == []
    (tmp_path / "gold").write_text(manifest("gold").replace("0.32.0", "0.33.0"))
    (tmp_path / "silver").unlink()
    assert names(context) == ["gold"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "cannot be read: while parsing a flow node"),
        ("nonsense", "expected a RuntimeProfile of embedding-operator.io/v1alpha1, found something else"),
        ("kind: ConfigMap", "expected a RuntimeProfile of embedding-operator.io/v1alpha1, found ConfigMap"),
        (yaml.safe_dump(PROFILE), "a RuntimeProfile without metadata.name"),
        (yaml.safe_dump({**PROFILE, "metadata": {"name": 1}}), "a RuntimeProfile without metadata.name"),
        (
            yaml.safe_dump({**PROFILE, "metadata": {"name": "x", "namespace": "y"}}),
            "RuntimeProfile x: metadata.namespace is not for a file to say: leave it out",
        ),
        (
            yaml.safe_dump({**PROFILE, "metadata": {"name": "x", "labels": ["a"]}}),
            "RuntimeProfile x: labels and annotations are maps",
        ),
        (manifest("gold"), "RuntimeProfile gold is in a.yaml, too: keep one of them"),
        (b"\xff", "cannot be read: 'utf-8' codec can't decode"),
        (
            yaml.safe_dump({**PROFILE, "metadata": {"name": "x"}, "spec": {"nodeSelector": {True: "x"}}}),
            "a key in it is true, false or null to YAML: put it into quotes, such as 'on'",
        ),
        (f'{manifest("x")}more: "\\uD800"', "cannot be read: 'utf-8' codec can't encode"),
        (f"{manifest('x')}more: &more [*more]", "cannot be read: maximum recursion depth exceeded"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_once_and_the_others_count(
    context: Context, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str | bytes, problem: str
) -> None:
    (tmp_path / "a.yaml").write_text(manifest("gold"))
    (tmp_path / "b.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert names(context) == ["gold"]
    assert names(context) == []
    (told,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert told.getMessage().startswith(f"b.yaml: {problem}")


def test_a_directory_that_cannot_be_read_any_more_leaves_what_was_read(context: Context, tmp_path: Path) -> None:
    (tmp_path / "gold").write_text(manifest("gold"))
    assert names(context) == ["gold"]
    (tmp_path / "gold").unlink()
    tmp_path.rmdir()
    assert names(context) == []
    assert set(context.site.wishes) == {"gold"}


def test_a_directory_that_is_not_there_is_told_and_holds_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert names(given.context(profiles=tmp_path / "missing")) == []
    assert "missing: cannot be read: No such file or directory" in caplog.text
    assert names(given.context()) == []
