"""How the operator logs: text for people, or a JSON object a line for who collects logs.

A reconcile has an id. Each line that is logged on its way has it, and so have its calls of the API server, as the
Audit-ID by which the audit log knows them.
"""

import json
import logging
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias

Format: TypeAlias = Literal["text", "json"]
FORMATS: Final[tuple[Format, ...]] = ("text", "json")
_TEXT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class Work:
    """One reconcile of one object."""

    __slots__ = ("calls", "id", "object")

    def __init__(self, kind: str, namespace: str, name: str) -> None:
        self.object = {"kind": kind, "namespace": namespace, "name": name}
        self.id = f"{random.getrandbits(64):016x}"
        self.calls = 0

    def call_id(self) -> str:
        """The name of its next call of the API server."""
        self.calls += 1
        return f"{self.id}-{self.calls}"


_WORK: ContextVar[Work | None] = ContextVar("work", default=None)


@contextmanager
def working_on(kind: str, namespace: str, name: str) -> Iterator[Work]:
    """What is logged within is about this object."""
    work = Work(kind, namespace, name)
    token = _WORK.set(work)
    try:
        yield work
    finally:
        _WORK.reset(token)


def call_id() -> str | None:
    """The Audit-ID of the next call, where a reconcile makes it."""
    work = _WORK.get()
    return work.call_id() if work else None


class JsonFormatter(logging.Formatter):
    """One line a record, whatever is in it. `replica` and `leads` say who logs."""

    def __init__(self) -> None:
        super().__init__()
        self.replica = ""
        self.leads: Callable[[], bool] = lambda: False

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "ts": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        work = _WORK.get()
        if work is not None:
            line |= {"object": work.object, "reconcile": work.id}
        elif (about := _object_of(getattr(record, "k8s_ref", None))) is not None:
            line["object"] = about
        if self.replica:
            line |= {"replica": self.replica, "leader": self.leads()}
        if record.exc_info and record.exc_info[0] is not None:
            line["stack"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _object_of(reference: object) -> dict[str, str] | None:
    """What Kopf says that a line is about."""
    if not isinstance(reference, Mapping):
        return None
    return {field: str(reference.get(field) or "") for field in ("kind", "namespace", "name")}


def set_up(level: str, form: Format = "text") -> None:
    """Log to stderr, all loggers alike: Kopf's, asyncio's, Python's warnings, and what ends the process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if form == "json":
        logging.captureWarnings(True)
        sys.excepthook = _log_the_end


def identify(replica: str, leads: Callable[[], bool]) -> None:
    """From now on, lines say which replica they are of, and whether it leads."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, JsonFormatter):
            handler.formatter.replica, handler.formatter.leads = replica, leads


def _log_the_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("embedding_operator").critical("%s: the process ends", kind.__name__, exc_info=error)
