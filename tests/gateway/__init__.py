"""The Gateway API's own CRDs, out of its Go module, which go.sum beside this file pins."""

import json
import os
import subprocess
from pathlib import Path

from tests.cluster.errors import ClusterError

HERE = Path(__file__).parent
MODULE = "sigs.k8s.io/gateway-api"


def crd(plural: str) -> Path:
    """The file of one CRD of the standard channel."""
    directory = module_directory(HERE, MODULE) / "config" / "crd" / "standard"
    return directory / f"gateway.networking.k8s.io_{plural}.yaml"


def module_directory(pinned: Path, module: str) -> Path:
    """The files of a Go module, as the go.sum in a directory pins it."""
    answer = subprocess.run(
        ["go", "mod", "download", "-json", module],
        cwd=pinned,
        env=os.environ | {"GOFLAGS": "", "GOWORK": "off"},
        capture_output=True,
        text=True,
    )
    if answer.returncode:
        raise ClusterError(f"go cannot fetch {module}: {answer.stderr or answer.stdout}")
    return Path(json.loads(answer.stdout)["Dir"])
