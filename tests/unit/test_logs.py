"""Lines for machines: one a record, with what it is about; and lines for people."""

import asyncio
import json
import logging
import subprocess
import sys
from typing import Any

from embedding_operator.logs import JsonFormatter, call_id, working_on


def line(message: str, *arguments: Any, **more: Any) -> dict[str, Any]:
    record = logging.LogRecord("embedding_operator.x", logging.WARNING, __file__, 1, message, arguments, None)
    for name, value in more.items():
        setattr(record, name, value)
    formatter = JsonFormatter()
    formatter.replica, formatter.leads = "operator-0", lambda: True
    text = formatter.format(record)
    assert "\n" not in text
    told: dict[str, Any] = json.loads(text)
    return told


def test_a_line_says_when_how_bad_who_and_what() -> None:
    told = line("%s: a\nb", "é")
    assert told.pop("ts").endswith("Z")
    assert told == {
        "level": "warning",
        "logger": "embedding_operator.x",
        "msg": "é: a\nb",
        "replica": "operator-0",
        "leader": True,
    }


def test_lines_of_a_reconcile_are_joined_by_its_id_and_so_are_its_calls() -> None:
    async def reconcile(name: str) -> tuple[str, dict[str, Any], str | None]:
        with working_on("EmbeddingService", "search", name) as work:
            await asyncio.sleep(0)
            return work.id, line("x"), call_id()

    async def two() -> list[tuple[str, dict[str, Any], str | None]]:
        return await asyncio.gather(reconcile("a"), reconcile("b"))

    (one, first, call), (other, second, _) = asyncio.run(two())
    assert one != other
    assert first["object"] == {"kind": "EmbeddingService", "namespace": "search", "name": "a"}
    assert (first["reconcile"], second["reconcile"]) == (one, other)
    assert call == f"{one}-1"
    assert call_id() is None
    assert "reconcile" not in line("x")


def test_what_kopf_says_an_object_is_about_is_told() -> None:
    told = line("x", k8s_ref={"kind": "ModelCache", "namespace": "search", "name": "m", "uid": "u"})
    assert told["object"] == {"kind": "ModelCache", "namespace": "search", "name": "m"}


def test_an_exception_is_one_line_with_its_stack() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        told = line("x", exc_info=sys.exc_info())
    assert told["stack"].startswith("Traceback")
    assert told["stack"].endswith("ValueError: a\nb")


def logged(form: str, code: str) -> list[str]:
    """What a process says that logs like this."""
    program = f"import logging, warnings\nfrom embedding_operator import logs\nlogs.set_up('info', {form!r})\n{code}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stderr.splitlines()


def test_other_loggers_warnings_and_what_ends_the_process_are_lines_too() -> None:
    code = "logging.getLogger('kopf.x').info('a')\nwarnings.warn('b')\nasync def f(): raise KeyError('c')\n"
    first, second, third = map(json.loads, logged("json", f"{code}import asyncio\nasyncio.run(f())"))
    assert (first["logger"], first["msg"]) == ("kopf.x", "a")
    assert "b" in second["msg"]
    assert (third["level"], third["msg"]) == ("critical", "KeyError: the process ends")
    assert third["stack"].endswith("KeyError: 'c'")


def test_people_read_text() -> None:
    (only,) = logged("text", "logging.getLogger('x').warning('a')")
    assert only.endswith("WARNING x: a")
