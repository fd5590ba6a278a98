"""What is on the output besides data: the list of a job's shards, and a record of each that is finished.

    <directory of the input file>/<its stem>-<part>-<8 hex>.parquet     data, one file (or two) per shard
    .embedding-job/<key>/shards-<job>.jsonl                             what one job has cut its input into
    .embedding-job/<key>/<shard id>.errors.jsonl                        bad rows
    .embedding-job/<key>/<shard id>.json                                the record, written last: it finishes the shard
    manifest.json, errors.jsonl                                         of the last job that was finished

Records are shared by all jobs with the same key: what one has finished, none does again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Annotated, BinaryIO

import msgspec

from .errors import BatchError
from .jobspec import JobSpec
from .listing import OUTPUT_MARK
from .places import OutputPlace, output_of
from .rows import Shard

FORMAT = "embedding-operator.io/shard/v1"
EXTENSIONS = {"Parquet": (".parquet",), "Npy": (".npy", ".ids.jsonl"), "JsonLines": (".jsonl",)}
_RECORD_BYTES = 1 << 20
_STEM_BYTES = 120

Count = Annotated[int, msgspec.Meta(ge=0)]


class DataFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the output."""

    path: str
    """Relative to the output."""
    bytes: Count
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


class Cut(msgspec.Struct, frozen=True):
    """The first line of a job's list of shards."""

    shards: Count
    reused: Count = 0
    """How many were finished before the job began."""
    started: float = 0.0
    """When it was split, in seconds since 1970."""


class Record(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A finished shard."""

    format: str
    shard: str
    file: str
    rows: Count
    """That have a vector, or a score."""
    errors: Count
    """Bad rows."""
    tokens: Count
    dimensions: int | None = None
    """None without rows, and for scores."""
    files: list[DataFile] = []
    """None without rows."""
    errors_file: DataFile | None = None

    @property
    def bytes(self) -> int:
        """All that was written."""
        return sum(file.bytes for file in self.written)

    @property
    def written(self) -> list[DataFile]:
        """Every file that belongs to the shard."""
        return [*self.files, *([self.errors_file] if self.errors_file else [])]


def directory(job: JobSpec) -> str:
    """Where the records of a job are."""
    return f"{OUTPUT_MARK}/{job.key}"


def record_path(job: JobSpec, shard: Shard) -> str:
    return f"{directory(job)}/{shard.id}.json"


def errors_path(job: JobSpec, shard: Shard) -> str:
    return f"{directory(job)}/{shard.id}.errors.jsonl"


def list_path(job: JobSpec) -> str:
    """Of this job alone: another with the same key may read other files."""
    own = f"{job.namespace}/{job.name} {job.input.model_dump_json()}"
    return f"{directory(job)}/shards-{hashlib.sha256(own.encode()).hexdigest()[:12]}.jsonl"


def data_paths(job: JobSpec, shard: Shard) -> list[str]:
    """The files that a shard becomes: beside each other in the order of the rows, as far as names go."""
    place = PurePosixPath(shard.file)
    stem = place.stem.encode()[:_STEM_BYTES].decode(errors="ignore")
    name = str(place.with_name(f"{stem}-{shard.part:05d}-{shard.id[:8]}"))
    return [f"{name}{extension}" for extension in EXTENSIONS[job.output.format]]


def write_shards(job: JobSpec, shards: Sequence[Shard], cut: Cut | None = None) -> None:
    """Let the list appear, whole."""
    lines = [cut or Cut(len(shards)), *shards]
    write_file(output_of(job), list_path(job), b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


def read_shards(job: JobSpec) -> list[Shard]:
    """All shards of the job, in order. BatchError if it was not split yet."""
    with _listed(job) as stream:
        stream.readline()
        return [msgspec.json.decode(line, type=Shard) for line in stream]


def read_cut(job: JobSpec) -> Cut:
    """How the job was split."""
    with _listed(job) as stream:
        return msgspec.json.decode(stream.readline(), type=Cut)


@contextmanager
def _listed(job: JobSpec) -> Iterator[BinaryIO]:
    output = output_of(job)
    path = list_path(job)
    if output.size(path) is None:
        raise BatchError("Unfinished", f"{path} is not on the output: the input is split first")
    try:
        with output.opened(path) as stream:
            yield stream
    except msgspec.DecodeError as error:
        raise BatchError("Internal", f"{path} is no list of shards ({error}): make the job again") from None


def share(shards: Sequence[Shard], index: int, indexes: int) -> Sequence[Shard]:
    """What one of so many indexes has to do."""
    if not 0 <= index < indexes:
        raise BatchError("InvalidSpec", f"there is no index {index} of {indexes}")
    return shards[index * len(shards) // indexes : (index + 1) * len(shards) // indexes]


def shards_of(job: JobSpec, index: int, indexes: int) -> Sequence[Shard]:
    """The shards of one index of the job, in order, finished or not."""
    return share(read_shards(job), index, indexes)


def record_of(job: JobSpec, shard: Shard) -> Record | None:
    """The shard's record, if it is finished: all that it names is there, and has its size."""
    output = output_of(job)
    text = output.read(record_path(job, shard), _RECORD_BYTES)
    try:
        record = msgspec.json.decode(text, type=Record) if text else None
    except msgspec.DecodeError:
        return None
    if record is None or record.format != FORMAT or record.shard != shard.id:
        return None
    whole = all(output.size(file.path) == file.bytes for file in record.written)
    return record if whole else None


def is_finished(job: JobSpec, shard: Shard) -> bool:
    """Whether nothing is left to do for the shard."""
    return record_of(job, shard) is not None


def write_record(job: JobSpec, shard: Shard, record: Record) -> None:
    """STRICTLY after all that it names: the shard is finished by it."""
    write_file(output_of(job), record_path(job, shard), msgspec.json.encode(record) + b"\n")


def write_file(output: OutputPlace, path: str, data: bytes) -> DataFile:
    """A small file, whole or not at all."""
    sink = output.create(path)
    try:
        sink.write(data)
        sink.commit()
    except BaseException:
        sink.abandon()
        raise
    return DataFile(path, sink.size, sink.sha256)
