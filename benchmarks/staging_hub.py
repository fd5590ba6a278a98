"""A hub that is not the limit: nginx sends the bytes, the stand-in hub behind it answers what is small."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.usage import usage_of
from tests.cluster.cache import cache_dir
from tests.cluster.certificates import Authority
from tests.cluster.packages import unpacked
from tests.ports import free_ports
from tests.standins.modelhub import ModelHub

REPO = "Acme/Big-Embedding"
SHARD = 2_000_000_000
BLOCK = 16 << 20

_CONFIGURATION = """
{user}
daemon off;
worker_processes auto;
pid {directory}/nginx.pid;
error_log stderr;
events {{}}
http {{
  log_format bytes '$uri $arg_FilePath $body_bytes_sent';
  access_log {directory}/bytes.log bytes;
  client_body_temp_path {directory}/client;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  server {{
    listen 127.0.0.1:{http};
    listen 127.0.0.1:{https} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    root {files};
    location = /api/v1/models/{repo}/repo {{ try_files /$arg_FilePath =404; }}
    location ~ ^/{repo}/resolve/[^/]+/(?<name>.+)$ {{
      add_header X-Repo-Commit {commit};
      try_files /$name =404;
    }}
    location /files/ {{ alias {files}/; }}
    location / {{
      proxy_pass http://127.0.0.1:{hub};
      proxy_set_header Host $http_host;
    }}
  }}
}}
"""


def make_files(directory: Path, total: int) -> None:
    """A model: shards of 2 GB (of half the total if that is less), and the small files that each has."""
    directory.mkdir(parents=True)
    content = random.Random(1)  # noqa: S311 - the same files each time
    for name in ("config.json", "tokenizer_config.json", "special_tokens_map.json", "modules.json"):
        (directory / name).write_bytes(b'{"a": "%s"}' % content.randbytes(700).hex().encode())
    (directory / "tokenizer.json").write_bytes(content.randbytes(11_000_000))
    shard = min(SHARD, total // 2)
    count = total // shard
    block = bytearray(content.randbytes(BLOCK))
    for number in range(1, count + 1):
        with (directory / f"model-{number:05}-of-{count:05}.safetensors").open("wb") as file:
            for position in range(0, shard, BLOCK):
                block[:16] = number.to_bytes(8, "big") + position.to_bytes(8, "big")  # no two blocks are the same
                file.write(block[: shard - position])


@dataclass(frozen=True)
class File:
    """One of the hub's."""

    name: str
    size: int


class Hub:
    """Use as a context manager."""

    def __init__(self, directory: Path, total: int) -> None:
        self._directory = directory
        self.files_directory = directory / "repositories" / REPO
        make_files(self.files_directory, total)
        self.files = [File(path.name, path.stat().st_size) for path in sorted(self.files_directory.iterdir())]
        self._standin = ModelHub(directory / "repositories")
        self._http, self._https = free_ports(2)
        authority = Authority(directory / "authority")
        self.ca_file = authority.certificate
        certificate, key = authority.issue("hub", "localhost", hosts=["localhost"])
        text = _CONFIGURATION.format(
            user="user root;" if os.geteuid() == 0 else "",
            directory=directory,
            http=self._http,
            https=self._https,
            certificate=certificate,
            key=key,
            files=self.files_directory,
            repo=REPO,
            hub=self._standin.port,
            commit=self._standin.repositories.commit(self.files_directory),
        )
        (directory / "nginx.conf").write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.size for file in self.files)

    def url(self, scheme: str) -> str:
        """The endpoint."""
        return f"{scheme}://localhost:{self._https if scheme == 'https' else self._http}"

    def bytes_sent(self) -> int:
        """Bytes of files that went out so far, in answers that have ended."""
        lines = [line.split() for line in (self._directory / "bytes.log").read_text().splitlines()]
        names = {file.name for file in self.files}
        return sum(int(line[-1]) for line in lines if names & {line[0].rpartition("/")[2], line[1]})

    def cpu_seconds(self) -> float:
        """What nginx has used so far."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return sum(usage_of(int(pid)).cpu_seconds for pid in children.split())

    def __enter__(self) -> Self:
        program = unpacked("nginx", cache_dir() / "debian") / "usr" / "sbin" / "nginx"
        self._standin.start()
        with (self._directory / "nginx.log").open("wb") as log:
            arguments = [str(program), "-p", str(self._directory), "-c", "nginx.conf", "-e", "stderr"]
            self._process = subprocess.Popen(arguments, stdout=log, stderr=log)
        for port in (self._http, self._https):
            self._wait_for(port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()
        self._standin.stop()

    def _wait_for(self, port: int) -> None:
        assert self._process is not None
        while self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"nginx ended: {(self._directory / 'nginx.log').read_text().strip()}")


@contextmanager
def counted(hub: Hub) -> Iterator[list[int]]:
    """Afterwards, the list's one number says how many bytes of files went out meanwhile."""
    before, moved = hub.bytes_sent(), [0]
    yield moved
    moved[0] = hub.bytes_sent() - before
