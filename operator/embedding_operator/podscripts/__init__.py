"""Scripts that run inside serving pods: standard library only, Python 3.9, each file alone.

Pods get them as flat files in a ConfigMap (planning/scripts.py), beside images that we do not make. The
operator reads them as text and must never import one.
"""

from importlib import resources

SCRIPTS = ("launch", "middleware", "probe", "drain")
TEMPLATES = ("qwen3_reranker.jinja", "qwen3_vl_reranker.jinja")
"""Prompts of rerankers, which are no part of their repositories."""


def sources() -> dict[str, str]:
    """Script or template name -> source text, as this version of the operator ships it."""
    package = resources.files(__name__)
    scripts = {script: (package / f"{script}.py").read_text(encoding="utf-8") for script in SCRIPTS}
    return scripts | {name: (package / name).read_text(encoding="utf-8") for name in TEMPLATES}
