"""What the pod of a benchmark runs: one script beside software that is not ours, standard library only, Python 3.9.

It reaches the pod in a ConfigMap (planning/benchjob.py). The operator reads it as text and must never import it.
"""

from importlib import resources

SCRIPT = "drive"


def source() -> str:
    """The script, as this version of the operator ships it."""
    return (resources.files(__name__) / f"{SCRIPT}.py").read_text(encoding="utf-8")
