"""What pods of our Jobs say when they end, task by task."""

from __future__ import annotations

import json

from embedding_operator.api import names
from embedding_operator.planning.jobreport import INDEX_ANNOTATION
from tests.integration.operating import DIGEST
from tests.replay.wire import Object

DONE, LOST = "Done", "Lost"  # how a pod may end; else its reason for having failed
PERMANENT = frozenset({"NotFound", "NoFiles", "BadRequest"})  # no other try mends them
_NUMBERS = [1000, 0, 200000, 20.0, 50.0, 10000.0, 900.0, 850.0, 1500.0, 1900.0]


def subject_of(pod: Object) -> str:
    """What a pod works on: the repository that it stages, or task and name of what it was made for."""
    labels = pod["metadata"]["labels"]
    task = labels[names.NAME_LABEL]
    return _repo(pod) if task == names.STAGING_TASK else f"{task}/{labels[names.INSTANCE_LABEL]}"


def last_words(pod: Object, end: str) -> tuple[int, str]:
    """The exit code and the termination message."""
    if end == LOST:
        return 0, ""
    task = pod["metadata"]["labels"][names.NAME_LABEL]
    if end == DONE:
        index = (pod["metadata"].get("annotations") or {}).get(INDEX_ANNOTATION) or 0
        return 0, json.dumps(done(task, int(index), _repo(pod) if task == names.STAGING_TASK else ""))
    return 3 if end in PERMANENT else 1, json.dumps(failed(task, end))


def failed(task: str, reason: str) -> Object:
    """What is said of a failure."""
    said = {"reason": reason, "message": "a failure that was asked for"}
    return said | ({"result": "Failed"} if task == names.STAGING_TASK else {})


def done(task: str, index: int = 0, repo: str = "org/one") -> Object:
    """What is said of a success: three shards of five rows, and a thousand requests."""
    if task == names.STAGING_TASK:
        path = f"modelscope/{repo.replace('/', '--')}/abc"
        return {"result": "Staged", "digest": DIGEST, "path": path, "revision": "abc", "files": 3, "bytes": 100}
    if task == names.SPLIT_TASK:
        return {"shards": 3, "finished": 0, "files": 1, "bytes": 1000, "rows": 15}
    if task == names.WORK_TASK:
        return {"index": index, "shards": 1, "rows": 5, "errors": 0, "tokens": 35}
    if task == names.FINISH_TASK:
        counts = {"shards": 3, "reused": 0, "rows": 15, "errors": 0, "tokens": 105, "bytes": 512}
        return counts | {"manifest": "manifest.json"}
    return {"repeats": [_NUMBERS]}


def _repo(pod: Object) -> str:
    spec = json.loads(pod["spec"]["containers"][0]["args"][-1])
    return str(spec["source"]["modelScope"]["repo"])
