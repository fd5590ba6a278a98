"""One writer at a time in a staging directory, without locks.

The Kubernetes API chooses the writer; this guards what it cannot see: a Job's pod on a node that is cut off,
or a second cluster or namespace on the same share. Shared file systems lie about locks, so a writer keeps
changing a small file instead. Clocks are never compared: a watcher waits until the content stands still.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .errors import StageError
from .layout import make_directories
from .settings import Settings

log = logging.getLogger(__name__)


class LostClaimError(StageError):
    """Another stager writes here now, or has published and tidied up."""

    def __init__(self, directory: Path) -> None:
        super().__init__("Internal", f"another stager took over {directory}; this one stops")


class Claim:
    """The right to write in one staging directory."""

    def __init__(self, path: Path, root: Path, settings: Settings) -> None:
        self._path = path
        self._root = root
        self._settings = settings
        self._writer = secrets.token_hex(8)
        self._beats = 0

    async def acquire(self, finished: Callable[[], bool]) -> bool:
        """Wait for the claim; False if meanwhile another writer finished the work."""
        told = False
        while True:
            if finished():
                return False
            seen = self._read()
            if seen is None and self._create():
                if finished():  # the other one published and tidied up between our two looks
                    self._forget()
                    return False
                return True
            if not told:
                log.info("another stager's notes are in %s: watching whether it still works", self._path.parent)
                told = True
            if seen is not None and not await self._changes(seen, finished):
                self._beat()
                await asyncio.sleep(self._settings.claim_beat / 2)  # of two takers, the last one stays
                if self.held():
                    log.info("the other stager is gone: going on with what it left")
                    return True

    async def keep(self) -> None:
        """Beat until cancelled; raises when another writer took over."""
        while True:
            await asyncio.sleep(self._settings.claim_beat)
            self.require()
            try:
                self._beat()
            except FileNotFoundError:  # the directory went away: another one published it
                raise LostClaimError(self._path.parent) from None

    def held(self) -> bool:
        seen = self._read()
        return seen is not None and json.loads(seen).get("writer") == self._writer

    def require(self) -> None:
        if not self.held():
            raise LostClaimError(self._path.parent)

    def release(self) -> None:
        """So that the next attempt need not wait."""
        with suppress(OSError):
            if self.held():
                self._path.unlink()

    def _forget(self) -> None:
        """Leave no trace of a claim that was not needed."""
        self._path.unlink()
        with suppress(OSError):  # somebody else is in it already
            self._path.parent.rmdir()

    async def _changes(self, seen: str, finished: Callable[[], bool]) -> bool:
        """Look so many times, not so long: a watcher that was frozen has seen nothing, whatever its clock says."""
        pause = self._settings.claim_beat / 2
        for _ in range(math.ceil(self._settings.claim_stale / pause)):
            await asyncio.sleep(pause)
            if self._read() != seen or finished():
                return True
        return False

    def _read(self) -> str | None:
        try:
            text = self._path.read_text(encoding="utf-8")
            json.loads(text)["writer"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return '{"writer": null}'  # torn by a crash: as good as a writer that stands still
        return text

    def _create(self) -> bool:
        make_directories(self._path.parent, self._root)
        try:
            with self._path.open("x", encoding="utf-8") as handle:
                handle.write(self._text())
        except FileExistsError:
            return False
        return True

    def _beat(self) -> None:
        self._beats += 1
        draft = self._path.with_name(f"{self._path.name}.{self._writer}")
        draft.write_text(self._text(), encoding="utf-8")
        draft.replace(self._path)

    def _text(self) -> str:
        return json.dumps({"writer": self._writer, "beats": self._beats})
