"""What building takes from the machine: Debian packages, a certificate bundle, and a screen to say things on.

Every refusal is a BuildError of one line that says what is missing and what to do.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

CERTIFICATE_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
OUTPUT_LINES_IN_ERROR = 15
STARTED = time.monotonic()


class BuildError(Exception):
    """Something that the person has to put right; the message is one line that says how."""


def say(message: str) -> None:
    """Print a progress line with the seconds since the start; on stderr, for stdout is for results."""
    print(f"[{time.monotonic() - STARTED:4.0f} s] {message}", file=sys.stderr, flush=True)


def run(command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program to its end and return its output; a failure carries the last lines of what it printed."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-OUTPUT_LINES_IN_ERROR:])
        raise BuildError(f"{command[0]} ended with code {done.returncode}:\n{tail}")
    return done.stdout


def require_root(what: str) -> None:
    """Refuse when not root, which debootstrap and chroot builds need."""
    if os.geteuid() != 0:
        raise BuildError(f"{what} needs root (debootstrap, chroot): run it as root, or build it with docker")


def require_packages(programs: Mapping[str, str]) -> None:
    """Install the Debian packages (values) of programs or paths (keys) that the machine does not have."""
    missing = sorted({package for name, package in programs.items() if not _present(name)})
    if not missing:
        return
    wanted = " ".join(missing)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise BuildError(f"missing programs: install the Debian packages {wanted} (apt-get install {wanted})")
    say(f"installing Debian packages: {wanted}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-q"], env=quiet)
    run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing], env=quiet)


def _present(name: str) -> bool:
    if name.startswith("/"):
        return Path(name).exists()
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def certificate_bundle() -> Path | None:
    """The certificate bundle that the machine names for its package index; for builds, never shipped."""
    for variable in CERTIFICATE_VARIABLES:
        if value := os.environ.get(variable):
            return Path(value)
    return None
