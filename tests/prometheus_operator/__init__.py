"""The Prometheus Operator's own CRDs, out of its Go module, which go.sum beside this file pins."""

from pathlib import Path

from tests.gateway import module_directory

HERE = Path(__file__).parent
MODULE = "github.com/prometheus-operator/prometheus-operator"


def crd(plural: str) -> Path:
    """The file of one CRD."""
    directory = module_directory(HERE, MODULE) / "example" / "prometheus-operator-crd"
    return directory / f"monitoring.coreos.com_{plural}.yaml"
