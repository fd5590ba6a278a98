"""MkDocs' hooks: documents that lie outside docs/ become pages, and links between files become links between pages."""

from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from website import links
from website.mermaid import script

REPOSITORY = Path(__file__).resolve().parent.parent


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages and files that the repository keeps elsewhere, and the examples as one page."""
    for source, page in links.PAGES.items():
        text = examples() if source == "examples" else (REPOSITORY / source).read_text()
        files.append(File.generated(config, page, content=text))
    for source, target in links.FILES.items():
        files.append(File.generated(config, target, content=(REPOSITORY / source).read_text()))
    if found := script():
        files.append(File.generated(config, "assets/mermaid.js", content=found.read_text()))
        config.extra_javascript.append("assets/mermaid.js")
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Links lead to where things are on the site."""
    address = page.file.src_uri
    try:
        return links.rewrite(markdown, links.source(address), address)
    except links.DeadLinkError as error:
        raise PluginError(str(error)) from None


def examples() -> str:
    """One page with every manifest of examples/."""
    lines = ["# Examples", "Manifests to begin from; each is tried by the tests."]
    for path in sorted((REPOSITORY / "examples").rglob("*.yaml")):
        name = path.relative_to(REPOSITORY).as_posix()
        lines += [f"## {links.heading(name)}", f'```yaml title="{name}"\n{path.read_text()}```']
    return "\n\n".join(lines) + "\n"
