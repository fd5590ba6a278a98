"""What the processes of a job have in common: the document in, exit code and termination message out.

Exit codes: 0 done, 1 worth another try, 3 permanent. Logs go to standard error, the result document also to standard
output; no credential into either. SIGTERM ends the process within a second, whatever hangs: nothing is lost by that.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import ValidationError

from embedding_operator.staging.ending import leave, secrets_in, stopping
from embedding_operator.staging.errors import EXIT_OK, EXIT_RETRY
from embedding_operator.staging.progress import reported
from embedding_operator.staging.result import reason_document, redact
from embedding_operator.staging.usage import S3_VARIABLES, TOKEN_VARIABLES

from .errors import BatchError
from .jobspec import JobSpec
from .progress import Phase, Progress

log = logging.getLogger(__name__)

KEY_VARIABLE = "EMBEDDINGS_API_KEY"
SECRETS = (KEY_VARIABLE, TOKEN_VARIABLES["http"], *S3_VARIABLES)
STOPPED = "it was stopped before its end; what was finished is kept, and the next pod goes on from there"
GRACE = 0.8
"""Seconds to end in, once told to; then the process ends as it is."""
LOG_EVERY = 10.0

Work = Callable[[JobSpec, Progress], Awaitable[Mapping[str, Any]]]


def parse_job(document: str) -> JobSpec:
    """The document of `--job`. Raises BatchError."""
    try:
        return JobSpec.model_validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BatchError(
            "InvalidSpec", f"--job is no document of a job that this version knows: {where}: {first['msg']}"
        ) from None


def run(phase: Phase, document: str, work: Work, environ: Mapping[str, str] | None = None) -> int:
    """Do one phase; gives the process's exit code."""
    environ = os.environ if environ is None else environ
    secrets = secrets_in(environ, SECRETS)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        result = asyncio.run(_reported(phase, parse_job(document), work, environ))
    except BatchError as error:
        return _failed(error, environ, secrets)
    except Exception as error:  # the last place where anything can be told
        log.error("%s", redact(traceback.format_exc(), secrets))
        told = BatchError("Internal", f"unexpected {type(error).__name__}; see the pod's log")
        return _failed(told, environ, secrets)
    leave(json.dumps(result, separators=(",", ":")), environ)
    return EXIT_OK


async def _reported(phase: Phase, job: JobSpec, work: Work, environ: Mapping[str, str]) -> Mapping[str, Any]:
    progress = Progress(phase)
    async with reported(progress, port=job.progress_port, log_every=LOG_EVERY):
        task = asyncio.ensure_future(work(job, progress))

        def stop() -> None:
            task.cancel()
            _last_resort(environ)

        with stopping(stop):
            try:
                return await task
            except asyncio.CancelledError:
                raise BatchError("Unfinished", STOPPED) from None


def _last_resort(environ: Mapping[str, str]) -> None:
    """A thread that hangs in a read of dead storage would keep the process: it is not waited for."""

    def end() -> None:
        leave(reason_document({"reason": "Unfinished"}, STOPPED), environ)
        os._exit(EXIT_RETRY)

    timer = threading.Timer(GRACE, end)
    timer.daemon = True
    timer.start()


def _failed(error: BatchError, environ: Mapping[str, str], secrets: list[str]) -> int:
    log.error("%s: %s", error.reason, redact(error.message, secrets))
    leave(reason_document({"reason": error.reason}, error.message, secrets), environ)
    return error.exit_code
