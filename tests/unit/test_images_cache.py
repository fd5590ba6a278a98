"""Built things are found again by content, and never half-built."""

import os
from pathlib import Path

import pytest

from images.cache import KEPT_PER_NAME, build_once, cache_directory, content_key, prune


def test_the_directory_follows_its_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EMBEDDING_OPERATOR_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_directory() == tmp_path / "home/.cache/embedding-operator"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg/embedding-operator"
    monkeypatch.setenv("EMBEDDING_OPERATOR_CACHE", str(tmp_path / "own"))
    assert cache_directory() == tmp_path / "own"


def test_the_key_follows_content_names_mode_and_words(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    file = tree / "deep/file"
    keys = []
    file.write_text("a")
    keys.append(content_key([tree]))
    keys.append(content_key([tree], "word"))
    file.write_text("b")
    keys.append(content_key([tree]))
    file.chmod(0o755)
    keys.append(content_key([tree]))
    (tree / "empty").touch()
    keys.append(content_key([tree]))
    assert len(set(keys)) == len(keys)
    assert content_key([tree]) == keys[-1]


def test_byte_code_is_no_content(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("x = 1")
    before = content_key([tmp_path])
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/module.pyc").write_bytes(b"compiled")
    assert content_key([tmp_path]) == before


def test_a_target_is_built_once(tmp_path: Path) -> None:
    calls: list[Path] = []

    def build(partial: Path) -> None:
        calls.append(partial)
        partial.write_text("built")

    target = tmp_path / "new/target"
    assert build_once(target, build) == target
    assert build_once(target, build).read_text() == "built"
    assert len(calls) == 1


def test_a_build_that_fails_leaves_no_target_and_the_next_starts_afresh(tmp_path: Path) -> None:
    target = tmp_path / "target"

    def fail(partial: Path) -> None:
        partial.mkdir()
        (partial / "half").touch()
        raise RuntimeError("no network")

    with pytest.raises(RuntimeError, match="no network"):
        build_once(target, fail)
    assert not target.exists()

    build_once(target, lambda partial: partial.mkdir())
    assert list(target.iterdir()) == []


def test_old_builds_are_removed(tmp_path: Path) -> None:
    for age in range(KEPT_PER_NAME + 2):
        build = tmp_path / f"operator-{age}.tar"
        build.touch()
        os.utime(build, (1000 - age, 1000 - age))
    (tmp_path / "standins-0.tar").touch()
    prune(tmp_path, "operator-*.tar")
    kept = [f"operator-{age}.tar" for age in range(KEPT_PER_NAME)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*kept, "standins-0.tar"]
