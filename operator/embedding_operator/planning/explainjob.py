"""Every decision about an EmbeddingJob, and why: what `embedding-operator explain` prints of one.

Of its workers' servers it is what is said of a service with this model, but for what only a service has.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from embedding_operator.api.job import EmbeddingJob
from embedding_operator.planning.explain import Decision
from embedding_operator.planning.jobbasis import Basis
from embedding_operator.planning.jobdoc import shard_bytes
from embedding_operator.planning.jobphases import DEFAULT_BACKOFF, parallelism
from embedding_operator.planning.jobservice import in_words_of_job
from embedding_operator.planning.prompts import SETTING
from embedding_operator.planning.space import mount

_SERVED_ONLY = frozenset({"rollout", "prompt"})  # groups that a worker has nothing of, and parts of others
_SERVED_PARTS = frozenset(
    {
        ("life", "readiness"),
        ("life", "drain"),
        ("environment", SETTING),
        ("environment", "EMBEDDING_OPERATOR_MAX_CONNECTION_AGE"),
        ("volumes", str(mount()["mountPath"])),
    }
)


def explain_job(job: EmbeddingJob, basis: Basis, server: Iterable[Decision]) -> Iterator[Decision]:
    """The decisions; `server` are those of a service with the same model, where there are any."""
    yield from _work(job, basis)
    yield from _data(job, basis)
    for one in server:
        if one.group not in _SERVED_ONLY and (one.group, one.what) not in _SERVED_PARTS:
            yield replace(one, why=in_words_of_job(one.why))


def _work(job: EmbeddingJob, basis: Basis) -> Iterator[Decision]:
    def made(what: str, value: str, why: str) -> Decision:
        return Decision("job", what, value, why)

    spec = job.spec
    told = "spec.parallelism" if spec.parallelism else "1, as spec.parallelism is left out"
    if basis.own is None:
        yield made("server", basis.server, "spec.serviceRef: workers have no device and no server of their own")
        bound = basis.bound(job, parallelism(job))
        yield made("driver", " ".join(bound), "its share of spec.serviceRef.maxInFlight, or 32; less while others ask")
    else:
        yield made("server", basis.server, "a native sidecar of each worker, made as a service's pod; a device each")
    yield made("workers", str(parallelism(job)), f"{told}; it may be changed while the job runs")
    limit = spec.backoff_limit_per_index
    yield made(
        "retries",
        str(DEFAULT_BACKOFF if limit is None else limit),
        "spec.backoffLimitPerIndex" if limit is not None else "as of a Job; evictions and lost nodes do not count",
    )
    if spec.active_deadline_seconds is not None:
        yield made("deadline", f"{spec.active_deadline_seconds} s", "spec.activeDeadlineSeconds, from the first Job on")


def _data(job: EmbeddingJob, basis: Basis) -> Iterator[Decision]:
    def made(what: str, value: str, why: str) -> Decision:
        return Decision("data", what, value, why)

    source, target = job.spec.input, job.spec.output
    files = f"{source.claim_name or source.url}: {', '.join(source.files)}"
    read = "mounted read-only" if source.claim_name else "read in ranges, where it is"
    yield made("input", files, f"{read}, and by the driver alone")
    yield made("shards", f"of {shard_bytes(job)} bytes", "spec.shardBytes, or 256Mi: what is interrupted begins again")
    if basis.served.instruction:
        form = "serving.promptFormat" if basis.served.prompt_format == "Model" else "Instruct: … Query: …"
        told = f"put around each text by the driver, in the form {form}"
        if job.spec.task == "Rerank":
            told = "sent with each request, for the model's own template around query and document"
        yield made("instruction", basis.served.instruction, told)
    where = target.url or "/".join(part for part in (target.claim_name, target.path) if part)
    vectors = f"{target.format or 'Parquet'} of {target.dtype or 'Float32'}"
    yield made("output", where, f"{vectors}; a file appears when it is complete, and none is ever deleted")
    yield made("bad rows", job.spec.max_errors or "0", "spec.maxErrors: with more of them the job has failed")
