"""The three Jobs of an EmbeddingJob: split lists the input, workers embed it, finish joins what they did.

Each is created once, named by a hash of what it is given, and never applied again: only `parallelism`, `suspend` and
the deadline of one that runs are changed, as its EmbeddingJob's are.
"""

from embedding_operator.api import names
from embedding_operator.api.job import EmbeddingJob
from embedding_operator.api.json import JsonObject
from embedding_operator.planning import scripts
from embedding_operator.planning.jobbasis import Basis
from embedding_operator.planning.jobdoc import document
from embedding_operator.planning.jobpods import small_template, told
from embedding_operator.planning.jobreport import DRIVER
from embedding_operator.planning.jobstate import ObservedJob
from embedding_operator.planning.owner import owner_reference
from embedding_operator.planning.stagejob import PERMANENT_EXIT_CODE, StagingSite

DEFAULT_BACKOFF = 6  # as of any Job
MOST_INDEXES = 10_000
_EACH = 8  # indexes of a worker: it loads the model once for several shards, and workers may be added
_TTL = 86400  # seconds; what a finished one said is in the status by then


def job_names(job: EmbeddingJob, key: str) -> tuple[str, str, str]:
    """Of split, work and finish."""
    inputs = [job.metadata.uid or "", key]
    split, work, finish = (
        names.phase_job_name(phase, job.metadata.name, inputs) for phase in ("split", "embed", "finish")
    )
    return split, work, finish


def index_count(job: EmbeddingJob, unfinished: int) -> int:
    """Into how many parts the work is divided."""
    return max(1, min(unfinished, _EACH * parallelism(job), MOST_INDEXES))


def parallelism(job: EmbeddingJob) -> int:
    """How many workers there are to be."""
    return job.spec.parallelism or 1


def split_job(job: EmbeddingJob, site: StagingSite, basis: Basis, key: str, seen: ObservedJob) -> JsonObject:
    """Lists the input."""
    return _small(job, site, basis, key, seen, "split", names.SPLIT_TASK, job_names(job, key)[0])


def finish_job(job: EmbeddingJob, site: StagingSite, basis: Basis, key: str, seen: ObservedJob) -> JsonObject:
    """Joins what the workers did."""
    return _small(job, site, basis, key, seen, "finish", names.FINISH_TASK, job_names(job, key)[2])


def work_job(
    job: EmbeddingJob, site: StagingSite, basis: Basis, key: str, seen: ObservedJob, count: int
) -> tuple[JsonObject, JsonObject | None]:
    """Embeds, in `count` parts; and the ConfigMap that its pods have scripts from, if they have any."""
    args = [
        *told("work", document(job, basis.served, key)),
        *("--indexes", str(count)),
        *("--server", basis.server),
        *basis.bound(job, min(count, parallelism(job))),
    ]
    scripts_name = scripts.config_map_name(seen.script_sources)
    made = _job(job, seen, names.WORK_TASK, job_names(job, key)[1], basis.worker(job, site, args, scripts_name))
    limit = job.spec.backoff_limit_per_index
    made["spec"] = {
        "completionMode": "Indexed",
        "completions": count,
        "parallelism": parallelism(job),
        "backoffLimitPerIndex": DEFAULT_BACKOFF if limit is None else limit,
        **made["spec"],
    }
    if basis.own is None:
        return made, None
    made["metadata"]["annotations"] = {names.SCRIPTS_ANNOTATION: scripts_name}
    return made, scripts.config_map(job.metadata.namespace or "", seen.script_sources)


def scripts_of(job: EmbeddingJob, seen: ObservedJob, running: JsonObject) -> tuple[JsonObject, ...]:
    """The ConfigMap that further pods of a Job have scripts from, as somebody may have deleted it. That of a Job which
    an older operator made is left: its content is not known here."""
    wanted = (running["metadata"].get("annotations") or {}).get(names.SCRIPTS_ANNOTATION)
    if wanted != scripts.config_map_name(seen.script_sources):
        return ()
    return (scripts.config_map(job.metadata.namespace or "", seen.script_sources),)


def _small(
    job: EmbeddingJob,
    site: StagingSite,
    basis: Basis,
    key: str,
    seen: ObservedJob,
    command: str,
    task: str,
    name: str,
) -> JsonObject:
    args = told(command, document(job, basis.served, key))
    made = _job(job, seen, task, name, small_template(job, site, task, args, basis.where))
    made["spec"] = {"backoffLimit": DEFAULT_BACKOFF, **made["spec"]}
    return made


def _job(job: EmbeddingJob, seen: ObservedJob, task: str, name: str, template: JsonObject) -> JsonObject:
    deadline = job.spec.active_deadline_seconds
    # kept by the Job's controller too, where no operator runs
    left = {} if deadline is None else {"activeDeadlineSeconds": max(1, deadline - seen.started_for)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": job.metadata.namespace,
            "labels": names.job_labels(job.metadata.name, task),
            "ownerReferences": [owner_reference(names.EMBEDDING_JOB, job.metadata)],
        },
        "spec": {
            "ttlSecondsAfterFinished": _TTL,
            **left,
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": DRIVER, "operator": "In", "values": [PERMANENT_EXIT_CODE]},
                    },
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
                ]
            },
            "template": template,
        },
    }
