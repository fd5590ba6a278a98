"""Image archives written without a container tool are right, and the same for the same trees."""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from images.archive import Layer, write_archive

REFERENCE = "docker.io/example/image:1"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "bin").mkdir(parents=True)
    (root / "bin/tool").write_text("#!/bin/sh\n")
    (root / "bin/tool").chmod(0o755)
    os.link(root / "bin/tool", root / "bin/other-name")
    (root / "bin/python").symlink_to("/on/this/machine/python")
    (root / "settings").write_text("here")
    return root


def written(archive: Path, *layers: Layer, **config: Any) -> tarfile.TarFile:
    write_archive(archive, reference=REFERENCE, config=config, architecture="amd64", layers=layers)
    return tarfile.open(archive)


def layer_of(image: tarfile.TarFile, number: int = 0) -> tuple[tarfile.TarFile, bytes]:
    manifest = json.load(image.extractfile("manifest.json"))  # type: ignore[arg-type]
    body = image.extractfile(manifest[0]["Layers"][number])
    assert body is not None
    raw = body.read()
    return tarfile.open(fileobj=io.BytesIO(raw)), raw


def test_manifest_and_configuration_name_what_is_there(tmp_path: Path, tree: Path) -> None:
    image = written(tmp_path / "a.tar", Layer(tree), Layer(tree, "/opt/x"), Cmd=["/bin/tool"])
    [entry] = json.load(image.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert entry["RepoTags"] == [REFERENCE]
    configuration = image.extractfile(entry["Config"]).read()  # type: ignore[union-attr]
    assert entry["Config"] == f"{hashlib.sha256(configuration).hexdigest()}.json"
    document = json.loads(configuration)
    assert (document["os"], document["architecture"], document["config"]) == ("linux", "amd64", {"Cmd": ["/bin/tool"]})
    digests = [f"sha256:{hashlib.sha256(layer_of(image, number)[1]).hexdigest()}" for number in range(2)]
    assert document["rootfs"]["diff_ids"] == digests


def test_a_layer_is_placed_below_its_prefix_with_all_parents(tmp_path: Path, tree: Path) -> None:
    layer, _ = layer_of(written(tmp_path / "a.tar", Layer(tree, "/opt/x")))
    assert layer.getnames()[:4] == ["opt", "opt/x", "opt/x/bin", "opt/x/settings"]
    assert layer.getmember("opt").isdir()


def test_files_keep_their_mode_and_lose_owner_and_time(tmp_path: Path, tree: Path) -> None:
    layer, _ = layer_of(written(tmp_path / "a.tar", Layer(tree)))
    tool = layer.getmember("bin/tool")
    assert (tool.mode, tool.uid, tool.gid, tool.uname, tool.mtime) == (0o755, 0, 0, "", 0)


def test_a_second_name_of_a_file_is_written_whole(tmp_path: Path, tree: Path) -> None:
    layer, _ = layer_of(written(tmp_path / "a.tar", Layer(tree)))
    for name in ("bin/tool", "bin/other-name"):
        member = layer.getmember(name)
        assert member.isreg()
        assert layer.extractfile(member).read() == b"#!/bin/sh\n"  # type: ignore[union-attr]


def test_links_and_files_can_differ_in_the_image(tmp_path: Path, tree: Path) -> None:
    replaced = Layer(tree, "/opt", links={"bin/python": "/usr/bin/python3"}, files={"settings": b"there"})
    layer, _ = layer_of(written(tmp_path / "a.tar", replaced))
    assert layer.getmember("opt/bin/python").linkname == "/usr/bin/python3"
    assert layer.extractfile("opt/settings").read() == b"there"  # type: ignore[union-attr]
    assert len(layer.getnames()) == len(set(layer.getnames()))


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path, tree: Path) -> None:
    written(tmp_path / "a.tar", Layer(tree))
    os.utime(tree / "settings", (1, 1))
    written(tmp_path / "b.tar", Layer(tree))
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "b.tar", "tree"]
