"""Where a file of the repository is found on the site, and links rewritten accordingly.

Documents link to each other as files, so that they can be read in any checkout. The site has the same documents under
other addresses; a link to a file that the site has not is a defect of the document, and ends the build.
"""

import posixpath
import re
from collections.abc import Mapping

# Documents outside docs/ -> their page. Everything in docs/ keeps its name.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "project/changes.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "tests/cluster/README.md": "project/test-cluster.md",
    "images/README.md": "project/images.md",
    "charts/embedding-operator/README.md": "reference/chart.md",
    "examples": "reference/examples.md",
}
_SOURCES = {page: source for source, page in PAGES.items()}
# Served as they are.
FILES = {
    "LICENSE": "project/LICENSE.txt",
    "demo/manifests/minilm.yaml": "reference/minilm.yaml",
}

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
_FENCE = re.compile(r"^( *)(```+|~~~+).*?^\1\2 *$", re.M | re.S)


class DeadLinkError(ValueError):
    """A document links to what the site has not."""


def address(path: str, files: Mapping[str, str]) -> str:
    """The site's path of the repository's ``path``; with an anchor for an example. Raises DeadLinkError."""
    if path in PAGES:
        return PAGES[path]
    if path in files:
        return files[path]
    if path.startswith("examples/"):
        return f"{PAGES['examples']}#{slug(heading(path))}"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    raise DeadLinkError(f"{path} is not on the site: name it in website/links.py")


def source(page: str) -> str:
    """The document of the repository that became the site's ``page``."""
    return _SOURCES.get(page, f"docs/{page}")


def heading(example: str) -> str:
    """What stands over an example on the page of all of them."""
    return example.removeprefix("examples/").removesuffix(".yaml").replace("/", "-")


def slug(title: str) -> str:
    """The end of a link to the heading ``title``, as forges and the site make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def rewrite(markdown: str, source: str, page: str, files: Mapping[str, str] = FILES) -> str:
    """``markdown`` of the file ``source``, with its relative links as they are from the site's ``page``."""

    def moved(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        try:
            target, _, inner = address(path, files).partition("#")
        except DeadLinkError as error:
            raise DeadLinkError(f"{source}: {error}") from None
        end = match[2] or (f"#{inner}" if inner else "")
        return posixpath.relpath(target, posixpath.dirname(page) or ".") + end

    pieces, last = [], 0
    for fence in _FENCE.finditer(markdown):
        pieces += [_LINK.sub(moved, markdown[last : fence.start()]), fence[0]]
        last = fence.end()
    return "".join([*pieces, _LINK.sub(moved, markdown[last:])])
