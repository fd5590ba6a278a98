"""Files from the hub into the staging directory: parallel, resumed, and each hashed before it counts.

Network trouble is retried as long as bytes keep coming; wrong bytes are thrown away and fetched again a few
times, then refused. Nothing here touches the published directory.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from .bodies import Body
from .errors import StageError
from .journal import Journal
from .layout import Layout, fsync_path, make_directories, open_up
from .manifest import ManifestFile
from .pace import Pace
from .partial import MismatchError, PartialFile
from .progress import Progress, human
from .select import RemoteFile
from .settings import Settings
from .source import Source
from .threads import git_blob_id, in_thread
from .transport import StatusError, TransientError, Transport

log = logging.getLogger(__name__)

PIECE = 64 << 20

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class OtherFileError(MismatchError):
    """An answer announces another file than the listing; none of its bytes were taken."""


class Download:
    """Brings a selection of files into the staging directory."""

    def __init__(
        self,
        source: Source,
        transport: Transport,
        layout: Layout,
        journal: Journal,
        progress: Progress,
        settings: Settings,
        pace: Pace | None = None,
    ) -> None:
        self._source = source
        self._transport = transport
        self._layout = layout
        self._journal = journal
        self._progress = progress
        self._settings = settings
        self._pace = pace
        self._active: list[str] = []

    async def all(self, files: Sequence[RemoteFile], parallelism: int) -> list[ManifestFile]:
        """Every file, the biggest first so that none is left over alone at the end."""
        await in_thread(self._reclaim, files)
        self._check_space(files)
        turns = asyncio.Semaphore(parallelism)

        async def in_turn(file: RemoteFile) -> ManifestFile:
            async with turns:
                return await self._show(file)

        try:
            async with asyncio.TaskGroup() as group:
                ordered = sorted(files, key=lambda file: -file.size)
                tasks = [group.create_task(in_turn(file)) for file in ordered]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return sorted(task.result() for task in tasks)

    def _reclaim(self, files: Sequence[RemoteFile]) -> None:
        """A run that was killed between naming a file and noting it: hash it again instead of fetching it."""
        for file in files:
            final, partial = self._layout.final(file.path), self._layout.partial(file.path)
            if final.is_file() and not self._journal.checked(file):
                make_directories(partial.parent, self._layout.root)
                final.replace(partial)

    def _check_space(self, files: Sequence[RemoteFile]) -> None:
        missing = sum(file.size - self._present(file) for file in files)
        free = self._settings.free_bytes(self._layout.staging)
        if free is not None and missing > free:
            raise StageError(
                "DiskFull",
                f"{human(missing - free)} too little: {human(missing)} are still to be downloaded, and the volume has "
                f"{human(free)} free: enlarge the claim or remove models that are no longer used",
            )

    def _present(self, file: RemoteFile) -> int:
        if self._journal.checked(file):
            return file.size
        partial = self._layout.partial(file.path)
        return min(file.size, partial.stat().st_size) if partial.exists() else 0

    async def _show(self, file: RemoteFile) -> ManifestFile:
        self._active.append(file.path)
        self._progress.file = self._active[0]
        try:
            return await self._fetch(file)
        finally:
            self._active.remove(file.path)
            self._progress.file = self._active[0] if self._active else None

    async def _fetch(self, file: RemoteFile) -> ManifestFile:
        if checked := self._journal.checked(file):
            self._progress.credit(file.size)
            return checked
        for attempt in range(1, self._settings.checksum_attempts + 1):
            if attempt > 1:  # a mirror that is being filled, or a proxy's page of apology, takes a moment
                await asyncio.sleep(self._settings.delay(attempt - 1))
            partial = PartialFile(self._layout.partial(file.path), self._layout.root, self._settings.chunk)
            try:
                await self._complete(file, partial)
                return await in_thread(self._settle, file, partial)
            except MismatchError as error:
                wrong = str(error)
                log.warning("%s: %s (attempt %d)", file.path, wrong, attempt)
                self._progress.credit(-partial.offset)
                if not isinstance(error, OtherFileError):
                    await in_thread(partial.discard)
            finally:
                await in_thread(partial.close)
        raise StageError(
            "ChecksumMismatch",
            f"{file.path}: {wrong}, {self._settings.checksum_attempts} times: the hub's files do not fit its "
            "listing; try again later, or pin another revision",
        )

    async def _complete(self, file: RemoteFile, partial: PartialFile) -> None:
        """Read until all bytes are there; every byte that arrives earns new patience."""
        await partial.resume(file.size, self._progress.work)
        failures = 0
        while partial.offset < file.size:
            before = partial.offset
            try:
                await self._read_on(file, partial)
            except TransientError as error:
                failures = 1 if partial.offset > before else failures + 1
                if failures >= self._settings.attempts:
                    raise StageError(
                        "HubUnavailable", f"{file.path}: gave up after {failures} attempts: {error}"
                    ) from None
                delay = self._settings.delay(failures, error.retry_after)
                log.warning("%s: %s; going on in %.1f s", file.path, error, delay)
                await asyncio.sleep(delay)
        if file.sha256 is not None and partial.sha256 != file.sha256:
            raise MismatchError(f"sha256 {file.sha256}", partial.sha256)

    async def _read_on(self, file: RemoteFile, partial: PartialFile) -> None:
        location = await self._source.locate(file)
        wanted = {"Range": f"bytes={partial.offset}-"} if partial.offset else {}
        try:
            async with self._transport.open(location.url, location.headers, wanted) as body:
                _check_length(body, file, partial.offset)
                if body.status == 200 and partial.offset:
                    log.info("%s: the server sends no ranges; starting over", file.path)
                    self._progress.credit(-partial.offset)
                    await in_thread(partial.restart)
                await self._copy(body, file, partial)
        except StatusError as error:
            raise self._source.refused(file, error) from None
        if partial.offset < file.size:
            raise TransientError("the answer ended early")

    async def _copy(self, body: Body, file: RemoteFile, partial: PartialFile) -> None:
        """Piece by piece until the answer's end; what has arrived is counted also when the line breaks."""
        count, most = 1, self._pace.piece if self._pace else PIECE
        while count:
            before = partial.offset
            try:
                count = await body.in_thread(partial.take, body.readinto, file.size, most)
            finally:
                self._progress.work(partial.offset - before)
            if self._pace is not None:
                await self._pace(count)

    def _settle(self, file: RemoteFile, partial: PartialFile) -> ManifestFile:
        """The bytes are right: make them last, give them their name, and note it."""
        open_up(partial.path)
        if (found := partial.sync()) != file.size:
            raise MismatchError(f"{file.size} bytes", f"{found} on the disk")
        if file.git_sha1 is not None and (found_id := git_blob_id(partial.path, file.size)) != file.git_sha1:
            raise MismatchError(f"git id {file.git_sha1}", found_id)
        partial.close()
        final: Path = self._layout.final(file.path)
        make_directories(final.parent, self._layout.root)
        partial.path.replace(final)
        fsync_path(final.parent)
        checked = ManifestFile(file.path, file.size, partial.sha256)
        self._journal.record(checked)
        return checked


def _check_length(body: Body, file: RemoteFile, offset: int) -> None:
    """A server that tells another size than the listing has another file; do not fetch gigabytes of it."""
    if body.status == 416:
        raise OtherFileError(f"{file.size} bytes", f"at most {offset}")
    if body.status == 200:
        if body.length not in (None, file.size):
            raise OtherFileError(f"{file.size} bytes", str(body.length))
        return
    match = _CONTENT_RANGE.fullmatch(body.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != offset:
        raise TransientError("the server sends another range than was asked for")
    if match[3] not in ("*", str(file.size)):
        raise OtherFileError(f"{file.size} bytes", match[3])
