"""One staging run from spec to result: list, choose, download, publish. Reads as the order of events.

Killed at any moment, the next run completes: checked files are in the journal, the rest resumes.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from embedding_operator import __version__

from .choose import open_source
from .claim import Claim, LostClaimError
from .download import Download
from .errors import StageError, from_os_error
from .found import Found, fitting, named, unproven, wrong_bytes, wrong_sizes
from .journal import Journal
from .layout import Layout, layout_of, source_layout
from .manifest import Manifest, ManifestFile, files_digest, listing_id
from .pace import Pace
from .progress import Progress, human
from .publish import move_aside, publish, remove_staging, replace_files
from .result import Excluded, StageResult
from .select import RemoteFile, Selection, select
from .settings import Settings
from .source import Listing, Origin, Source
from .spec import StageSpec
from .threads import in_thread
from .transport import Transport
from .unpack import discard, make_room, unpack
from .users import sign
from .verify import require_digest, verify_path

log = logging.getLogger(__name__)

T = TypeVar("T")


async def stage(
    spec: StageSpec,
    *,
    endpoint: str | None = None,
    token: str | None = None,
    ca_file: Path | None = None,
    progress: Progress | None = None,
    settings: Settings | None = None,
) -> StageResult:
    """Stage or verify what the spec asks for. Failures are StageErrors.

    `endpoint` is the site's own server for this source; what the spec names comes first. `ca_file` holds certificates
    to trust beside the machine's own.
    """
    progress = progress or Progress()
    settings = settings or Settings()
    root = Path(spec.root)
    try:
        if not await in_thread(root.is_dir):
            raise StageError("BadSource", f"there is no directory {root}: is the claim mounted?")
        if spec.source.path is not None:
            pace = Pace(spec.read_bytes_per_second) if spec.read_bytes_per_second else None
            return await verify_path(root, spec.source.path.path, spec.digest, spec.parallelism, progress, pace)
        async with Transport(settings=settings, connections=spec.parallelism + 1, ca_file=ca_file) as transport:
            hub = open_source(
                spec.source,
                transport,
                endpoint=endpoint,
                token=token,
                settings=settings,
                parallelism=spec.parallelism,
            )
            return await _stage_from(spec, hub, transport, progress, settings)
    except OSError as error:
        raise from_os_error(error, str(root)) from error


async def _stage_from(
    spec: StageSpec, hub: Source, transport: Transport, progress: Progress, settings: Settings
) -> StageResult:
    origin = hub.origin
    log.info("listing %s (%s), revision %s", origin.name, origin.kind, origin.requested)
    listing = await hub.listing()
    include, exclude = spec.source.include, spec.source.exclude
    selection = select(listing.files, ("*",) if spec.source.takes_all else include, exclude)
    _tell(listing, selection)
    _check_digest_early(spec.digest, selection, listing.archive)
    pace = Pace(spec.bytes_per_second) if spec.bytes_per_second else None
    usual = source_layout(Path(spec.root), origin.kind, origin.name, listing.revision, include, exclude)
    layout = layout_of(usual.root, spec.directory) if spec.directory else usual
    return await _Run(spec, origin, transport, listing, selection, layout, progress, settings, pace).complete(hub)


@dataclass(frozen=True)
class _Run:
    """What the later steps share."""

    spec: StageSpec
    origin: Origin
    transport: Transport
    listing: Listing
    selection: Selection
    layout: Layout
    progress: Progress
    settings: Settings
    pace: Pace | None

    async def complete(self, hub: Source) -> StageResult:
        """Adopt what is there, else download what is missing."""
        found = await self._look()
        if found is not None and not found.wanting:
            await in_thread(remove_staging, self.layout)  # of a run that was killed before it tidied up
            return await self._adopt(hub, found)
        return await self._download(hub, found)

    async def _look(self) -> Found | None:
        """The same revision may be there already: taken at its word if its digest was asked for, else hashed."""
        manifest = await in_thread(self._fitting)
        if manifest is None:
            return None
        require_digest(self.spec.digest, manifest.digest, self.layout.relative)
        directory = self.layout.published
        bad = set(await in_thread(wrong_sizes, directory, manifest))
        if self.spec.digest is None or self.spec.verify:
            log.info("%s is there already: hashing it", self.layout.relative)
            rest = [file for file in manifest.files if file.path not in bad]
            self.progress.start("Verifying", sum(file.size for file in rest))
            bad |= set(await wrong_bytes(directory, rest, self.spec.parallelism, self.progress))
        held = {file.path for file in manifest.files}
        if self.spec.digest is None:
            there = [file for file in self.listing.files if file.path in held - bad]
            bad |= set(await unproven(directory, there, self.progress))  # the hub's bytes alone tell
        if bad and self.listing.archive:  # nobody has its files one by one
            return None
        return Found(manifest, tuple(file for file in self.listing.files if file.path in bad & held))

    async def _adopt(self, hub: Source, found: Found) -> StageResult:
        """STRICTLY in this order: sign, look. Whoever removes the directory looks at who signed after it is away."""
        try:
            await in_thread(self._sign, self.layout.relative, found.manifest.digest)
        except OSError as error:  # a claim that is read-only here: its files serve as well
            if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise
            log.warning("%s: a clean-up elsewhere will not see that it is used here: %s", self.layout.relative, error)
        if not await in_thread(self._is_published):
            return await self._download(hub, None)
        log.info("%s is there already and complete", self.layout.relative)
        return self._result(found.manifest, adopted=True)

    async def _download(self, hub: Source, found: Found | None) -> StageResult:
        """As the one writer: fetch what is missing and put it into place."""
        claim = Claim(self.layout.claim, self.layout.root, self.settings)
        if not await claim.acquire(lambda: found is None and self._is_published()):
            return await self._again(hub)
        try:
            work = self._fetch_and_publish(hub, claim) if found is None else self._mend(hub, claim, found)
            result = await _while_held(claim, work)
            if result is not None:
                await in_thread(remove_staging, self.layout)
        except LostClaimError:
            other = await self._look()
            if other is not None and not other.wanting:  # whoever it was, it finished the work
                return await self._adopt(hub, other)
            raise
        finally:
            claim.release()
        return result or await self._again(hub)

    async def _again(self, hub: Source) -> StageResult:
        """Another stager published; it tidies up itself."""
        found = await self._look()
        return await (self._adopt(hub, found) if found and not found.wanting else self._download(hub, found))

    async def _mend(self, hub: Source, claim: Claim, found: Found) -> StageResult | None:
        """Fetch what the published directory lacks; None if it went away meanwhile. If the hub has other bytes, it was
        not what it said."""
        log.warning("%s: %d files are fetched again", self.layout.relative, len(found.wanting))
        files = await self._fetch(hub, found.wanting)
        await in_thread(self._sign, self.layout.relative, found.manifest.digest)
        claim.require()
        if set(files) <= set(found.manifest.files):
            await in_thread(replace_files, self.layout, [file.path for file in files])
            mended = await in_thread(self._is_published)
            return self._result(found.manifest, adopted=True, mended=len(files)) if mended else None
        await in_thread(move_aside, self.layout)
        return await self._fetch_and_publish(hub, claim)

    async def _fetch_and_publish(self, hub: Source, claim: Claim) -> StageResult | None:
        """The result, or None if somebody else published meanwhile."""
        files = await self._fetch(hub, self.selection.files)
        if self.listing.archive:
            files = await self._unpack(claim)
        require_digest(self.spec.digest, files_digest(files), self.origin.name)
        self.progress.start("Publishing", self.selection.bytes)
        self.progress.credit(self.selection.bytes)
        manifest = self._manifest(files)
        await in_thread(self._sign, self.layout.relative, manifest.digest)
        published = await in_thread(publish, self.layout, manifest, self.listing.files, claim.require)
        return self._result(manifest, adopted=False) if published else None

    async def _unpack(self, claim: Claim) -> list[ManifestFile]:
        (archive,) = self.selection.files
        self.progress.start("Verifying", archive.size)
        try:
            return await unpack(self.layout, archive, self.progress.work)
        except (StageError, OSError):
            claim.require()  # else it is another stager's work that lies there
            await in_thread(discard, self.layout)  # it may be all that fills the volume
            raise

    async def _fetch(self, hub: Source, files: Sequence[RemoteFile]) -> list[ManifestFile]:
        journal = Journal(self.layout, listing_id(self.selection.files))
        await in_thread(journal.open)
        await in_thread(self._sign, self.layout.relative_staging)
        if self.listing.archive:
            await in_thread(make_room, self.layout, files[0], self.settings.free_bytes)
        self.progress.start("Downloading", sum(file.size for file in files))
        download = Download(hub, self.transport, self.layout, journal, self.progress, self.settings, self.pace)
        return await download.all(files, self.spec.parallelism)

    def _sign(self, relative: str, digest: str | None = None) -> None:
        if self.spec.user is not None:
            sign(self.layout.root, relative, self.spec.user, digest)

    def _fitting(self) -> Manifest | None:
        if self.listing.archive:  # nobody lists what is in it: its digest is known, or it is unpacked anew
            return named(self.layout.published, self.spec.digest)
        return fitting(self.layout.published, self.selection.files, self.listing.files)

    def _is_published(self) -> bool:
        manifest = self._fitting()
        return manifest is not None and not wrong_sizes(self.layout.published, manifest)

    def _manifest(self, files: Sequence[ManifestFile]) -> Manifest:
        return Manifest(
            source=self.origin.kind,
            repo=self.origin.name,
            requested_revision=self.origin.requested,
            revision=self.listing.revision,
            files=tuple(files),
            tool=f"embedding-operator {__version__}",
            staged_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _result(self, manifest: Manifest, *, adopted: bool, mended: int = 0) -> StageResult:
        held = {file.path for file in manifest.files}
        left_out = [] if self.listing.archive else [file for file in self.listing.files if file.path not in held]
        return StageResult(
            revision=self.listing.revision,
            digest=manifest.digest,
            path=self.layout.relative,
            files=len(manifest.files),
            bytes=manifest.bytes,
            excluded=Excluded(len(left_out), sum(file.size for file in left_out)),
            adopted=adopted,
            mended=mended,
        )


async def _while_held(claim: Claim, work: Coroutine[None, None, T]) -> T:
    """Run the work; stop it when the claim is lost."""
    keeper = asyncio.create_task(claim.keep())
    worker = asyncio.create_task(work)
    try:
        await asyncio.wait({keeper, worker}, return_when=asyncio.FIRST_COMPLETED)
        if keeper.done() and not worker.done():
            await keeper
        return await worker
    finally:
        for task in (keeper, worker):
            task.cancel()
        await asyncio.gather(keeper, worker, return_exceptions=True)


def _check_digest_early(digest: str | None, selection: Selection, archive: bool) -> None:
    """Where the listing tells all sums, a wrong digest is known before the first gigabyte."""
    files = [ManifestFile(f.path, f.size, f.sha256) for f in selection.files if f.sha256 is not None]
    if len(files) == len(selection.files) and not archive:
        require_digest(digest, files_digest(files), "the listed revision")


def _tell(listing: Listing, selection: Selection) -> None:
    log.info("revision %s: %d files, %s", listing.revision, len(selection.files), human(selection.bytes))
    if selection.left_out:
        log.info(
            "left out: %d files, %s saved (%s)",
            len(selection.left_out),
            human(selection.bytes_left_out),
            ", ".join(_names(selection.left_out)),
        )


def _names(files: Sequence[RemoteFile]) -> list[str]:
    biggest = sorted(files, key=lambda file: -file.size)
    return [file.path for file in biggest[:5]] + (["…"] if len(files) > 5 else [])
