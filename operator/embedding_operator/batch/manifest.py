"""manifest.json: what a job has made, of what, and with which model: a vector file says which space it lives in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import msgspec

from embedding_operator import __version__

from .jobspec import JobSpec
from .records import Cut, DataFile, Record
from .rows import Shard

MANIFEST = "manifest.json"
FORMAT = "embedding-operator.io/embeddings/v1"


def manifest_of(
    job: JobSpec,
    shards: Sequence[Shard],
    records: Sequence[Record],
    cut: Cut,
    errors: DataFile | None,
    now: float,
) -> bytes:
    """The document; `now` in seconds since 1970."""
    lengths = {record.dimensions for record in records if record.dimensions}
    document: dict[str, Any] = {
        "format": FORMAT,
        "job": {"namespace": job.namespace, "name": job.name, "key": job.key},
        "task": job.task,
        "model": job.model.model_dump(by_alias=True, exclude_none=True),
        "runtime": job.runtime,
        "instruction": job.instruction,
        "promptFormat": job.prompt_format,
        "truncate": job.truncate,
        "output": {
            "format": job.output.format,
            "dtype": job.output.dtype if job.task == "Embed" else "Float32",
            "dimensions": next(iter(lengths), None),
        },
        "input": {"root": job.input.root.partition("?")[0], "files": job.input.files, "format": job.input.format},
        "rows": sum(record.rows for record in records),
        "errors": sum(record.errors for record in records),
        "tokens": sum(record.tokens for record in records),
        "bytes": sum(record.bytes for record in records),
        "shards": len(shards),
        "reusedShards": cut.reused,
        "errorsFile": msgspec.to_builtins(errors) if errors else None,
        "startedAt": _time(cut.started),
        "finishedAt": _time(now),
        "tool": f"embedding-operator/{__version__}",
        "files": _files(shards, records),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def _files(shards: Sequence[Shard], records: Sequence[Record]) -> list[dict[str, Any]]:
    """The input's files, each with what it has become, in the order of its rows."""
    pairs = groupby(zip(shards, records, strict=True), key=lambda pair: pair[0].file)
    return [_file(list(group)) for _, group in pairs]


def _file(parts: Sequence[tuple[Shard, Record]]) -> dict[str, Any]:
    shard = parts[0][0]
    records = [record for _, record in parts]
    return {
        "path": shard.file,
        "size": shard.size,
        "version": shard.version,
        "rows": sum(record.rows for record in records),
        "errors": sum(record.errors for record in records),
        "tokens": sum(record.tokens for record in records),
        "outputs": [msgspec.to_builtins(file) | {"rows": record.rows} for record in records for file in record.files],
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
