"""The Job's process: spec in, exit code and termination message out.

Exit codes: 0 staged, 1 worth another try, 3 permanent. Logs go to standard error, the result document also to
standard output. The token is read from the environment and must never appear in any of them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from .clean import clean, parse_clean_spec
from .context import context_length
from .ending import leave, secrets_in, stopping
from .errors import EXIT_OK, StageError, from_os_error
from .progress import Progress, reported
from .result import (
    StageResult,
    clean_document,
    failure_document,
    redact,
    success_document,
)
from .settings import Settings
from .sourcespec import check_endpoint
from .spec import StageSpec, parse_spec
from .stage import stage
from .threads import in_thread
from .usage import CA_VARIABLE, ENDPOINT_VARIABLES, S3_VARIABLES, TOKEN_VARIABLES

log = logging.getLogger(__name__)


def main_clean(spec_json: str, environ: Mapping[str, str] | None = None) -> int:
    """Run one clean-up; gives the process's exit code."""
    environ = os.environ if environ is None else environ
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        spec = parse_clean_spec(spec_json)
        try:
            result = clean(spec)
        except OSError as error:
            raise from_os_error(error, spec.root) from error
    except StageError as error:
        return _failed(error, environ, [])
    leave(clean_document(removed=result.removed, message=result.message), environ)
    log.info("%s", result.message)
    return EXIT_OK


def main_stage(spec_json: str, environ: Mapping[str, str] | None = None, settings: Settings | None = None) -> int:
    """Run one staging; gives the process's exit code."""
    environ = os.environ if environ is None else environ
    settings = settings or Settings()
    secrets = secrets_in(environ, (*TOKEN_VARIABLES.values(), *S3_VARIABLES))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        result = asyncio.run(_run(spec_json, environ, settings))
    except StageError as error:
        return _failed(error, environ, secrets)
    except Exception as error:  # the last place where anything can be told
        log.error("%s", redact(traceback.format_exc(), secrets))
        return _failed(
            StageError("Internal", f"unexpected {type(error).__name__}; see the pod's log"), environ, secrets
        )
    leave(success_document(result), environ)
    log.info("staged %d files at %s", result.files, result.path)
    return EXIT_OK


async def _run(spec_json: str, environ: Mapping[str, str], settings: Settings) -> StageResult:
    spec = parse_spec(spec_json)
    progress = Progress()
    async with reported(progress, port=spec.progress_port, log_every=settings.log_every):
        made = await _until_stopped(spec, environ, progress, settings)
    return replace(made, context=await in_thread(context_length, Path(spec.root) / made.path))


async def _until_stopped(
    spec: StageSpec, environ: Mapping[str, str], progress: Progress, settings: Settings
) -> StageResult:
    """SIGTERM and SIGINT end the run at once; what is on the volume stays for the next attempt."""
    work = asyncio.create_task(
        stage(
            spec,
            endpoint=_site_endpoint(spec.source.kind, environ),
            token=_token(spec.source.kind, environ),
            ca_file=Path(environ[CA_VARIABLE]) if environ.get(CA_VARIABLE) else None,
            progress=progress,
            settings=settings,
        )
    )
    with stopping(work.cancel):
        try:
            return await work
        except asyncio.CancelledError:
            raise StageError("Internal", "stopped before it was complete; the next attempt continues here") from None


def _site_endpoint(kind: str, environ: Mapping[str, str]) -> str | None:
    name = ENDPOINT_VARIABLES.get(kind, "")
    value = environ.get(name)
    if not value:
        return None
    try:
        return check_endpoint(value)
    except ValueError as error:
        raise StageError("BadSource", f"{name}: {error}") from None


def _token(kind: str, environ: Mapping[str, str]) -> str | None:
    """Secrets that were made from a file end in a new line, which no header may hold."""
    name = TOKEN_VARIABLES.get(kind, "")
    token = environ.get(name, "").strip()
    if not all(33 <= ord(char) <= 126 for char in token):
        raise StageError("Unauthorized", f"{name} is no token: put the token alone into the Secret")
    return token or None


def _failed(error: StageError, environ: Mapping[str, str], secrets: list[str]) -> int:
    log.error("%s: %s", error.reason, redact(error.message, secrets))
    leave(failure_document(error, secrets), environ)
    return error.exit_code
