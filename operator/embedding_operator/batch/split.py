"""The phase `split`: list the input, cut it into shards, and leave the list on the output."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embedding_operator.staging.threads import in_thread

from .atonce import at_once
from .cutting import cut
from .errors import BatchError
from .jobspec import JobSpec
from .places import input_of, output_of
from .progress import Progress
from .records import Cut, is_finished, write_shards
from .rows import Shard


async def split(job: JobSpec, progress: Progress) -> Mapping[str, Any]:
    """Cut the job's input; gives the termination message. Raises BatchError."""
    return await in_thread(_split, job, progress)


def _split(job: JobSpec, progress: Progress) -> Mapping[str, Any]:
    started = time.time()
    _refuse_the_same_place(job)
    output_of(job).check()
    files = input_of(job).listed(job.input.files)
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


def _refuse_the_same_place(job: JobSpec) -> None:
    """What a job has written would be the next one's input."""
    roots = (job.input.root, job.output.root)
    if all(root.startswith("/") for root in roots):
        one, other = (Path(root) for root in roots)
        same = one.exists() and other.exists() and one.samefile(other)
    else:
        same = roots[0].rstrip("/") == roots[1].rstrip("/")
    if same:
        raise BatchError(
            "BadOutput",
            "the output is where the input is: what is written would be read by the next job: give output.path",
        )
