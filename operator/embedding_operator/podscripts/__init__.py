"""The scripts that run inside serving pods, and the file names they have there.

Each one is stdlib-only, valid for Python 3.9 and complete in its file: pods get them as flat files in a
ConfigMap, beside an image that we do not make. Nothing in this package may import them but tests.
"""

from importlib import resources

SCRIPTS = ("launch", "middleware", "probe", "drain")


def flat_name(script: str) -> str:
    """The file's name in the pod. The directory is on PYTHONPATH, so a plain name could shadow a module."""
    return f"embedding_operator_{script}.py"


def sources() -> dict[str, str]:
    """File name in the pod -> source text: the data of the scripts' ConfigMap."""
    package = resources.files(__name__)
    return {flat_name(script): (package / f"{script}.py").read_text(encoding="utf-8") for script in SCRIPTS}
