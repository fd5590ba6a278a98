"""Directories seen as repositories: revisions, commits and listings computed from the files themselves."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

DEFAULT_BRANCH = "master"


class Repositories:
    """<root>/<owner>/<name>/ is master, <root>/<owner>/<name>@<tag>/ another revision."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._lock = threading.Lock()
        self._sums: dict[tuple[str, int, int], str] = {}
        self._commits: dict[Path, str] | None = None

    def freeze(self) -> None:
        """Nothing changes any more: a commit is computed once, not for each request, which takes long of many files."""
        self._commits = {}

    def exists(self, repo: str) -> bool:
        return bool(self.revisions(repo))

    def revisions(self, repo: str) -> dict[str, Path]:
        owner, _, name = repo.partition("/")
        if not owner or not name or ".." in repo or "/" in name or "@" in name:
            return {}
        found: dict[str, Path] = {}
        parent = self._root / owner
        for directory in sorted(parent.iterdir()) if parent.is_dir() else []:
            base, at, tag = directory.name.partition("@")
            if base == name and directory.is_dir():
                found[tag if at else DEFAULT_BRANCH] = directory
        return found

    def resolve(self, repo: str, revision: str) -> Path | None:
        """A branch, a tag or a commit."""
        known = self.revisions(repo)
        if revision in known:
            return known[revision]
        for directory in known.values():
            if self.commit(directory) == revision:
                return directory
        return None

    def file(self, directory: Path, path: str) -> Path | None:
        target = (directory / path).resolve()
        return target if directory.resolve() in target.parents and target.is_file() else None

    def commit(self, directory: Path) -> str:
        known = None if self._commits is None else self._commits.get(directory)
        if known is not None:
            return known
        rows = "".join(f"{e['Path']}\0{e['Size']}\0{e['Sha256']}\n" for e in self.entries(directory, "", True))
        commit = hashlib.sha1(rows.encode()).hexdigest()
        if self._commits is not None:
            self._commits[directory] = commit
        return commit

    def entries(self, directory: Path, below: str, recursive: bool) -> list[dict[str, Any]]:
        """Files, and directories without a trailing slash, as the hub lists them."""
        start = directory / below if below else directory
        found = sorted(start.rglob("*") if recursive else start.iterdir()) if start.is_dir() else []
        return [self._entry(directory, path) for path in found if path.is_file() or path.is_dir()]

    def _entry(self, directory: Path, path: Path) -> dict[str, Any]:
        relative = path.relative_to(directory).as_posix()
        if path.is_dir():
            return {"Name": path.name, "Path": relative, "Type": "tree", "Size": 0, "Sha256": ""}
        size = path.stat().st_size
        return {
            "Name": path.name,
            "Path": relative,
            "Type": "blob",
            "Size": size,
            "Sha256": self.sha256(path),
            "IsLFS": size > 1 << 20,
        }

    def sha256(self, path: Path) -> str:
        stat = path.stat()
        key = (str(path), stat.st_size, stat.st_mtime_ns)
        with self._lock:
            known = self._sums.get(key)
        if known is None:
            hasher = hashlib.sha256()
            with path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    hasher.update(block)
            known = hasher.hexdigest()
            with self._lock:
                self._sums[key] = known
        return known
