"""A driver in a process of its own, as a pod has it: reads a job from standard input, and tells what it took.

The clock runs from the list of shards to the record of the last one; the first requests, by which the driver gets to
know the server, are in it.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time

from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.batch.progress import Progress
from embedding_operator.batch.work import Task, work


def main() -> None:
    asked = json.load(sys.stdin)
    job = JobSpec.model_validate(asked["job"])
    before = time.process_time()
    began = time.monotonic()
    told = asyncio.run(work(job, Task(0, 1, asked["server"]), Progress("Embedding")))
    seconds = time.monotonic() - began
    used = {"seconds": seconds, "cpu": time.process_time() - before, "rows": told["rows"], "tokens": told["tokens"]}
    print(json.dumps(used | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
