"""The documentation site: what it shows is what the documents say, and it needs no other host."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt

from tests.unit.test_crds import FIELDS
from website import links, reference

ROOT = Path(__file__).resolve().parents[2]
# What both renderers of Markdown must agree on: that of the forges (CommonMark with tables) and that of the site.
STRUCTURE = ("h2", "h3", "li", "ol", "ul", "table", "tr", "pre", "em", "strong")


class Page(HTMLParser):
    """The tags and the text of a page's article, its anchors, its links, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self._inside = self._inside or tag == "article"
        if self._inside:
            self.tags.append(tag)
        if name := said.get("id"):
            self.anchors.add(name)
        if tag == "a" and (target := said.get("href")):
            self.links.add(target)
        if tag in ("script", "img", "link", "iframe") and said.get("rel") != "canonical":
            self.loads |= {value for key in ("src", "href") if (value := said.get(key))}

    def handle_data(self, data: str) -> None:
        self.text += data if self._inside else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "article"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """Every page of the site, by its path."""
    target = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "-q", "build", "--site-dir", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {path: Page(path.read_text()) for path in sorted(target.rglob("*.html"))}


def root_of(site: dict[Path, Page]) -> Path:
    [index] = [path for path in site if path.name == "index.html"]
    return index.parent


def source_of(page: Path, site: dict[Path, Page]) -> Path:
    """The document that became ``page``."""
    return ROOT / links.source(page.relative_to(root_of(site)).with_suffix(".md").as_posix())


def test_every_document_is_a_page_with_the_same_structure(site: dict[Path, Page]) -> None:
    renderer = MarkdownIt("commonmark").enable("table")
    seen = set()
    for path, page in site.items():
        source = source_of(path, site)
        if source.is_file():
            seen.add(source)
            expected = Page(f"<article>{renderer.render(source.read_text())}</article>").tags
            for tag in STRUCTURE:
                assert page.tags.count(tag) == expected.count(tag), f"<{tag}> of {source.relative_to(ROOT)}"
    documents = {*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in links.PAGES if name.endswith(".md"))}
    assert seen == documents


def test_links_lead_to_pages_and_anchors_that_are_there(site: dict[Path, Page]) -> None:
    dead = []
    for path, page in site.items():
        if path.name == "404.html":
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path not in ("", ".") else path
            known = site.get(target)
            if not target.exists() or (parts.fragment and known and unquote(parts.fragment) not in known.anchors):
                dead.append(f"{path.name}: {link}")
    assert dead == []


def test_pages_load_nothing_from_other_hosts(site: dict[Path, Page]) -> None:
    loaded = {target for page in site.values() for target in page.loads}
    assert {target for target in loaded if urlsplit(target).netloc} == set()
    assert any(target.endswith(".js") for target in loaded)


def test_the_api_reference_is_what_the_kinds_say() -> None:
    written = {path.name: path.read_text() for path in reference.TARGET.glob("*.md")}
    assert written == reference.pages(), "run `make manifests`"


def test_the_api_reference_shows_messages_as_the_api_server_says_them(site: dict[Path, Page]) -> None:
    shown = "".join(page.text for page in site.values())
    said = {rule["message"] for _, _, schema in FIELDS for rule in schema.get("x-kubernetes-validations", ())}
    assert any("<" in message for message in said)
    assert sorted(message for message in said if message not in shown) == []


def test_every_field_of_a_kind_is_in_its_reference() -> None:
    text = reference.pages()["embeddingservice.md"]
    assert "| [`source`](#specmodelsource) | object |" in text
    assert "`modelScope`" in text
    assert "(one of `Embed`, `Rerank`, `Classify`" in text
    assert "## status" in text


@pytest.mark.parametrize(
    ("markdown", "source", "page", "expected"),
    [
        ("[a](docs/users.md#tls)", "README.md", "index.md", "[a](users.md#tls)"),
        ("[a](../README.md)", "docs/users.md", "users.md", "[a](index.md)"),
        ("[a](../examples/minilm-cpu.yaml)", "docs/users.md", "users.md", "[a](reference/examples.md#minilm-cpu)"),
        ("[a](../examples)", "docs/users.md", "users.md", "[a](reference/examples.md)"),
        ("[a](../../CHANGELOG.md)", "docs/reference/x.md", "reference/x.md", "[a](../project/changes.md)"),
        (
            "[a](https://example.com/x.md) [b](#here)",
            "README.md",
            "index.md",
            "[a](https://example.com/x.md) [b](#here)",
        ),
        ("```\n[a](nowhere.py)\n```\n", "README.md", "index.md", "```\n[a](nowhere.py)\n```\n"),
    ],
)
def test_links_between_files_become_links_between_pages(markdown: str, source: str, page: str, expected: str) -> None:
    assert links.rewrite(markdown, source, page) == expected


def test_a_link_to_what_the_site_has_not_names_document_and_file() -> None:
    with pytest.raises(links.DeadLinkError, match=re.escape("docs/a.md: operator/x.py is not on the site")):
        links.rewrite("[a](../operator/x.py)", "docs/a.md", "a.md")
