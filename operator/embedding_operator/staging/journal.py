"""What a staging directory holds that has been checked, so that a killed run need not hash it again.

One JSON line per checked file, written after the file's bytes were synced. A torn last line is ignored.
A journal that belongs to another listing makes the whole staging directory worthless, and so does a link in it,
which no stager makes: it is emptied.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

from .layout import Layout, fsync_path, make_directories
from .manifest import ManifestFile
from .select import RemoteFile


class Journal:
    """Checked files of one staging directory."""

    def __init__(self, layout: Layout, listing: str) -> None:
        self._layout = layout
        self._listing = listing
        self._lock = threading.Lock()
        self._checked: dict[str, dict[str, object]] = {}
        self._torn = False

    def open(self) -> None:
        """Read what an earlier run left; start afresh if it staged something else."""
        lines = self._read_lines()
        if lines and lines[0].get("listing") == self._listing and not self._is_tampered_with():
            self._checked = {str(line["path"]): line for line in lines[1:] if "path" in line}
        else:
            self._start_afresh()

    def _start_afresh(self) -> None:
        for leftover in (self._layout.files, self._layout.partials):
            if leftover.is_symlink() or leftover.is_file():
                leftover.unlink()
            shutil.rmtree(leftover, ignore_errors=True)
        self._layout.journal.unlink(missing_ok=True)
        self._torn = False
        make_directories(self._layout.files, self._layout.root)
        self._append({"listing": self._listing})
        fsync_path(self._layout.staging)  # a journal that is lost in a power cut costs every byte that it vouches for

    def _is_tampered_with(self) -> bool:
        """Whether somebody planted a link that a write or a rename would follow, or a file where directories are."""
        places = [self._layout.journal, self._layout.files, self._layout.partials]
        if any(place.is_file() for place in places[1:]):
            return True
        for top in places[1:]:
            for parent, directories, names in os.walk(top):
                places += [Path(parent) / name for name in (*directories, *names)]
        return any(place.is_symlink() for place in places)

    def checked(self, file: RemoteFile) -> ManifestFile | None:
        """The file, if it was hashed, fits the listing, and has not been touched since."""
        line = self._checked.get(file.path)
        if line is None or line.get("size") != file.size:
            return None
        sha256 = str(line.get("sha256"))
        if file.sha256 is not None and sha256 != file.sha256:
            return None
        try:
            found = self._layout.final(file.path).lstat()
        except OSError:
            return None
        if found.st_size != file.size or found.st_mtime_ns != line.get("mtimeNs"):
            return None
        return ManifestFile(file.path, file.size, sha256)

    def record(self, file: ManifestFile) -> None:
        mtime = self._layout.final(file.path).lstat().st_mtime_ns
        self._append({"path": file.path, "size": file.size, "sha256": file.sha256, "mtimeNs": mtime})

    def _append(self, line: dict[str, object]) -> None:
        with self._lock, self._layout.journal.open("a", encoding="utf-8") as handle:
            handle.write("\n" if self._torn else "")
            self._torn = False
            handle.write(json.dumps(line) + "\n")
            handle.flush()
            os.fsync(handle.fileno())

    def _read_lines(self) -> list[dict[str, object]]:
        try:
            text = self._layout.journal.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        self._torn = bool(text) and not text.endswith("\n")
        lines: list[dict[str, object]] = []
        for raw in text.splitlines():
            try:
                line = json.loads(raw)
            except ValueError:
                continue
            if isinstance(line, dict):
                lines.append(line)
        return lines
