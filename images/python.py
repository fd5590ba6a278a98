"""Python environments and packages for builds, made with pip alone: a machine needs no other installer."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from images.host import BuildError, run, say

PIP = ["-m", "pip", "--disable-pip-version-check"]


def new_environment(directory: Path, version: str = "") -> Path:
    """Make a virtual environment with pip, of a Python version if one is named; return its interpreter."""
    run([_interpreter(version), "-m", "venv", directory])
    return directory / "bin/python"


def install_locked(python: Path, lock: Path) -> None:
    """Install exactly what a lock with hashes names, from wheels only and without byte code."""
    options = ["--no-deps", "--no-compile", "--require-hashes", "--only-binary", ":all:", "--progress-bar", "off"]
    run([python, *PIP, "install", *options, "-r", lock])


def download_locked(lock: Path, directory: Path) -> Path:
    """Download the one wheel that a lock with hashes names."""
    python = new_environment(directory / "environment")
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--progress-bar", "off"]
    run([python, *PIP, "download", *options, "--dest", directory, "-r", lock])
    return next(directory.glob("*.whl"))


def byte_compile(python: Path, packages: Path) -> None:
    """Compile to unchecked byte code, valid whatever the file times are; some packages carry files that cannot be."""
    jobs = str(os.cpu_count() or 1)
    command = [str(python), "-m", "compileall", "-q", "-j", jobs, "--invalidation-mode", "unchecked-hash"]
    done = subprocess.run([*command, str(packages)], capture_output=True, text=True, check=False)
    if done.returncode:
        files = re.findall(r"\*\*\* Error compiling '([^']+)'", done.stdout)
        say(f"left uncompiled: {', '.join(Path(file).name for file in files) or 'unknown files'}")


def make_relocatable(scripts: Path) -> None:
    """Let scripts find the Python beside them, because the tree is renamed into place and copied into an image."""
    here = '"$(dirname -- "$(realpath -- "$0")")/python"'
    shebang = f"#!/bin/sh\n'''exec' {here} \"$0\" \"$@\"\n' '''\n"
    for script in scripts.iterdir():
        if script.name.lower().startswith(("activate", "pip")):
            script.unlink()
        elif script.is_file() and script.read_bytes()[:2] == b"#!":
            script.write_text(re.sub(r"\A#!.*python.*\n", lambda _: shebang, script.read_text()))


def _interpreter(version: str) -> str:
    """A Python that can make virtual environments with pip; the system's first, for images have that one too."""
    name = f"python{version or 3}"
    for candidate in (f"/usr/bin/{name}", shutil.which(name), sys.executable):
        if candidate and Path(candidate).exists() and _usable(candidate, version):
            return candidate
    missing = f"Python {version}".strip()
    raise BuildError(f"{missing} with the venv module is missing: apt-get install {name} {name}-venv")


def _usable(python: str, version: str) -> bool:
    question = f"import ensurepip, sys; sys.exit(not '%d.%d' % sys.version_info[:2] == '{version}')"
    if not version:
        question = "import ensurepip"
    return subprocess.run([python, "-c", question], capture_output=True, check=False).returncode == 0
