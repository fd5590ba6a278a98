"""What the documents name exists: files, modules, make targets, options, links, reasons, tests."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from embedding_operator.api import names
from embedding_operator.api.conditions import Reason
from embedding_operator.cli import main
from embedding_operator.commands import COMMANDS
from website.links import slug

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "operator" / "embedding_operator"
DOCUMENTS = sorted(
    path
    for place in (".", "docs", "images", "images/*", "tests/*", "benchmarks", "charts/*")
    for path in ROOT.glob(f"{place}/*.md")
)
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven")
MUST_NOT_EXIST = {"operator/__init__.py"}
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.M | re.S)
PATH = re.compile(r"(?<![\w./=-])[\w.-]+(?:/[\w.-]+)*/?(?![\w./<-])")
TARGETS = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.M))

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def prose(document: Path) -> str:
    return FENCED.sub("", document.read_text())


def inline_code(document: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(document))


def manifests(document: Path) -> list[dict[str, Any]]:
    """The whole manifests of our own kinds that a document shows."""
    blocks = [block for language, block in FENCED.findall(document.read_text()) if language == "yaml"]
    whole = [block for block in blocks if "apiVersion: embedding-operator.io/" in block]
    return [one for block in whole for one in yaml.safe_load_all(block) if one["apiVersion"].startswith("embedding-")]


def code(document: Path) -> list[str]:
    """What stands between backticks, and the lines of blocks, without their comments."""
    blocks = [block for _, block in FENCED.findall(document.read_text())]
    blocks += re.findall(r"(?:^    .*\n)+", prose(document), re.M)
    return inline_code(document) + [line.partition(" #")[0] for block in blocks for line in block.splitlines()]


def is_ours(path: str, places: tuple[Path, ...]) -> bool:
    """Whether this names a file of the repository: it begins in one of its directories, or it is source or a page."""
    first, slash, _ = path.partition("/")
    return bool(path.endswith((".py", ".md")) or (slash and any((place / first).is_dir() for place in places)))


@every_document
def test_every_file_that_is_named_exists(document: Path) -> None:
    places = (ROOT, PACKAGE, document.parent)
    named = {path for text in inline_code(document) for path in PATH.findall(text) if is_ours(path, places)}
    named |= {path for text in code(document) for path in PATH.findall(text) if is_ours(path, (ROOT,))}
    assert [path for path in sorted(named) if not any((place / path).exists() for place in places)] == [
        path for path in sorted(named) if path in MUST_NOT_EXIST
    ]


@every_document
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    named = [words for text in code(document) for words in re.findall(r"\bmake((?: [a-z][a-z0-9-]*)+)", text)]
    assert {target for words in named for target in words.split()} - TARGETS == set()


@every_document
def test_every_module_that_is_run_exists(document: Path) -> None:
    modules = {module for text in code(document) for module in re.findall(r"python3? -m ([a-z_.]+)", text)}
    places = [ROOT.joinpath(*module.split(".")) for module in modules - {"pytest", "venv", "pip"}]
    assert [place for place in places if not (place.is_dir() or place.with_suffix(".py").exists())] == []


@every_document
def test_every_test_that_is_named_exists(document: Path) -> None:
    for path, test in re.findall(r"(tests/[\w/]+\.py)::(\w+)", document.read_text()):
        assert f"def {test}(" in (ROOT / path).read_text()


def anchors(document: Path) -> set[str]:
    """The ends of links to headings, as the forges make them."""
    headings = re.findall(r"^#+ +(.+)$", prose(document), re.M)
    return {slug(heading) for heading in headings}


def links(document: Path) -> Iterator[tuple[Path, str]]:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield (document.parent / path if path else document), anchor


@every_document
def test_links_lead_somewhere(document: Path) -> None:
    for path, anchor in links(document):
        assert path.exists(), path
        assert not anchor or anchor in anchors(path), f"{path}#{anchor}"


@every_document
def test_options_of_the_command_line_exist(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (one.name for one in COMMANDS):
        called = [text for text in code(document) if f"embedding-operator {command} " in text]
        options = {option for text in called for option in re.findall(r"(?<!\S)--[a-z-]+", text)}
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert options <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))


@pytest.mark.parametrize("file", [*DOCUMENTS, *EXAMPLES], ids=lambda path: str(path.relative_to(ROOT)))
def test_kubectl_watches_one_kind_at_a_time_as_it_refuses_more(file: Path) -> None:
    assert re.findall(r"kubectl get \S+,\S+ .*(?:--watch|-w)\b", file.read_text()) == []


@pytest.mark.parametrize("kind", ["CustomResourceDefinition", "ValidatingAdmissionPolicy"])
def test_pages_count_right_what_an_installation_brings(kind: str) -> None:
    called = {
        "CustomResourceDefinition": "CustomResourceDefinitions",
        "ValidatingAdmissionPolicy": r"admission\s+policies",
    }
    brought = [one for one in yaml.safe_load_all((ROOT / "install.yaml").read_text()) if one["kind"] == kind]
    counted = {
        (str(document.relative_to(ROOT)), number)
        for document in DOCUMENTS
        for number in re.findall(rf"\b({'|'.join(NUMBERS)})\s+{called[kind]}", document.read_text())
    }
    assert counted
    assert {one for one in counted if one[1] != NUMBERS[len(brought)]} == set()


@pytest.mark.parametrize(
    ("page", "task"), [("offline", names.WORK_TASK), ("benchmarks", names.BENCHMARK_TASK)], ids=["jobs", "benchmarks"]
)
def test_pods_that_a_service_must_let_in_are_named_by_their_label(page: str, task: str) -> None:
    text = " ".join((ROOT / "docs" / f"{page}.md").read_text().split())
    assert f"podSelector: {{matchLabels: {{{names.NAME_LABEL}: {task}}}}}" in text


@every_document
def test_pictures_hold_no_semicolon_which_ends_a_statement_in_mermaid(document: Path) -> None:
    assert [
        block for language, block in FENCED.findall(document.read_text()) if language == "mermaid" and ";" in block
    ] == []


def test_every_reason_is_explained_to_users_and_no_other() -> None:
    pages = [(ROOT / "docs" / page).read_text() for page in ("users.md", "offline.md")]
    told = [page.partition("## Reading the status")[2].partition("\n## ")[0] for page in pages]
    table = [row.split("|")[1] for status in told for row in status.splitlines() if row.startswith("| `")]
    explained = [name for cell in table for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(explained) == sorted(Reason)


def test_every_document_is_reached_from_the_readme() -> None:
    reached, new = set(), {ROOT / "README.md"}
    while new:
        reached |= new
        new = {path.resolve() for page in new if page.suffix == ".md" for path, _ in links(page)} - reached
    assert [page for page in DOCUMENTS if page.parent.name == "docs" and page not in reached] == []
