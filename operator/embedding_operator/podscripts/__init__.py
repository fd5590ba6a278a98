"""Scripts that run inside serving pods: standard library only, Python 3.9.

Pods get them as flat files in a ConfigMap (planning/scripts.py), beside images that we do not make. `launch`, `probe`
and `drain` are each alone: where PYTHONSAFEPATH is set, a script finds no other that lies beside it. So is `lastwords`,
which vLLM loads into each of its processes. What little they share each has a copy of; a test holds the copies equal.
`middleware` is made of PARTS, which lie on the path that `launch` sets. The operator reads all of them as text and must
never import one.
"""

from importlib import resources

PARTS = (
    "asgi",
    "state",
    "age",
    "closing",
    "space",
    "readiness",
    "keys",
    "inflight",
    "liveness",
    "prompts",
)
SCRIPTS = ("launch", "lastwords", "probe", "drain", "middleware", *PARTS)
TEMPLATES = ("qwen3_reranker.jinja", "qwen3_vl_reranker.jinja")
"""Prompts of rerankers, which are no part of their repositories."""

_HERE = f"from {__name__}."
_THERE = "from embedding_operator_"  # in a pod they lie flat, under the prefix that planning/scripts.py gives


def sources() -> dict[str, str]:
    """Script or template name -> source text, as this version of the operator ships it."""
    package = resources.files(__name__)
    scripts = {script: (package / f"{script}.py").read_text(encoding="utf-8") for script in SCRIPTS}
    flat = {script: source.replace(_HERE, _THERE) for script, source in scripts.items()}
    return flat | {name: (package / name).read_text(encoding="utf-8") for name in TEMPLATES}
