"""The scripts run beside software that is not ours: each one is alone, stdlib-only and old Python's."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedding_operator import podscripts
from embedding_operator.planning import scripts

FILES: dict[str, str] = scripts.config_map("default", podscripts.sources())["data"]
SOURCES = {name: source for name, source in FILES.items() if name.endswith(".py")}


def test_the_config_map_holds_scripts_and_templates_under_their_flat_names() -> None:
    assert sorted(FILES) == [
        "embedding_operator_drain.py",
        "embedding_operator_launch.py",
        "embedding_operator_middleware.py",
        "embedding_operator_probe.py",
        "embedding_operator_qwen3_reranker.jinja",
        "embedding_operator_qwen3_vl_reranker.jinja",
    ]


def test_together_they_are_far_below_a_config_maps_limit() -> None:
    assert sum(map(len, FILES.values())) < 64 * 1024


@pytest.mark.parametrize("name", SOURCES)
def test_a_script_is_valid_for_python_3_9(name: str) -> None:
    ast.parse(SOURCES[name], filename=name, feature_version=(3, 9))


@pytest.mark.parametrize("name", SOURCES)
def test_a_script_imports_the_standard_library_only(name: str) -> None:
    imported = set()
    for node in ast.walk(ast.parse(SOURCES[name])):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).partition(".")[0])
    assert imported <= sys.stdlib_module_names


@pytest.mark.parametrize("name", SOURCES)
def test_a_script_shadows_no_module_of_the_standard_library(name: str) -> None:
    assert Path(name).stem not in sys.stdlib_module_names


@pytest.mark.parametrize("name", SOURCES)
def test_a_script_runs_alone_and_isolated(name: str, tmp_path: Path) -> None:
    script = tmp_path / name
    script.write_text(SOURCES[name])
    variables = {"PATH": os.environ["PATH"], "EMBEDDING_OPERATOR_DRAIN_FLAG": str(tmp_path / "draining")}
    ended = subprocess.run(
        [sys.executable, "-I", str(script)], env=variables, capture_output=True, text=True, check=False
    )
    # Without arguments the middleware only defines itself, the others say what they need.
    expected = 0 if name == "embedding_operator_middleware.py" else 2
    assert ended.returncode == expected, ended.stderr
    assert "Traceback" not in ended.stderr
