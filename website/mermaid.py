"""The library that draws the documents' pictures, so that the site loads nothing from elsewhere.

It comes from its npm package, pinned by its hash, and is kept beside the other downloads. Without npm the site is built
as well; the readers' browsers then fetch the library from where the theme has it.
"""

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from images.cache import cache_directory

PACKAGE = "mermaid@11.17.2"
SHA512 = (
    "57a2b70bc101744b0f1595d228c25eea9a50384371b87011afd1af1d7e21878e"
    "e501b84c443f6a7f8a042bb2e869143150b31af34feab798073bbdda0a578106"
)


def script() -> Path | None:
    """The library as one script; None where there is no npm. Raises ValueError for another than the pinned package."""
    target = cache_directory() / "site" / f"{PACKAGE}-{SHA512[:16]}.js"
    if target.exists():
        return target
    if not shutil.which("npm"):
        print("npm is missing: readers' browsers will load mermaid from elsewhere", file=sys.stderr)
        return None
    with tempfile.TemporaryDirectory() as scratch:
        packed = subprocess.run(
            ["npm", "pack", "--json", PACKAGE], cwd=scratch, capture_output=True, text=True, check=False
        )
        if packed.returncode:
            raise ValueError(f"npm pack {PACKAGE}: {packed.stderr.strip()}")
        archive = (Path(scratch) / json.loads(packed.stdout)[0]["filename"]).read_bytes()
    if (found := hashlib.sha512(archive).hexdigest()) != SHA512:
        raise ValueError(f"{PACKAGE} has the SHA-512 {found}, and not that which is pinned in website/mermaid.py")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        member = tar.extractfile("package/dist/mermaid.min.js")
        assert member is not None
        content = member.read()
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch_file = target.with_suffix(".part")
    scratch_file.write_bytes(content)
    scratch_file.replace(target)
    return target
