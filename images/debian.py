"""Debian root file systems made by debootstrap, for machines that have no registry to pull a base image from.

The tree is slimmed in the way of Debian's own slim images: no manuals, no translations, no package lists.
"""

import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from images.cache import build_once, cache_directory, content_key, remove
from images.host import require_packages, require_root, run, say

DEFAULT_MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
EXCLUDED = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian")
LEFTOVERS = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log/bootstrap.log",
    "var/log/dpkg.log",
    "var/log/alternatives.log",
)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """Debian's and the image format's name of this machine's architecture."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def mirror() -> str:
    """The Debian mirror of the machine's own apt sources: a site's mirror, where there is one."""
    if not shutil.which("apt-get"):
        return DEFAULT_MIRROR
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(ORIGIN) $(LABEL)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    for line in listing.stdout.splitlines():
        site, _, rest = line.partition(" ")
        if rest == "Debian Debian":
            return site
    return DEFAULT_MIRROR


def root_file_system(suite: str, packages: Sequence[str] = ()) -> Path:
    """A directory with a minimal Debian of that suite, made once and then kept."""
    key = content_key([Path(__file__)], suite, architecture(), *packages)
    target = cache_directory() / "debian" / f"{suite}-{key}"

    def build(partial: Path) -> None:
        require_root("making a base image")
        require_packages({"debootstrap": "debootstrap", KEYRING: "debian-archive-keyring"})
        say(f"debootstrap {suite} (about half a minute)")
        # in a mount namespace of its own, so that a killed run leaves no /proc mounted in the tree
        command = ["unshare", "--mount", "debootstrap", "--variant=minbase", f"--keyring={KEYRING}"]
        if packages:
            command.append(f"--include={','.join(packages)}")
        run([*command, suite, partial, mirror()], env={"DEBIAN_FRONTEND": "noninteractive"})
        _slim(partial)

    return build_once(target, build)


def _slim(root: Path) -> None:
    for name in (*EXCLUDED, *LEFTOVERS):
        remove(root / name)
    # apt wants these back; the rule keeps later installs as slim as this one
    for name in ("var/cache/apt/archives/partial", "var/lib/apt/lists/partial"):
        (root / name).mkdir(parents=True)
    rules = "".join(f"path-exclude /{name}/*\n" for name in EXCLUDED)
    (root / "etc/dpkg/dpkg.cfg.d/slim").write_text(rules)
    # device nodes and the machine's resolver are the runtime's business
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/hostname").unlink(missing_ok=True)
    for device in (root / "dev").iterdir():
        remove(device)
