"""The script in a benchmark's pod, run as the pod runs it, beside a server and a `vllm` that is ours."""

from __future__ import annotations

import ast
import datetime
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Health) as serving:
        Thread(target=serving.serve_forever, daemon=True).start()
        yield serving
        serving.shutdown()


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


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


def url(server: HTTPServer, scheme: str = "http", host: str = "127.0.0.1") -> str:
    return f"{scheme}://{host}:{server.server_port}"


def flag(call: dict[str, Any], name: str) -> str:
    words: list[str] = call["words"]
    return words[words.index(name) + 1]


def test_it_warms_up_and_then_measures_each_repeat_with_other_inputs(pod: Pod, server: HTTPServer) -> None:
    ended = pod.run(url(server), "--warmup", "10", "--seed", "7000")
    assert ended.returncode == 0, ended.stderr
    assert [(flag(call, "--num-prompts"), flag(call, "--seed")) for call in pod.calls] == [
        ("10", "7999"),
        ("100", "7000"),
        ("100", "7001"),
    ]
    assert ["--save-result" in call["words"] for call in pod.calls] == [False, True, True]
    assert pod.said == {"repeats": [[99, 1, 2000, 2.0, rate, 10000.0, 9.123, 8.0, 15.0, 19.0] for rate in (52.0, 53.0)]}
    assert "embedding-operator bench: repeat 2 of 2: 100 prompts" in ended.stdout
    assert ended.stdout.count("Serving Benchmark Result") == 3  # what vLLM says is in the log


def test_what_was_not_completed_has_failed_whatever_went_into_one_request(pod: Pod, server: HTTPServer) -> None:
    assert pod.run(url(server), "--inputs-per-request", "32", FAKE_RESULT='{"completed": 3}').returncode == 0
    assert [repeat[:2] for repeat in pod.said["repeats"]] == [[3, 1], [3, 1]]  # 100 inputs are 4 requests


def test_the_figures_of_the_most_repeats_fit_into_the_termination_message(pod: Pod, server: HTTPServer) -> None:
    large = {"completed": 999_999, "total_input_tokens": 10**12, "duration": 123456.789, "request_throughput": 98765.43}
    large |= {f"{name}_e2el_ms": 1234567.891 for name in ("mean", "median", "p90", "p99")}
    more = ("--repeats", "20", "--prompts", "1000000")
    assert pod.run(url(server), *more, FAKE_RESULT=json.dumps(large)).returncode == 0
    assert len(pod.said["repeats"]) == 20


def test_prompts_of_a_file_are_sent_as_they_are_by_whatever_flag_there_is(pod: Pod, server: HTTPServer) -> None:
    assert pod.run(url(server), "--as-they-are").returncode == 0
    assert all("--custom-skip-chat-template" in call["words"] for call in pod.calls)


def test_a_key_reaches_vllm_by_its_environment_and_is_shown_nowhere(
    pod: Pod, server: HTTPServer, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "..data").write_text("not this one")
    (keys / "b").write_text("second")
    (keys / "a").write_text("s3cr3t\n")
    ended = pod.run(url(server), "--api-keys", str(keys))
    assert {call["OPENAI_API_KEY"] for call in pod.calls} == {"s3cr3t"}
    assert "s3cr3t" not in ended.stdout + ended.stderr + str([call["words"] for call in pod.calls]) + str(pod.said)


def test_raw_results_are_kept_whole(pod: Pod, server: HTTPServer, tmp_path: Path) -> None:
    assert pod.run(url(server), "--keep", str(tmp_path / "out/table"), "--keep-as", "run-3").returncode == 0
    kept = sorted(path.name for path in (tmp_path / "out/table").iterdir())
    assert kept == ["run-3-repeat-1.json", "run-3-repeat-2.json"]
    assert json.loads((tmp_path / "out/table" / kept[1]).read_text())["request_throughput"] == 52.0


def refusal(pod: Pod, ended: subprocess.CompletedProcess[str], code: int) -> tuple[str, str]:
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    said = pod.said
    assert said["message"] in ended.stderr
    return said["reason"], said["message"]


def test_what_vllm_cannot_do_is_told_in_its_last_words(pod: Pod, server: HTTPServer) -> None:
    reason, message = refusal(pod, pod.run(url(server), FAKE_FAILS="no such model"), 1)
    assert (reason, message) == ("BenchFailed", "vllm bench serve ended with 1: ValueError: no such model")


