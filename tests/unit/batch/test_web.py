"""Input from a web server: named files, in ranges, and none that changed meanwhile."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from embedding_operator.batch.errors import BatchError
from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.batch.places import input_of
from embedding_operator.batch.rows import BadRow, Row

from .given import Volume, rows_of
from .test_values import PNG, PNG_URL


class Web:
    """A web server with files in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges = self.tags = True
        self.seen: list[str | None] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                web.seen.append(self.headers.get("Authorization"))
                data = web.files.get(self.path)
                if data is None:
                    self.reply(404, b"")
                    return
                told = {"ETag": f'"{hash(data)}"'} if web.tags else {}
                asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                if asked is None or not web.ranges:
                    self.reply(200, data, **told)
                    return
                start, end = int(asked[1]), min(int(asked[2]) + 1, len(data))
                if start >= len(data):
                    self.reply(416, b"", **told, **{"Content-Range": f"bytes */{len(data)}"})
                else:
                    told["Content-Range"] = f"bytes {start}-{end - 1}/{len(data)}"
                    self.reply(206, data[start:end], **told)

            def reply(self, status: int, body: bytes, **headers: str) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/data"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = Web()
    thread = threading.Thread(target=running.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield running
    finally:
        running.server.shutdown()
        thread.join()
        running.server.server_close()


def job_of(web: Web, volume: Volume, **fields: object) -> JobSpec:
    job = volume.job(**{"idField": "id", "files": ["a b.jsonl"]} | fields)  # type: ignore[arg-type]
    return job.model_copy(update={"input": job.input.model_copy(update={"root": web.url})})


def test_named_files_are_read_in_ranges(web: Web, volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_SOURCE_TOKEN", "secret\n")
    web.files["/data/a%20b.jsonl"] = b"".join(b'{"id": %d, "text": "x"}\n' % n for n in range(20))
    web.files["/data/empty.jsonl"] = b""
    job = job_of(web, volume, files=["a b.jsonl", "empty.jsonl"], shard_bytes=70)

    shards = volume.shards(job)

    assert len(shards) == 7
    assert [row.id for row in rows_of(job, shards)] == list(range(20))
    assert set(web.seen) == {"Bearer secret"}


def test_images_are_read_below_the_address(web: Web, volume: Volume) -> None:
    web.files["/data/a%20b.jsonl"] = b"".join(
        b'{"id": 1, "image": "%s"}\n' % path for path in (b"1.png", b"2.png", b"../1.png")
    )
    web.files["/data/1.png"] = PNG
    job = job_of(web, volume, textField=None, imageField="image")

    good, *bad = rows_of(job, volume.shards(job))

    assert good == Row(0, 1, image=PNG_URL)
    assert ["HTTP 404" in row.message or "leads out" in row.message for row in bad if isinstance(row, BadRow)] == [
        True
    ] * 2


def test_a_file_that_changed_ends_the_job(web: Web, volume: Volume) -> None:
    web.files["/data/a%20b.jsonl"] = b'{"id": 1, "text": "x"}\n'
    job = job_of(web, volume)
    shards = volume.shards(job)
    web.files["/data/a%20b.jsonl"] = b'{"id": 2, "text": "x"}\n'

    with pytest.raises(BatchError, match=r"a b\.jsonl was changed"):
        rows_of(job, shards)


@pytest.mark.parametrize(
    ("change", "files", "message"),
    [
        ({}, ["*.jsonl"], "cannot be looked for on a web server"),
        ({}, ["none.jsonl"], r"none\.jsonl is not at 127\.0\.0\.1 \(HTTP 404\)"),
        ({"ranges": False}, ["a b.jsonl"], "gives no ranges of files"),
        ({"tags": False}, ["a b.jsonl"], "tells neither ETag nor Last-Modified"),
    ],
)
def test_what_cannot_be_read_is_told_before_any_work(
    web: Web, volume: Volume, change: dict[str, bool], files: list[str], message: str
) -> None:
    web.files["/data/a%20b.jsonl"] = b"{}\n"
    for name, value in change.items():
        setattr(web, name, value)

    with pytest.raises(BatchError, match=message) as caught:
        input_of(job_of(web, volume)).listed(files)
    assert caught.value.exit_code == 3
