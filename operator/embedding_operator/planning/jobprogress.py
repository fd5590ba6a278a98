"""How far the workers of an EmbeddingJob are, summed over what those that ended said and those that run show.

Nothing decides by it. A pod that is lost takes its words along, so what was told before is never taken back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from embedding_operator.api.job import EmbeddingJobStatus, JobProgress, Shards
from embedding_operator.api.json import JsonObject
from embedding_operator.planning.jobreport import Page, Work, index_of, said_by
from embedding_operator.planning.pods import phase_of


@dataclass(frozen=True, slots=True)
class Sums:
    """Of all workers."""

    rows: int = 0  # with a vector or a score; bad ones are errors
    errors: int = 0
    tokens: int = 0
    shards: int = 0
    share: float = 0.0  # of the work that is done, from 0 to 1
    rows_per_second: int = 0
    tokens_per_second: int = 0


def shards_of(index: int, count: int, total: int) -> int:
    """How many of all shards an index has."""
    return (index + 1) * total // count - index * total // count


def sums(
    pods: Sequence[JsonObject], pages: Mapping[str, Page], *, completed: frozenset[int], count: int, shards: int
) -> Sums:
    """Sum up. `pages` are by pod, `completed` are indexes, `count` is the number of these."""
    done = sum(shards_of(index, count, shards) for index in completed if index < count)
    weighed = float(done)
    rows = errors = tokens = rate = token_rate = 0
    ended: set[int] = set()
    for pod in pods:
        index = index_of(pod)
        if index is None or index >= count:
            continue
        page = pages.get(str(pod["metadata"]["name"]))
        if index in completed:
            said = said_by(pod, Work) if phase_of(pod) == "Succeeded" and index not in ended else None
            if said is not None:
                ended.add(index)
                rows, errors, tokens = rows + (said.rows or 0), errors + (said.errors or 0), tokens + (said.tokens or 0)
        elif page is not None and phase_of(pod) == "Running":
            rows, errors, tokens = rows + (page.rows or 0), errors + (page.errors or 0), tokens + (page.tokens or 0)
            rate, token_rate = rate + (page.rows_per_second or 0), token_rate + (page.tokens_per_second or 0)
            own = shards_of(index, count, shards)
            done += min(page.shards_done or 0, own)
            if page.bytes_total:
                weighed += own * min(1.0, (page.bytes or 0) / page.bytes_total)
    return Sums(rows, errors, tokens, done, weighed / shards if shards else 1.0, rate, token_rate)


def counted(before: EmbeddingJobStatus, now: Sums, total: int) -> JsonObject:
    """The fields of a status that tell of it: what is counted never falls, and speed is that of now."""
    percent = max(before.progress.percent or 0, min(99, int(100 * now.share)))
    rows = max(before.rows or 0, now.rows)
    return {
        "rows": rows,
        "errors": max(before.errors or 0, now.errors),
        "tokens": max(before.tokens or 0, now.tokens),
        "shards": Shards(total, max(before.shards.done or 0, min(now.shards, total)), before.shards.reused),
        "progress": JobProgress(
            percent=percent,
            rows_per_second=now.rows_per_second or None,
            tokens_per_second=now.tokens_per_second or None,
            seconds_left=_left(now),
        ),
    }


def _left(now: Sums) -> int | None:
    """At the speed of late, as rows are so far; not before enough is known to tell."""
    if now.share <= 0.005 or not now.rows or not now.rows_per_second:
        return None
    return round(now.rows * (1 - now.share) / now.share / now.rows_per_second)
