"""What is read of an image is what a container of it would see, and the rest is refused in a line."""

from pathlib import Path

import pytest

from images.archive import Layer, write_archive
from images.contents import files, read
from images.host import BuildError


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Of two layers: the upper one has another file `settings`, and removes `old` and what is in `gone`."""
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    below = Layer(nothing, "/opt", {"link": "/opt/settings"}, {"settings": b"below", "old": b"", "gone/file": b""})
    above = Layer(nothing, "/opt", files={"settings": b"above", ".wh.old": b"", ".wh.gone": b""})
    made = tmp_path / "image.tar"
    write_archive(made, reference="docker.io/example/image:1", config={}, architecture="amd64", layers=[below, above])
    return made


def test_an_upper_layer_hides_what_is_below_it(archive: Path) -> None:
    assert set(files(archive)) == {"opt", "opt/link", "opt/settings"}
    assert read(archive, "opt/settings") == b"above"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("opt/other", "image.tar holds no opt/other"),
        ("opt", "opt is no file"),
        ("opt/link", "opt/link leads out of its layer: name the file that it leads to"),
    ],
)
def test_what_cannot_be_read_is_said(archive: Path, name: str, message: str) -> None:
    with pytest.raises(BuildError, match=f"^{message}$"):
        read(archive, name)
