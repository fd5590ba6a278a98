"""Makes the environment and the image of the real vLLM for CPU, out of Python and Debian packages alone.

x86_64 only: the slimming writes machine code, and the lock names that platform's wheels.
The environment runs in place (contract tests); the image is the same tree beside a small Debian root.
"""

import platform
from pathlib import Path

from images.archive import Layer, write_archive
from images.cache import REPOSITORY, build_once, cache_directory, content_key, remove
from images.debian import architecture, root_file_system
from images.host import BuildError, require_packages, run, say
from images.python import byte_compile, install_locked, make_relocatable, new_environment
from images.vllm_cpu.slim_torch import slim

VERSION = "0.32.0"
REFERENCE = f"docker.io/embedding-operator/vllm-cpu:{VERSION}"
PYTHON = "3.11"  # Debian bookworm's, so that one tree serves the machine and the image
HERE = Path(__file__).resolve().parent
LOCK = HERE / "requirements.lock"
ENVIRONMENT_INPUTS = (
    LOCK,
    HERE / "recipe.py",
    HERE / "slim_torch.py",
    HERE / "stubs.py",
    HERE / "symbols.py",
)
IMAGE_INPUTS = (
    HERE,
    REPOSITORY / "images/python.py",
    REPOSITORY / "images/archive.py",
    REPOSITORY / "images/debian.py",
)

# what the server needs to run on a few cores without a network
SERVER_ENV = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
IMAGE_ENV = {
    "PATH": "/opt/vllm/bin:/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 - a path of the image; the pod mounts something writable there
    "LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4",
    **SERVER_ENV,
}
# lscpu (util-linux) is called by vLLM, tcmalloc is what it recommends on CPU
ROOT_PACKAGES = ("python3", "libnuma1", "libstdc++6", "libtcmalloc-minimal4", "util-linux")
BUILD_PROGRAMS = {
    "gcc": "gcc",
    "readelf": "binutils",
    "strip": "binutils",
    "/usr/lib/x86_64-linux-gnu/libnuma.so.1": "libnuma1",
    # an unversioned libstdc++.so to link the stub with
    "/usr/bin/g++": "g++",
}
DEAD_WEIGHT = (
    "torch/include",
    "torch/share",
    "torch/bin/protoc*",
    "nvidia/*/include",
    "nvidia/*/lib/*.a",
    "pip",
    "pip-*",
)


def environment() -> Path:
    """The virtual environment with vLLM, made on first use (about two minutes, 600 MB of downloads)."""
    target = cache_directory() / "vllm-cpu" / content_key(ENVIRONMENT_INPUTS)
    return build_once(target, _build_environment)


def build_archive(archive: Path) -> None:
    """Write the image: a Debian root and the environment at /opt/vllm."""
    tree = environment()
    root = root_file_system("bookworm", ROOT_PACKAGES)
    say(f"writing {REFERENCE}")
    links = {f"bin/{name}": f"/usr/bin/python{PYTHON}" for name in ("python", "python3", f"python{PYTHON}")}
    settings = f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {PYTHON}\n"
    write_archive(
        archive,
        reference=REFERENCE,
        architecture=architecture(),
        config={
            # the form of the CANN base image, so that args without command behave as on Ascend
            "Entrypoint": ["/bin/bash", "-c", 'exec "$@"', "--"],
            "Cmd": ["/bin/bash"],
            "WorkingDir": "/",
            "Env": [f"{name}={value}" for name, value in IMAGE_ENV.items()],
        },
        layers=[Layer(root), Layer(tree, "/opt/vllm", links=links, files={"pyvenv.cfg": settings.encode()})],
    )


def _build_environment(target: Path) -> None:
    if platform.machine() != "x86_64":
        raise BuildError(f"the real vLLM for CPU is built on x86_64 only, and this machine is {platform.machine()}")
    require_packages(BUILD_PROGRAMS)
    say("vLLM for CPU: installing Python packages (600 MB to download, about a minute)")
    python = new_environment(target, PYTHON)
    # exact versions without dependencies: the lock leaves out on purpose what a CPU server never imports
    install_locked(python, LOCK)
    packages = target / f"lib/python{PYTHON}/site-packages"
    say("vLLM for CPU: taking CUDA out of torch, stripping")
    slim(packages / "torch/lib", users=[packages / "torchvision/_C.so"])
    _strip(packages)
    _add_distribution_name(packages)
    make_relocatable(target / "bin")
    say("vLLM for CPU: byte-compiling (about a minute)")
    byte_compile(python, packages)


def _strip(packages: Path) -> None:
    for pattern in DEAD_WEIGHT:
        for path in packages.glob(pattern):
            remove(path)
    heavy = [packages / "torch/lib/libtorch_cpu.so", packages / "torch/lib/libtorch_python.so"]
    for library in [*heavy, *(packages / "vllm").glob("*.so")]:
        run(["strip", "--strip-unneeded", library])


def _add_distribution_name(packages: Path) -> None:
    """The vllm command asks for its version under the name vllm, but the package is called vllm-cpu."""
    metadata = packages / f"vllm-{VERSION}+cpu.dist-info/METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n")
