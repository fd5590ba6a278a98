"""The phase `split`: list the input, cut it into shards, and leave the list on the output."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from embedding_operator.staging.threads import in_thread

from .atonce import at_once
from .cutting import cut
from .errors import BatchError
from .globs import InputFile
from .jobspec import JobSpec, Place
from .places import input_of, output_of
from .progress import Progress
from .records import Cut, is_finished, write_shards
from .rows import Shard


async def split(job: JobSpec, progress: Progress) -> Mapping[str, Any]:
    """Cut the job's input; gives the termination message. Raises BatchError."""
    return await in_thread(_split, job, progress)


def _split(job: JobSpec, progress: Progress) -> Mapping[str, Any]:
    started = time.time()
    output_of(job).check()
    files = input_of(job).listed(job.input.files)
    _refuse_the_same_place(job, files)
    progress.bytes_total = sum(file.size for file in files)
    shards: list[Shard] = []
    before = 0

    def counted(count: int) -> None:
        progress.bytes += count

    for file in files:
        progress.file = file.path
        shards += cut(job, file, counted)
        before += file.size
        progress.shards, progress.bytes = len(shards), before
    progress.file = None
    finished = sum(at_once(lambda shard: is_finished(job, shard), shards))
    progress.shards_done = finished
    write_shards(job, shards, Cut(len(shards), finished, started))
    rows = [shard.rows for shard in shards]
    return {
        "shards": len(shards),
        "finished": finished,
        "files": len(files),
        "bytes": sum(shard.bytes for shard in shards),
        "rows": sum(count or 0 for count in rows) if None not in rows else None,
    }


def _refuse_the_same_place(job: JobSpec, files: Sequence[InputFile]) -> None:
    """What a job has written would be the next one's input."""
    folders = sorted({folder for file in files for folder in PurePosixPath(file.path).parents})
    target = _leads(job.output)
    within = next((folder for folder in folders if _leads(job.input, folder) == target), None)
    if within is not None:
        where = "the input" if within == PurePosixPath() else f"{within} of the input"
        raise BatchError(
            "InvalidSpec",
            f"the output is {where}, where files are that are read: what is written there would be read by the next "
            "job: give the output a folder of its own, by output.path or at the end of output.url",
        )


def _leads(place: Place, folder: PurePosixPath | str = "") -> object:
    """To which folder: the same one may be mounted at two places."""
    if place.root.startswith("/"):
        found = (Path(place.root) / folder).stat()
        return found.st_dev, found.st_ino
    return place.endpoint, "/".join((place.root.rstrip("/"), *PurePosixPath(folder).parts))