def test_last_words_in_any_script_fit_into_the_termination_message(pod: Pod, server: HTTPServer) -> None:
    reason, message = refusal(pod, pod.run(url(server), FAKE_FAILS="\N{PILE OF POO}" * 1000, PYTHONUTF8="1"), 1)
    assert reason == "BenchFailed"
    assert message.endswith("\N{PILE OF POO}")


def test_a_pod_that_is_deleted_sends_no_more_and_does_not_wait_to_be_killed(pod: Pod, server: HTTPServer) -> None:
    with pod.start(url(server), FAKE_HANGS="yes") as process:
        assert process.stdout is not None
        load = next(int(line.split()[1]) for line in process.stdout if line.startswith("pid"))
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM  # handled: a container's first process is not ended else
    with pytest.raises(ProcessLookupError):
        os.kill(load, 0)


def test_a_result_that_lacks_figures_is_none(pod: Pod, server: HTTPServer) -> None:
    reason, message = refusal(pod, pod.run(url(server), FAKE_RESULT='{"p99_e2el_ms": null}'), 3)
    assert (reason, message) == ("NoResult", "the result of vllm bench serve has no p99_e2el_ms: None")


def test_an_image_without_vllm_is_no_use(pod: Pod, server: HTTPServer) -> None:
    (pod.directory / "vllm").unlink()
    reason, message = refusal(pod, pod.run(url(server)), 3)
    assert reason == "NoVllm"
    assert message.endswith("vllm cannot be run: No such file or directory")


def test_an_empty_secret_lets_nobody_in(pod: Pod, server: HTTPServer, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    reason, message = refusal(pod, pod.run(url(server), "--api-keys", str(keys)), 3)
    assert (reason, message) == (
        "NoApiKey",
        "no value of the service's API key Secret is a key: put one into it",
    )


def test_a_volume_that_may_not_be_written_is_told(pod: Pod, server: HTTPServer, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file, and no folder")
    reason, message = refusal(pod, pod.run(url(server), "--keep", str(tmp_path / "out")), 3)
    assert reason == "OutputRefused"
    assert "run-repeat-1.json cannot be kept: " in message


def test_who_does_not_answer_is_tried_again_by_the_job(pod: Pod, server: HTTPServer) -> None:
    (pod.directory / "drive.py").write_text(SOURCE.replace("_PAUSE = 5.0", "_PAUSE = 0.01"))
    reason, message = refusal(pod, pod.run("http://127.0.0.1:9"), 1)
    assert reason == "Unreachable"
    assert message.startswith("http://127.0.0.1:9 cannot be reached: ")


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A certificate that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    directory.mkdir()
    crt, private = directory / "tls.crt", directory / "key"
    crt.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return crt, private


@pytest.fixture
def secured(server: HTTPServer, tmp_path: Path) -> Path:
    """The server speaks HTTPS, as `localhost`. Returns the directory of its certificate."""
    crt, private = certificate(tmp_path / "tls", "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, private)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    private.unlink()
    return tmp_path / "tls"


def test_the_service_is_trusted_by_its_certificate_and_vllm_is_told(
    pod: Pod, server: HTTPServer, secured: Path
) -> None:
    ended = pod.run(url(server, "https", "localhost"), "--certificates", str(secured))
    assert ended.returncode == 0, ended.stderr
    assert all(str(call["SSL_CERT_FILE"]).endswith("/trusted.pem") for call in pod.calls)


def test_a_certificate_of_another_host_is_refused_with_what_to_do(pod: Pod, server: HTTPServer, secured: Path) -> None:
    reason, message = refusal(pod, pod.run(url(server, "https"), "--certificates", str(secured)), 3)
    assert reason == "CertificateRefused"
    assert "issue it for 127.0.0.1 as well" in message


def test_a_certificate_of_somebody_unknown_is_refused_with_what_to_do(
    pod: Pod, server: HTTPServer, secured: Path, tmp_path: Path
) -> None:
    certificate(tmp_path / "other", "localhost")
    ended = pod.run(url(server, "https", "localhost"), "--certificates", str(tmp_path / "other"))
    reason, message = refusal(pod, ended, 3)
    assert reason == "CertificateRefused"
    assert "into the same Secret as ca.crt" in message


def test_the_script_is_for_old_pythons_and_needs_nothing_else() -> None:
    tree = ast.parse(SOURCE, feature_version=(3, 9))
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)])
    }
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names
    assert not any(isinstance(node, ast.Match) for node in ast.walk(tree))
