"""The scripts run beside software that is not ours: each one is alone, stdlib-only and old Python's."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedding_operator import podscripts
from embedding_operator.planning import flags, scripts

FILES: dict[str, str] = scripts.config_map("default", podscripts.sources())["data"]
SOURCES = {name: source for name, source in FILES.items() if name.endswith(".py")}
PARTS = {f"{scripts.PREFIX}{part}" for part in podscripts.PARTS}  # of the middleware, which imports them
LOADED = {f"{scripts.PREFIX}{name}" for name in ("middleware", "lastwords")}  # by vLLM
ALONE = sorted(name for name in SOURCES if name.removesuffix(".py") not in {*PARTS, *LOADED})


def test_the_config_map_holds_scripts_and_templates_under_their_flat_names() -> None:
    flat = [*(f"{script}.py" for script in podscripts.SCRIPTS), *podscripts.TEMPLATES]
    assert sorted(FILES) == sorted(f"embedding_operator_{name}" for name in flat)


def test_every_script_is_in_the_config_map() -> None:
    written = {path.stem for path in Path(podscripts.__file__).parent.glob("*.py")} - {"__init__"}
    assert sorted(podscripts.SCRIPTS) == sorted(written)


def test_together_they_are_far_below_a_config_maps_limit() -> None:
    assert sum(map(len, FILES.values())) < 64 * 1024


@pytest.mark.parametrize("name", SOURCES)
def test_a_script_is_valid_for_python_3_9(name: str) -> None:
    ast.parse(SOURCES[name], filename=name, feature_version=(3, 9))


@pytest.mark.parametrize("name", SOURCES)
def test_a_script_imports_the_standard_library_only_and_parts_of_the_middleware(name: str) -> None:
    imported = set()
    for node in ast.walk(ast.parse(SOURCES[name])):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).partition(".")[0])
    assert imported <= sys.stdlib_module_names | (set() if name in ALONE else PARTS)


@pytest.mark.parametrize("name", SOURCES)
def test_a_script_shadows_no_module_of_the_standard_library(name: str) -> None:
    assert Path(name).stem not in sys.stdlib_module_names


@pytest.mark.parametrize("name", ALONE)
def test_a_script_runs_alone_and_isolated(name: str, tmp_path: Path) -> None:
    script = tmp_path / name
    script.write_text(SOURCES[name])
    variables = {"PATH": os.environ["PATH"], "EMBEDDING_OPERATOR_DRAIN_FLAG": str(tmp_path / "draining")}
    ended = subprocess.run(
        [sys.executable, "-I", str(script)], env=variables, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2, ended.stderr  # without arguments they say what they need
    assert "Traceback" not in ended.stderr


def test_the_middleware_and_its_parts_lie_flat_on_the_python_path_and_nothing_else_is_needed(tmp_path: Path) -> None:
    for name, source in SOURCES.items():
        (tmp_path / name).write_text(source)
    module, _, name = flags.MIDDLEWARE.partition(".")
    code = f"import sys; from {module} import {name}; {name}(app=None); print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-S", "-s", "-c", code],
        env={"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert PARTS.issubset(ended.stdout.split())
    assert "embedding_operator" not in ended.stdout.split()
