"""`python -m tests.changed_operator run ...`: the operator as a next version of it could be.

What it renders, its scripts, a default and its built-in profiles are others than those of this checkout.
"""

from __future__ import annotations

import sys
from typing import Any

from embedding_operator import podscripts
from embedding_operator.cli import main
from embedding_operator.planning import choosing, profiles, resolve

VARIABLE = "RENDERED_BY"
_pod_template = choosing.pod_template
_sources = podscripts.sources


def pod_template(*arguments: Any) -> dict[str, Any]:
    """With one variable more, and more patience."""
    template = _pod_template(*arguments)
    (container,) = template["spec"]["containers"]
    container["env"].append({"name": VARIABLE, "value": "the next version"})
    container["livenessProbe"]["failureThreshold"] += 1
    return template


def sources() -> dict[str, str]:
    """Every script says something else."""
    return {name: f"{text}\n# the next version\n" for name, text in _sources().items()}


def change() -> None:
    choosing.pod_template = pod_template
    podscripts.sources = sources
    resolve.DEFAULT_DRAIN = "90s"
    for profile in profiles.BUILT_IN:
        profile["spec"]["pod"].setdefault("env", []).append({"name": "PROFILED_BY", "value": "the next version"})


if __name__ == "__main__":
    change()
    sys.exit(main(sys.argv[1:]))
