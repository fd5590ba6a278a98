"""The hub's HTTP server, and the CDN's beside it."""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from . import huggingface
from .body import BrokenConnectionError, cut, plan_body, send_body
from .faults import LISTING, Fault, Faults
from .repository import DEFAULT_BRANCH, Repositories


@dataclass
class Request:
    """One request as the hub saw it."""

    server: str
    """hub or cdn"""
    method: str
    url: str
    path: str
    """The file's path inside its repository; @listing for a listing."""
    range: str | None
    credentials: bool
    status: int = 0
    count: int = 0
    """Bytes of the body that were sent."""
    stopped: threading.Event = field(default_factory=threading.Event)
    """Set when the hub stops, so that a stalled answer ends."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    name = "hub"
    hub: ModelHub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what this server is for."""


class ModelHub:
    """A hub on its port and a CDN on another; use as a context manager."""

    def __init__(
        self,
        root: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        cdn_port: int = 0,
        tokens: dict[str, str] | None = None,
    ) -> None:
        self.repositories = Repositories(Path(root))
        self.tokens = dict(tokens or {})
        """Private repositories, each with the token that opens it."""
        self.gated: dict[str, str] = {}
        """Repositories that anybody may list, each with the token whose account may read it."""
        self.faults = Faults()
        self.requests: list[Request] = []
        self._stopped = threading.Event()
        self._servers = [_Server((host, port), Handler), _Server((host, cdn_port), Handler)]
        self._servers[1].name = "cdn"
        for server in self._servers:
            server.hub = self

    @property
    def port(self) -> int:
        return self._servers[0].server_address[1]

    @property
    def cdn_port(self) -> int:
        return self._servers[1].server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fault(self, name: str, match: str = "*", value: Any = None, times: int = -1) -> None:
        self.faults.add(Fault(name, match, value, times))

    def bytes_sent(self, match: str = "") -> int:
        """Bytes of file bodies that went out, of all files or of one."""
        return sum(r.count for r in list(self.requests) if r.path != LISTING and match in ("", r.path))

    def speak_tls(self, context: ssl.SSLContext) -> None:
        """The hub's own port, not the CDN's, answers https from now on."""
        self._servers[0].socket = context.wrap_socket(self._servers[0].socket, server_side=True)

    def start(self) -> ModelHub:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        self._stopped.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def record(self, request: Request) -> Request:
        request.stopped = self._stopped
        self.requests.append(request)
        return request

    def __enter__(self) -> ModelHub:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: `hub.requests` knows."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        steps = [unquote(step) for step in parts.path.strip("/").split("/")]
        if steps[0] == "__control__":
            self._control_get()
        elif steps[0] == "cdn" and len(steps) >= 5:
            self._cdn(steps[1:], query)
        elif steps[:3] == ["api", "v1", "models"] and len(steps) >= 5 and self.server.name == "hub":
            self._models(f"{steps[3]}/{steps[4]}", steps[5:], query)
        elif self.server.name == "cdn" or not huggingface.answer(self, steps, query):
            self._error(404, "no such page")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        if urlsplit(self.path).path != "/__control__/faults":
            return self._error(404, "no such page")
        length = int(self.headers.get("Content-Length") or 0)
        try:
            for row in json.loads(self.rfile.read(length)):
                self.hub.faults.add(Fault(**row))
        except (ValueError, TypeError) as error:
            return self._error(400, str(error))
        return self.answer_json(self.hub.faults.as_list())

    def do_DELETE(self) -> None:
        if urlsplit(self.path).path != "/__control__/faults":
            return self._error(404, "no such page")
        self.hub.faults.clear()
        return self.answer_json([])

    @property
    def hub(self) -> ModelHub:
        return self.server.hub

    def _control_get(self) -> None:
        if self.path.endswith("/requests"):
            rows = [{k: v for k, v in vars(r).items() if k != "stopped"} for r in list(self.hub.requests)]
            return self.answer_json(rows)
        return self.answer_json(self.hub.faults.as_list())

    def _models(self, repo: str, rest: list[str], query: dict[str, str]) -> None:
        path = query.get("FilePath", LISTING) if rest == ["repo"] else LISTING
        record = self.record(path)
        if self.spoiled(path):
            return None
        if not self.hub.repositories.exists(repo):
            return self._error(404, f"repo {repo} not found")
        if self.hub.tokens.get(repo) not in (None, self.token()):
            return self._error(403 if self.token() else 401, "no permission")
        revision = query.get("Revision") or DEFAULT_BRANCH
        directory = self.hub.repositories.resolve(repo, revision)
        if directory is None:
            return self._error(404, f"revision {revision} not found")
        if rest == ["repo", "files"] and (refusal := self.hub.faults.take("code", path)):
            return self.answer_json({"Code": refusal.value, "Success": False, "Message": "as asked for", "Data": None})
        if rest == ["repo", "files"]:
            return self._listing(directory, query)
        if rest == ["repo"]:
            if revision not in self.hub.repositories.revisions(repo) and self.hub.faults.take("no-commit-reads", path):
                return self._error(404, f"revision {revision} not found")
            return self._file(repo, directory, path, record)
        if rest == ["revisions"]:
            names = [{"Revision": name} for name in self.hub.repositories.revisions(repo)]
            return self._data({"RevisionMap": {"Branches": names[:1], "Tags": names[1:]}})
        if not rest:
            owner, name = repo.split("/")
            return self._data({"Name": name, "Path": owner, "Revision": DEFAULT_BRANCH})
        return self._error(404, "no such page")

    def token(self) -> str | None:
        header = self.headers.get("Authorization", "")
        return header[len("Bearer ") :] if header.startswith("Bearer ") else None

    def _listing(self, directory: Path, query: dict[str, str]) -> None:
        faults = self.hub.faults
        recursive = query.get("Recursive", "").lower() == "true"
        rows = self.hub.repositories.entries(directory, query.get("Root", "").strip("/"), recursive)
        for row in rows:
            if row["Type"] == "blob" and faults.take("no-sha256", row["Path"]):
                row["Sha256"] = ""
            if row["Type"] == "blob" and faults.take("wrong-sha256", row["Path"]):
                row["Sha256"] = hashlib.sha256(row["Path"].encode()).hexdigest()
        rows += [fault.value for fault in faults.take_all("extra-entry")]
        if limit := faults.take("listing-limit", LISTING):
            rows = rows[: int(limit.value)]
        commit = "" if faults.take("no-commit", LISTING) else self.hub.repositories.commit(directory)
        self._data({"Files": rows, "LatestCommitter": {"Id": commit}})

    def _file(self, repo: str, directory: Path, path: str, record: Request) -> None:
        file = self.hub.repositories.file(directory, path)
        if file is None:
            return self._error(404, f"file {path} not found")
        if self.hub.faults.take("redirect-loop", path):
            return self.answer_raw(302, b"", {"Location": self.path})
        if redirect := self.hub.faults.take("redirect", path):
            host = (self.headers.get("Host") or "127.0.0.1").rsplit(":", 1)[0]
            base = f"http://{host}:{self.hub.cdn_port}" if redirect.value == "port" else ""
            commit = self.hub.repositories.commit(directory)
            name = path if redirect.value == "raw" else quote(path)
            location = f"{base}/cdn/{repo}/{commit}/{name}?Signature=only-for-this-link"
            return self.answer_raw(302, b"", {"Location": location})
        return self.send_file(path, file, record)

    def _cdn(self, steps: list[str], query: dict[str, str]) -> None:
        repo, commit, path = "/".join(steps[:2]), steps[2], "/".join(steps[3:])
        record = self.record(path, "cdn")
        if status := self.hub.faults.take("cdn-status", path):
            return self._error(int(status.value), "the CDN refuses")
        if query.get("Signature") != "only-for-this-link":
            return self._error(403, "not signed")
        directory = self.hub.repositories.resolve(repo, commit)
        file = self.hub.repositories.file(directory, path) if directory else None
        return self.send_file(path, file, record) if file else self._error(404, "no such object")

    def send_file(self, path: str, file: Path, record: Request, headers: dict[str, str] | None = None) -> None:
        body = plan_body(path, file, self.headers.get("Range"), self.hub.faults)
        self.send_response(body.status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(body.length))
        if body.content_range:
            self.send_header("Content-Range", body.content_range)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        record.status = body.status
        if self.command == "HEAD":
            return
        try:
            send_body(body, self.wfile, self.hub.faults, record)
        except BrokenConnectionError:
            self.close_connection = True
            cut(self.connection)

    def spoiled(self, path: str) -> bool:
        """An answer other than the right one."""
        if busy := self.hub.faults.take("rate-limit", path):
            self._error(429, "too many requests", {"Retry-After": str(busy.value)})
            return True
        if status := self.hub.faults.take("status", path):
            self._error(int(status.value), "as asked for")
            return True
        return False

    def record(self, path: str, server: str = "") -> Request:
        seen = bool(self.headers.get("Authorization") or self.headers.get("Cookie"))
        request = Request(server or self.server.name, self.command, self.path, path, self.headers.get("Range"), seen)
        return self.hub.record(request)

    def _data(self, data: Any) -> None:
        self.answer_json({"Code": 200, "Success": True, "Message": "success", "RequestId": "stand-in", "Data": data})

    def _error(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        document = {"Code": status, "Success": False, "Message": message, "RequestId": "stand-in", "Data": None}
        self.answer_raw(status, json.dumps(document).encode(), headers or {})

    def answer_json(self, document: Any) -> None:
        self.answer_raw(200, json.dumps(document).encode(), {})

    def answer_raw(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
