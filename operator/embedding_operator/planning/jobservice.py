"""An EmbeddingJob as the service that its workers' servers would be: the same weights, image, flags and placement come
of it by the same code, and it shares the ModelCache of a service that asks for the same.
"""

from embedding_operator.api import names
from embedding_operator.api.job import EmbeddingJob
from embedding_operator.api.json import JsonObject
from embedding_operator.api.service import EmbeddingService

_SAME = ("model", "task", "cache", "runtime", "scheduling")
_WORDS = (  # about fields of that service, and the same about the job's
    ("lower spec.replicas or spec.parallelism.tensor", "lower spec.parallelism"),
    ("give it more devices (spec.parallelism.tensor), or a chip", "or take a chip"),
    ("spec.parallelism.tensor is ", "the number of devices of a worker is "),
    ("spec.parallelism.tensor (1 when left out)", "one for each worker"),
    (", and write their number as spec.parallelism.tensor", ", for a worker has one"),
    (
        "let clients send queries as `Instruct: <task>\\nQuery:<query>` and documents as they are, or write "
        "spec.serving.promptFormat: Model in a service for queries alone",
        "where the rows are queries, write spec.instruction",
    ),
    (", or let clients send messages with a system instruction and add_generation_prompt: true", ""),
    ("spec.serving.dimensions", "spec.output.dimensions"),
    ("spec.serving.instruction", "spec.instruction"),
    ("the profile's and the service's", "the profile's and the job's"),
)


def written_as_service(obj: JsonObject) -> JsonObject:
    """A stored EmbeddingJob with a model, written as an EmbeddingService.

    Of its prompt format and instruction only what can work is of interest: the driver puts text into it (batch/).
    """
    spec = obj.get("spec") or {}
    serving = {"maxConnectionAge": "0s"} | (spec.get("serving") or {})  # nobody else connects
    if dimensions := (spec.get("output") or {}).get("dimensions"):
        serving["dimensions"] = dimensions
    instruction = spec.get("instruction")
    if instruction and (spec.get("task") == "Rerank" or serving.get("promptFormat") == "Model"):
        serving["instruction"] = instruction
    kept = ("name", "namespace", "uid", "generation", "annotations")
    metadata = {field: value for field, value in obj["metadata"].items() if field in kept}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.EMBEDDING_SERVICE,
        "metadata": metadata,
        "spec": {field: spec[field] for field in _SAME if field in spec} | {"serving": serving},
    }


def as_service(job: EmbeddingJob) -> EmbeddingService:
    """The same of a parsed one. Raises ApiValueError for a job that leaves the work to a running service."""
    return EmbeddingService.from_dict(written_as_service(job.to_dict()))


def in_words_of_job(text: str) -> str:
    """What is said of that service, for who wrote the job: it names no field that a job does not have."""
    for of_service, of_job in _WORDS:
        text = text.replace(of_service, of_job)
    return text
