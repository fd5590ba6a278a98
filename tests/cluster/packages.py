"""The Debian packages behind the tool: installed once when root, named in one line when not."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.cluster.errors import ClusterError

_PROGRAMS = {
    "gcc": "gcc",
    "pkg-config": "pkg-config",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",
    "busybox": "busybox-static",
}
_LIBRARIES = {"libseccomp": "libseccomp-dev"}


def require(program: str, hint: str) -> None:
    """Raise unless ``program`` is on the PATH."""
    if shutil.which(program) is None:
        raise ClusterError(f"{program} is not installed: {hint}")


def require_root() -> None:
    """Raise unless this process may make namespaces, mounts and cgroups."""
    if os.geteuid() != 0:
        raise ClusterError("nodes need root (network namespaces, mounts, cgroups): run the same command as root")


def leaves_out_nodes(what: str) -> bool:
    """Whether ``what`` (a gerund, for the message) goes on without nodes: for an ordinary user, yes.

    Root never leaves anything out. CI may not: a green run there must have run everything.
    """
    if os.geteuid() == 0:
        return False
    if os.environ.get("CI", "").lower() in ("1", "true"):
        raise ClusterError(f"{what} needs root, and CI is set, where nothing may be left out: run it as root")
    return True


def require_file_system(directory: Path) -> None:
    """Raise where nodes could not keep their containers: overlays do not stack."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(directory)], capture_output=True, text=True).stdout.strip()
    if kind == "overlayfs":
        raise ClusterError(
            f"{directory} is on overlayfs, where nodes cannot keep containers; "
            "set EMBEDDING_OPERATOR_CACHE to a directory on ext4 or xfs"
        )


def ensure_for_nodes() -> None:
    """Have everything that building and running nodes takes."""
    install(_missing())


def install(wanted: list[str]) -> None:
    """Install Debian packages, saying so; nothing to do for an empty list."""
    if not wanted:
        return
    names = " ".join(wanted)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ClusterError(f"missing Debian packages: {names}; install them as root (apt-get install {names})")
    print(f"  installing Debian packages: {names}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-qq", "-y", "--no-install-recommends", "install", *wanted]
    for attempt in (1, 2):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode == 0:
            return
        if attempt == 1:  # a fresh image has no package lists
            subprocess.run(["apt-get", "-qq", "update"], env=environment, capture_output=True)
    reason = done.stderr.strip().rpartition("\n")[2] or f"exit code {done.returncode}"
    raise ClusterError(f"apt-get install {names} failed: {reason}")


def unpacked(package: str, store: Path) -> Path:
    """A directory with the files of a Debian package that is not installed, so that no service of it starts."""
    target = store / package
    if target.exists():
        return target
    with tempfile.TemporaryDirectory() as scratch:
        download = ["apt-get", "-qq", "download", package]
        if subprocess.run(download, cwd=scratch, capture_output=True).returncode:  # a fresh image has no package lists
            subprocess.run(["apt-get", "-qq", "update"], capture_output=True)
            done = subprocess.run(download, cwd=scratch, capture_output=True, text=True)
            if done.returncode:
                raise ClusterError(f"apt-get download {package} failed: {done.stderr.strip().splitlines()[-1:]}")
        [archive] = Path(scratch).glob("*.deb")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{package}-", dir=store))
        subprocess.run(["dpkg-deb", "--extract", str(archive), str(partial)], check=True)
        partial.replace(target)
    return target


def _missing() -> list[str]:
    absent = [package for program, package in _PROGRAMS.items() if _which(program) is None]
    return absent + [package for library, package in _LIBRARIES.items() if not _has_library(library)]


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _has_library(library: str) -> bool:
    if shutil.which("pkg-config") is None:
        return any(Path("/usr/lib").glob(f"*/{library}.so"))
    return subprocess.run(["pkg-config", "--exists", library]).returncode == 0
