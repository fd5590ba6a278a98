"""A Kubernetes operator for multi-node Ascend-NPU embedding deployments."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("embedding-operator")
except PackageNotFoundError:  # running from a source tree that was never installed
    __version__ = "0.0.0+source"
