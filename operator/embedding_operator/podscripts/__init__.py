"""Scripts that run inside serving pods: standard library only, Python 3.9, each file alone.

Pods get them as flat files in a ConfigMap (planning/scripts.py), beside images that we do not make. The
operator reads them as text and must never import one.
"""

from importlib import resources

SCRIPTS = ("launch", "middleware", "probe", "drain")


def sources() -> dict[str, str]:
    """Script name -> source text, as this version of the operator ships it."""
    package = resources.files(__name__)
    return {script: (package / f"{script}.py").read_text(encoding="utf-8") for script in SCRIPTS}
