"""docs/security.md says what the chart does: who needs which right to write which field."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.guards import guards
from tests.rights import Right, granted

SECURITY = Path(__file__).resolve().parents[2] / "docs/security.md"
KINDS = {
    "EmbeddingService": "embeddingservices",
    "EmbeddingJob": "embeddingjobs",
    "ModelCache": "modelcaches",
    "EmbeddingBenchmark": "embeddingbenchmarks",
}


def rows(header: str) -> list[list[str]]:
    """The cells of the table with this header."""
    _, _, rest = SECURITY.read_text().partition(header)
    lines = rest.split("\n\n")[0].strip().splitlines()[1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_of_guarded_fields_is_that_of_the_policies() -> None:
    told: set[tuple[str, str, tuple[str, ...]]] = set()
    kind = ""
    for named, fields, right in rows("| kind | fields of `spec` | who writes them needs, in that namespace |"):
        kind = KINDS[named] if named else kind
        told.add((kind, " ".join(re.sub("`", "", right).split()), tuple(re.findall(r"`([\w.]+)`", fields))))
    assert told == {(kind, *row) for kind, guard in guards().items() for row in guarded(guard)}


def test_the_table_of_the_operators_rights_is_that_of_its_roles() -> None:
    told = {
        Right(*re.fullmatch(r"([^.]+)\.?(.*)", resource).group(2, 1), verb)  # type: ignore[union-attr]
        for resources, verbs, reason in rows("| on | it may | for |")
        for resource in re.findall(r"`([^`]+)`", resources)
        for verb in verbs.split(", ")
        if reason
    }
    assert told == granted()


def guarded(guard: dict[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    """The rows of a kind: the right, and the fields that need it."""
    found: list[tuple[str, tuple[str, ...]]] = []
    if source := guard.get("source"):
        sent = (source, *(field for field in guard["sentBy"] if field != source), "secretRef")
        found += [("get on that Secret", sent), ("get on that Secret", tuple(guard["secrets"]))]
    if identity := guard.get("identity"):
        found.append(("create on deployments.apps", (*guard["sentBy"], identity.partition("=")[0])))
    if profile := guard.get("profile"):
        found.append(("use on that RuntimeProfile", (profile,)))
    if loads := guard.get("loads"):
        found.append(("create on deployments.apps", (*loads, guard["arguments"].partition("=")[0])))
    for resource, fields in guard["create"].items():
        found.append((f"create on {resource}", tuple(field.partition("=")[0] for field in fields)))
    return found
