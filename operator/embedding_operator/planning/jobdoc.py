"""What the pods of an EmbeddingJob are told: the job document, and the key under which finished shards are known.

The document is read by batch/jobspec.py, strictly; a test holds the two together. It holds no credential.
"""

from dataclasses import dataclass

from embedding_operator.api import names
from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.conditions import Reason
from embedding_operator.api.job import EmbeddingJob, JobInput, JobOutput
from embedding_operator.api.json import JsonObject
from embedding_operator.api.quantity import parse_quantity
from embedding_operator.planning.errors import PlanError

DEFAULT_SHARD_BYTES = 256 * 1024 * 1024
PROGRESS_PORT = 8081
INPUT_MOUNT = "/input"
OUTPUT_MOUNT = "/output"
_KEY_DIGITS = 32
_FIELDS = ("idField", "textField", "imageField", "queryField", "documentField")
_SERVED = ("pooling", "promptFormat", "maxModelLen", "dtype", "multimodal")  # of spec.serving: decides about vectors


@dataclass(frozen=True, slots=True)
class Served:
    """The model that embeds, on pods of the job or of a service, as far as its vectors depend on it."""

    served_name: str
    digest: str
    source: str | None = None
    revision: str | None = None
    space: str | None = None
    image: str | None = None
    version: str | None = None
    dtype: str | None = None
    prompt_format: str = "Raw"
    instruction: str | None = None
    args: tuple[str, ...] = ()  # those that people wrote

    @property
    def runtime(self) -> dict[str, str]:
        """For the manifest."""
        told = {"image": self.image, "vllm": self.version, "dtype": self.dtype}
        return {name: value for name, value in told.items() if value}


def key_of(job: EmbeddingJob, served: Served) -> str:
    """A hash over all that decides what becomes of a row, and nothing else: not where rows are, nor how many work."""
    spec = job.spec
    written = spec.serving.to_dict()
    inputs, output = spec.input.to_dict(), spec.output
    decides: JsonObject = {
        "digest": served.digest,
        "space": served.space,
        "task": spec.task or "Embed",
        "instruction": served.instruction,
        "serving": {field: written[field] for field in _SERVED if field in written},
        "promptFormat": served.prompt_format,
        "args": list(served.args),
        "fields": {field: inputs.get(field) for field in _FIELDS},
        "input": spec.input.format,
        "dimensions": output.dimensions,
        "dtype": output.dtype or "Float32",
        "format": output.format or "Parquet",
        "truncate": bool(spec.truncate),
        "shardBytes": shard_bytes(job),
    }
    return names.digest_of(decides, _KEY_DIGITS)


def shard_bytes(job: EmbeddingJob) -> int:
    """In bytes. Raises PlanError where it is no quantity, which an API server would have refused."""
    written = job.spec.shard_bytes
    try:
        return DEFAULT_SHARD_BYTES if written is None else max(1, int(parse_quantity(written)))
    except ApiValueError as error:
        raise PlanError(Reason.INVALID_SPEC, f"spec.shardBytes {error}") from None


def document(job: EmbeddingJob, served: Served, key: str) -> JsonObject:
    """The job document, without what is absent."""
    spec = job.spec
    told: JsonObject = {
        "name": job.metadata.name,
        "namespace": job.metadata.namespace or "",
        "key": key,
        "task": spec.task or "Embed",
        "input": _input(spec.input),
        "output": _output(spec.output),
        "model": _present(
            {
                "servedName": served.served_name,
                "source": served.source,
                "revision": served.revision,
                "digest": served.digest,
                "space": served.space,
            }
        ),
        "runtime": served.runtime,
        "instruction": served.instruction,
        "promptFormat": served.prompt_format,
        "truncate": bool(spec.truncate),
        "shardBytes": shard_bytes(job),
        "maxErrors": _max_errors(spec.max_errors or "0"),
        "progressPort": PROGRESS_PORT,
    }
    return _present(told)


def _input(place: JobInput) -> JsonObject:
    fields = place.to_dict()
    return _present(
        {
            "root": place.url or INPUT_MOUNT,
            "endpoint": place.endpoint,
            "region": place.region,
            "files": list(place.files),
            "format": place.format,
            **{field: fields.get(field) for field in _FIELDS},
        }
    )


def _output(place: JobOutput) -> JsonObject:
    folder = f"{OUTPUT_MOUNT}/{place.path}" if place.path else OUTPUT_MOUNT
    return _present(
        {
            "root": place.url or folder,
            "endpoint": place.endpoint,
            "region": place.region,
            "format": place.format or "Parquet",
            "dtype": place.dtype or "Float32",
            "dimensions": place.dimensions,
        }
    )


def _max_errors(written: str) -> JsonObject:
    return {"percent": float(written[:-1])} if written.endswith("%") else {"count": int(written)}


def _present(fields: JsonObject) -> JsonObject:
    return {name: value for name, value in fields.items() if value is not None}
