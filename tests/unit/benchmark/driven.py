"""A benchmark's pod: the script, run as the pod runs it, beside a server and a `vllm` that is ours."""

from __future__ import annotations

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from embedding_operator import benchmark

SOURCE = benchmark.source()
# Writes down how it was called, and saves what vLLM saves.
FAKE = """\
import json, os, pathlib, sys
words = sys.argv[1:]
if "--help=all" in words:
    print("  --custom-skip-chat-template  as older ones call it")
    sys.exit()
value = lambda flag: words[words.index(flag) + 1]
with open("calls", "a") as calls:
    kept = {name: os.environ.get(name) for name in ("OPENAI_API_KEY", "SSL_CERT_FILE")}
    print(json.dumps({"words": words} | kept), file=calls)
number = len(open("calls").readlines())
print("============ Serving Benchmark Result ============")
if "--save-result" in words:
    result = {"completed": int(value("--num-prompts")) - 1, "total_input_tokens": 2000, "duration": 2.0}
    result |= {"request_throughput": 50.0 + number, "total_token_throughput": 1e4, "mean_e2el_ms": 9.12345}
    result |= {"median_e2el_ms": 8.0, "p90_e2el_ms": 15.0, "p99_e2el_ms": 19.0}
    result |= json.loads(os.environ.get("FAKE_RESULT", "{}"))
    pathlib.Path(value("--result-dir"), value("--result-filename")).write_text(json.dumps(result))
if os.environ.get("FAKE_FAILS"):
    sys.exit("Traceback of it\\n  in a file\\nValueError: " + os.environ["FAKE_FAILS"])
if os.environ.get("FAKE_HANGS"):
    print("pid", os.getpid(), flush=True)
    __import__("time").sleep(60)
"""


class Health(BaseHTTPRequestHandler):
    """A server that lives."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *words: Any) -> None: ...


class Pod:
    """Where the script runs: a directory with a `vllm` in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "vllm").write_text(f"#!{sys.executable}\n{FAKE}")
        (directory / "vllm").chmod(0o755)
        (directory / "drive.py").write_text(SOURCE)

    def start(self, url: str, *options: str, **environment: str) -> subprocess.Popen[str]:
        words = ["--url", url, "--prompts", "100", "--repeats", "2", *options, "--"]
        load = [str(self.directory / "vllm"), "bench", "serve", "--backend", "openai-embeddings"]
        return subprocess.Popen(
            [sys.executable, "-I", "drive.py", *words, *load],
            cwd=self.directory,
            env={"EMBEDDING_OPERATOR_TERMINATION_LOG": str(self.directory / "said"), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, url: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        with self.start(url, *options, **environment) as process:
            out, err = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @property
    def said(self) -> Any:
        """The termination message."""
        text = (self.directory / "said").read_bytes()
        assert len(text) <= 4096
        return json.loads(text)

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.directory / "calls").read_text().splitlines()]


def url(server: HTTPServer, scheme: str = "http", host: str = "127.0.0.1") -> str:
    return f"{scheme}://{host}:{server.server_port}"


def refusal(pod: Pod, ended: subprocess.CompletedProcess[str], code: int) -> tuple[str, str]:
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    said = pod.said
    assert said["message"] in ended.stderr
    return said["reason"], said["message"]
