"""Files where an Ascend host has its driver, so that pods that mount them start.

They go into the upper layers of a node's overlays and so exist on that node only. None of them works.
"""

from __future__ import annotations

from pathlib import Path

_NPU_SMI = """#!/bin/sh
# Stand-in: prints how many devices the node offers, in nothing like the real program's table.
echo "npu-smi stand-in: {npus} devices, none of them real"
"""


def write_driver_files(overlays: Path, npus: int) -> None:
    """Lay out driver, dcmi, npu-smi and the install record below ``overlays``."""
    local = overlays / "usr" / "local" / "upper"
    files = {
        local / "Ascend" / "driver" / "version.info": "Version=25.2.0-standin\n",
        local / "Ascend" / "driver" / "lib64" / "README": "stand-in: no driver is installed\n",
        local / "Ascend" / "driver" / "lib64" / "driver" / "README": "stand-in: no driver is installed\n",
        local / "Ascend" / "driver" / "lib64" / "common" / "README": "stand-in: no driver is installed\n",
        local / "dcmi" / "README": "stand-in: no driver is installed\n",
        local / "bin" / "npu-smi": _NPU_SMI.format(npus=npus),
        overlays / "etc" / "upper" / "ascend_install.info": "Driver_Install_Path_Param=/usr/local/Ascend\n",
    }
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (local / "bin" / "npu-smi").chmod(0o755)
