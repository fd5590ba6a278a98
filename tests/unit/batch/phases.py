"""Rows, and a job from its first phase to its last."""

import json
from typing import Any

from embedding_operator.batch.finish import finish
from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.batch.progress import Progress
from embedding_operator.batch.records import is_finished, shards_of
from embedding_operator.batch.split import split

from .given import embed


def lines(*texts: str, start: int = 0) -> bytes:
    return b"".join(json.dumps({"id": start + n, "text": text}).encode() + b"\n" for n, text in enumerate(texts))


async def whole(job: JobSpec) -> dict[str, Any]:
    """All phases; gives what finish tells."""
    await split(job, Progress("Splitting"))
    for shard in shards_of(job, 0, 1):
        if not is_finished(job, shard):
            embed(job, shard)
    return dict(await finish(job, Progress("Finishing")))
