"""Which files are staged: a table of repositories and choices."""

from __future__ import annotations

import pytest

from embedding_operator.staging.errors import StageError
from embedding_operator.staging.select import RemoteFile, select


def choose(paths: str, include: str = "", exclude: str | None = None) -> str:
    files = [RemoteFile(path, 10) for path in paths.split()]
    chosen = select(files, include.split(), None if exclude is None else exclude.split())
    return " ".join(file.path for file in chosen.files)


@pytest.mark.parametrize(
    ("repository", "staged"),
    [
        ("config.json model.safetensors pytorch_model.bin", "config.json model.safetensors"),
        ("config.json pytorch_model.bin", "config.json pytorch_model.bin"),
        ("model.safetensors tf_model.h5 flax_model.msgpack rust_model.ot m.gguf c.pth", "model.safetensors"),
        ("model.safetensors onnx/model.onnx onnx/config.json openvino/openvino_model.bin", "model.safetensors"),
        ("onnx/model.onnx config.json", "config.json onnx/model.onnx"),
        # A module whose weights exist as .bin only is needed, though the root has safetensors.
        ("model.safetensors model.bin 2_Dense/pytorch_model.bin", "2_Dense/pytorch_model.bin model.safetensors"),
        ("model.safetensors 2_Dense/model.safetensors 2_Dense/pytorch_model.bin",
         "2_Dense/model.safetensors model.safetensors"),
        ("a.txt .gitattributes .gitignore .github/x.yml", "a.txt"),
        ("model.safetensors onnx_export.json", "model.safetensors onnx_export.json"),
        # Our own manifest takes that name at the top, and only there.
        ("model.safetensors manifest.json sub/manifest.json", "model.safetensors sub/manifest.json"),
    ],
)  # fmt: skip
def test_without_a_wish_the_server_s_format_is_staged(repository: str, staged: str) -> None:
    assert choose(repository) == staged


@pytest.mark.parametrize(
    ("include", "exclude", "staged"),
    [
        ("*", "", ".gitattributes config.json m.bin m.safetensors onnx/m.onnx"),
        ("*.bin *.json", "", "config.json m.bin"),
        ("onnx/*", "", "onnx/m.onnx"),
        ("onnx/", "", "onnx/m.onnx"),
        ("*.onnx", "", "onnx/m.onnx"),
        ("*", "*.bin onnx/", ".gitattributes config.json m.safetensors"),
        ("", "*.json", "m.safetensors"),
        ("", "", ".gitattributes config.json m.bin m.safetensors onnx/m.onnx"),  # written, and empty
        ("m.*", "m.bin", "m.safetensors"),
        ("[cm]*.[js]*", "", "config.json m.safetensors"),
    ],
)
def test_include_overrides_the_defaults_and_exclude_wins(include: str, exclude: str, staged: str) -> None:
    repository = "config.json m.safetensors m.bin onnx/m.onnx .gitattributes"
    assert choose(repository, include, exclude) == staged


def test_the_saving_is_told() -> None:
    selection = select([RemoteFile("m.safetensors", 100), RemoteFile("m.bin", 99), RemoteFile("m.h5", 1)], (), None)
    assert (selection.bytes, selection.bytes_left_out) == (100, 100)
    assert [file.path for file in selection.left_out] == ["m.bin", "m.h5"]


@pytest.mark.parametrize(
    ("include", "words"), [(["*.pt"], "look at include and exclude"), ([], "the repository holds no weights")]
)
def test_a_choice_of_nothing_is_refused(include: list[str], words: str) -> None:
    with pytest.raises(StageError, match=words) as caught:
        select([RemoteFile(".gitattributes", 1)], include, None)
    assert caught.value.reason == "BadSource"
