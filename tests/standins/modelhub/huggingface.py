"""The other API of the stand-in: that of the Hugging Face Hub, over the same directories and with the same faults.

What is `master` there is called `main` here. Files in LFS are those that a repository's `.gitattributes` would name.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .faults import LISTING
from .repository import DEFAULT_BRANCH

if TYPE_CHECKING:
    from .server import Handler

LFS = (".safetensors", ".bin", ".onnx", ".h5")


def answer(handler: Handler, steps: list[str], query: dict[str, str]) -> bool:
    """Answer if the address is one of this API; `steps` are the unquoted parts of the path."""
    if steps[:2] == ["api", "models"] and len(steps) >= 4:
        repo, rest = "/".join(steps[2:4]), steps[4:]
        if rest and rest[0] not in ("revision", "tree"):
            return False
        _api(handler, repo, rest, query)
        return True
    if len(steps) >= 5 and steps[2] == "resolve":
        _resolve(handler, "/".join(steps[:2]), steps[3], "/".join(steps[4:]))
        return True
    return False


def _api(handler: Handler, repo: str, rest: list[str], query: dict[str, str]) -> None:
    handler.record(LISTING)
    if handler.spoiled(LISTING) or not _opened(handler, repo):
        return None
    directory = _directory(handler, repo, rest[1] if len(rest) > 1 else "main")
    if directory is None:
        return None
    repositories = handler.hub.repositories
    rows = [_row(handler, directory, entry) for entry in repositories.entries(directory, "", True)]
    if rest[:1] == ["tree"]:
        return _page(handler, rows + [fault.value for fault in handler.hub.faults.take_all("extra-entry")], query)
    names = [{"rfilename": row["path"]} for row in rows if row["type"] == "file"]
    sha = "" if handler.hub.faults.take("no-commit", LISTING) else repositories.commit(directory)
    return handler.answer_json(
        {
            "id": repo,
            "modelId": repo,
            "sha": sha,
            "private": False,
            "gated": repo in handler.hub.gated,
            "siblings": names,
        }
    )


def _page(handler: Handler, rows: list[dict[str, Any]], query: dict[str, str]) -> None:
    """All rows, or as many as a page has, with the next one's address in a header."""
    faults = handler.hub.faults
    limit = faults.take("page-size", LISTING)
    start = int(query.get("cursor", "0"))
    end = start + int(limit.value) if limit else len(rows)
    headers = {}
    if end < len(rows) or faults.take("endless-pages", LISTING):
        base = "https://other.invalid" if faults.take("foreign-pages", LISTING) else f"http://{handler.headers['Host']}"
        path = handler.path.partition("?")[0]
        headers["Link"] = f'<{base}{path}?recursive=true&cursor={end if end < len(rows) else start}>; rel="next"'
    handler.answer_raw(200, json.dumps(rows[start:end]).encode(), headers)


def _row(handler: Handler, directory: Path, entry: dict[str, Any]) -> dict[str, Any]:
    path, size = entry["Path"], entry["Size"]
    if entry["Type"] == "tree":
        return {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}
    faults = handler.hub.faults
    wrong = hashlib.sha256(path.encode()).hexdigest() if faults.take("wrong-sha256", path) else None
    if path.endswith(LFS):
        lfs = {"oid": wrong or entry["Sha256"], "size": size, "pointerSize": 134}
        return {"type": "file", "oid": "1" * 40, "size": size, "path": path, "lfs": lfs}
    return {"type": "file", "oid": wrong[:40] if wrong else _blob_id(directory / path), "size": size, "path": path}


def _resolve(handler: Handler, repo: str, revision: str, path: str) -> None:
    record = handler.record(path)
    if handler.spoiled(path) or not _opened(handler, repo):
        return None
    if repo in handler.hub.gated and handler.token() != handler.hub.gated[repo]:
        return _refuse(handler, 403 if handler.token() else 401, "GatedRepo", f"Access to model {repo} is restricted.")
    directory = _directory(handler, repo, revision)
    if directory is None:
        return None
    repositories = handler.hub.repositories
    file = repositories.file(directory, path)
    if file is None:
        return _refuse(handler, 404, "EntryNotFound", "Entry not found")
    headers = {"X-Repo-Commit": repositories.commit(directory)}
    if not path.endswith(LFS):
        return handler.send_file(path, file, record, headers | {"ETag": f'"{_blob_id(file)}"'})
    host = (handler.headers.get("Host") or "127.0.0.1").rsplit(":", 1)[0]
    commit = headers["X-Repo-Commit"]
    location = f"http://{host}:{handler.hub.cdn_port}/cdn/{repo}/{commit}/{quote(path)}?Signature=only-for-this-link"
    headers |= {
        "Location": location,
        "X-Linked-Size": str(file.stat().st_size),
        "X-Linked-ETag": f'"{repositories.sha256(file)}"',
    }
    return handler.answer_raw(302, b"", headers)


def _opened(handler: Handler, repo: str) -> bool:
    """A repository that does not exist looks like one that is private."""
    exists = handler.hub.repositories.exists(repo)
    if exists and handler.hub.tokens.get(repo) in (None, handler.token()):
        return True
    _refuse(handler, 404 if handler.token() and not exists else 401, "RepoNotFound", "Repository not found")
    return False


def _directory(handler: Handler, repo: str, revision: str) -> Path | None:
    found = handler.hub.repositories.resolve(repo, DEFAULT_BRANCH if revision == "main" else revision)
    if found is None:
        _refuse(handler, 404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return found


def _refuse(handler: Handler, status: int, code: str, words: str) -> None:
    body = json.dumps({"error": words}).encode()
    handler.answer_raw(status, body, {"X-Error-Code": code, "X-Error-Message": words})


def _blob_id(file: Path) -> str:
    data = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
