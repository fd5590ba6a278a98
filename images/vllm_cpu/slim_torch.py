"""Turns an installed CUDA build of torch into a CPU-only one: 530 MB less to load into every node.

libtorch_cuda.so and the NVIDIA libraries become stubs that define just the symbols which the libraries that
stay ask for. CUDA reports "no device" as before (the real libcudart stays); calling any other stub ends the
process with a message, so that it can never compute something wrong. Holds for torch 2.13.0 on x86_64 only.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from images.host import BuildError, say
from images.vllm_cpu import stubs
from images.vllm_cpu.symbols import Definition, missing_from, read_symbols

KEPT = (
    "libtorch_python.so",
    "libtorch_cpu.so",
    "libtorch.so",
    "libc10.so",
    "libc10_cuda.so",
    "libshm.so",
    "libtorch_global_deps.so",
)
CUDA = "libtorch_cuda.so"
DROPPED = ("libtorch_cuda_linalg.so", "libtorch_nvshmem.so", "libcaffe2_nvrtc.so")
# prefix of the symbols -> library that the kept ones were linked with
NVIDIA = {
    "cupti": "libcupti.so.13",
    "cudnn": "libcudnn.so.9",
    "cuFile": "libcufile.so.0",
    "nccl": "libnccl.so.2",
}


def slim(libraries: Path, users: Sequence[Path] = ()) -> None:
    """Replace the CUDA libraries in torch's lib directory; `users` are others that were linked with them."""
    defined_by_cuda: dict[str, Definition] = {}
    for name in (*DROPPED, CUDA):
        defined_by_cuda |= read_symbols(libraries / name).defined
    missing = missing_from([*(libraries / name for name in KEPT), *users])

    cuda = {name: defined_by_cuda[name] for name in missing if name in defined_by_cuda}
    _replace(libraries / CUDA, stubs.cuda_source(cuda), versions={}, link_with=["-lstdc++"])
    for prefix, library in NVIDIA.items():
        functions = [name for name in missing if name.startswith(prefix) and name not in defined_by_cuda]
        versions = {name: missing[name].split()[0] for name in functions if missing[name]}
        _replace(libraries / library, stubs.nvidia_source(functions), versions, link_with=["-nostdlib"])
    for name in DROPPED:
        (libraries / name).unlink()
    say(f"torch: {len(cuda)} CUDA symbols became stubs")


def _replace(library: Path, source: str, versions: Mapping[str, str], link_with: list[str]) -> None:
    """Assemble a stub and put it in a library's place, never writing through a link to a package cache."""
    work = library.parent / ".stub"
    work.mkdir(exist_ok=True)
    try:
        assembly, script, stub = work / "stub.s", work / "stub.map", work / library.name
        assembly.write_text(source)
        command = [
            "gcc",
            "-shared",
            "-nostartfiles",
            "-o",
            str(stub),
            f"-Wl,-soname,{library.name}",
            str(assembly),
        ]
        if versions:
            script.write_text(stubs.version_script(versions))
            command.append(f"-Wl,--version-script={script}")
        linked = subprocess.run([*command, *link_with], capture_output=True, text=True, check=False)
        if linked.returncode:
            raise BuildError(f"gcc could not link the stub of {library.name}:\n{linked.stderr.strip()[-2000:]}")
        library.unlink(missing_ok=True)
        stub.rename(library)
    finally:
        shutil.rmtree(work)
