"""Reads what a vLLM release understands out of its own source, without importing it: flags of `vllm serve`, keys of
`--pooler-config`, fields of requests. The files beside this one are what it printed.

    python -m tests.releases.read SOURCE [ORIGIN]     # an unpacked source distribution, and where it is from
"""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
FLAG_SOURCES = ("vllm/engine/arg_utils.py", "vllm/entrypoints/cli/serve.py", "vllm/entrypoints/**/cli_args.py")
FRONTEND = ("BaseFrontendArgs", "FrontendArgs")  # each of their fields is a flag
REQUESTS = {"embed": "EmbeddingCompletionRequest", "rerank": "RerankRequest", "classify": "ClassificationRequest"}
# requests that are a union of forms in some releases: the form that takes plain text
PLAIN_FORMS = {"ClassificationRequest": "ClassificationCompletionRequest"}


def trees(source: Path, *patterns: str) -> Iterator[ast.Module]:
    for pattern in patterns:
        for path in sorted(source.glob(pattern)):
            yield ast.parse(path.read_text())


def fields(node: ast.ClassDef) -> Iterator[str]:
    """The annotated attributes of a class: fields of a dataclass or of a pydantic model."""
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id


def flags(source: Path) -> list[str]:
    """The long flags of `vllm serve`, without the `--no-` forms of switches."""
    found: set[str] = set()
    for tree in trees(source, *FLAG_SOURCES):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
                words = [word.value for word in node.args if isinstance(word, ast.Constant)]
                found |= {word for word in words if isinstance(word, str) and word.startswith("--")}
            elif isinstance(node, ast.ClassDef) and node.name in FRONTEND:
                found |= {f"--{name.replace('_', '-')}" for name in fields(node)}
    return sorted(found)


def request_fields(source: Path) -> dict[str, list[str]]:
    """The fields of a request of each task, those of its base classes included."""
    classes: dict[str, ast.ClassDef] = {}
    for tree in trees(source, "vllm/entrypoints/openai/**/protocol.py", "vllm/entrypoints/pooling/**/protocol.py"):
        classes.update((node.name, node) for node in ast.walk(tree) if isinstance(node, ast.ClassDef))

    @cache
    def of(name: str) -> frozenset[str]:
        if name not in classes:
            return frozenset()
        bases = [base.id for base in classes[name].bases if isinstance(base, ast.Name)]
        return frozenset(fields(classes[name])).union(*map(of, bases)) - {"model_config", "field_names"}

    return {task: sorted(of(name) or of(PLAIN_FORMS.get(name, name))) for task, name in REQUESTS.items()}


def pooler_keys(source: Path) -> list[str]:
    nodes = [node for tree in trees(source, "vllm/config/pooler.py") for node in ast.walk(tree)]
    return sorted(next(set(fields(n)) for n in nodes if isinstance(n, ast.ClassDef) and n.name == "PoolerConfig"))


def read(source: Path, origin: str) -> dict[str, Any]:
    return {
        "origin": origin,
        "flags": flags(source),
        "poolerKeys": pooler_keys(source),
        "requestFields": request_fields(source),
    }


def recorded(version: str) -> dict[str, Any]:
    """What was read of a release."""
    found: dict[str, Any] = yaml.safe_load((HERE / f"{version}.yaml").read_text())
    return found


def versions() -> list[str]:
    return [path.stem for path in HERE.glob("*.yaml")]


if __name__ == "__main__":
    yaml.safe_dump(read(Path(sys.argv[1]), " ".join(sys.argv[2:])), sys.stdout, sort_keys=False, width=110)
