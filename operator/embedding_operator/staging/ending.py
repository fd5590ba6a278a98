"""How the process of a pod ends: at once when it is told to, with a last word, and without secrets in it."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import unquote

from .result import termination_log, write_termination_message

log = logging.getLogger(__name__)


@contextmanager
def stopping(stop: Callable[[], object]) -> Iterator[None]:
    """SIGTERM and SIGINT call this, which cancels the work."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def leave(document: str, environ: Mapping[str, str]) -> None:
    """Tell the operator, and people who read the pod's log."""
    path = termination_log(environ)
    if path is not None:
        try:
            write_termination_message(path, document)
        except OSError as error:
            log.error("the result could not be written to %s: %s", path, error.strerror or error)
    print(document, flush=True)


def secrets_in(environ: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """What must not be shown: these variables as they are given and bare, and passwords of proxies."""
    given = [environ.get(name, "") for name in names]
    return [text for one in given for text in (one, one.strip())] + _in_proxies(environ)


def _in_proxies(environ: Mapping[str, str]) -> list[str]:
    """Passwords of proxies, as they are written and as they are sent."""
    pairs = [
        environ[name].rpartition("@")[0].rpartition("://")[2] for name in environ if name.upper().endswith("_PROXY")
    ]
    passwords = [pair.partition(":")[2] for pair in pairs]
    return [text for one in passwords for text in (one, unquote(one)) if text]
