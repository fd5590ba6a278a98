"""Runs `vllm bench serve` against a server: once to warm it up, then a few times to measure it.

    python3 drive.py --url https://name.namespace.svc:8000 --repeats 3 --prompts 1000 -- vllm bench serve ...

What comes after `--` is the load without its number of prompts and its seed. The figures of all repeats go into the
termination message, for that survives this pod and is all that the operator reads of it; what vLLM prints goes into the
log. It must never write more than 4 KiB there, and never show a key: vLLM reads that from its environment.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

TRY_AGAIN, PERMANENT = 1, 3
TERMINATION_LOG = "/dev/termination-log"
KEY = re.compile(rb"[!-~]+")  # what can be sent in a header
TEMPLATES = ("--skip-chat-template", "--custom-skip-chat-template")  # one thing, as newer and older vLLM call it
WARMUP = 999  # added to the seed: what warms up is none of what is measured
_TIMEOUT = 10.0  # seconds until the server answers that it lives
_ATTEMPTS = 6
_PAUSE = 5.0
_LONGEST = 400  # characters of what somebody said
_TAIL = 64 * 1024
_OF_ANOTHER_HOST = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


class BenchError(Exception):
    """What keeps the benchmark from being done, in one line."""

    def __init__(self, reason: str, message: str, code: int = TRY_AGAIN) -> None:
        super().__init__(message)
        self.reason, self.code = reason, code


def first_key(directory: str) -> str:
    """One of the server's API keys, each a file of a mounted Secret."""
    try:
        files = sorted(path for path in Path(directory).iterdir() if not path.name.startswith(".."))
        keys = [path.read_bytes().strip() for path in files]
    except OSError as error:
        raise BenchError("NoApiKey", f"the API keys in {directory} cannot be read: {error.strerror}") from None
    key = next((key for key in keys if KEY.fullmatch(key)), None)
    if key is None:
        raise BenchError("NoApiKey", "no value of the service's API key Secret is a key: put one into it", PERMANENT)
    return key.decode("ascii")


def trusted(directory: str, scratch: Path) -> Path:
    """A file of all that this pod trusts: what the system does, and what is beside the service's certificate."""
    bundles = [ssl.get_default_verify_paths().cafile, *map(str, sorted(Path(directory).glob("*.crt")))]
    joined = scratch / "trusted.pem"
    joined.write_text("\n".join(Path(one).read_text(encoding="utf-8") for one in bundles if one))
    return joined


def greet(url: str, bundle: Path | None) -> None:
    """Ask the server whether it lives, so that what keeps us from it has a name; BenchError if it does not answer."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    context = ssl.create_default_context(cafile=str(bundle)) if bundle else None
    connection = (
        http.client.HTTPSConnection(host, port, timeout=_TIMEOUT, context=context)
        if context
        else http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    )
    try:
        connection.request("GET", "/health")
        status = connection.getresponse().status
    except ssl.SSLCertVerificationError as error:
        raise BenchError("CertificateRefused", _about_certificate(error, host), PERMANENT) from None
    except socket.timeout:  # noqa: UP041  (TimeoutError is another class before Python 3.10)
        told = "if the service has a networkPolicy, let pods with app.kubernetes.io/name=embedding-benchmark in"
        raise BenchError("Unreachable", f"{url} does not answer within {_TIMEOUT:g} s: {told}") from None
    except (OSError, http.client.HTTPException) as error:
        raise BenchError("Unreachable", f"{url} cannot be reached: {error}") from None
    finally:
        connection.close()
    if status != 200:
        raise BenchError("Unreachable", f"{url}/health answers HTTP {status}")


def _about_certificate(error: ssl.SSLCertVerificationError, host: str) -> str:
    said = error.verify_message or str(error)
    cure = (
        f"issue it for {host} as well"
        if error.verify_code in _OF_ANOTHER_HOST
        else "put the certificate of whoever issued it into the same Secret as ca.crt"
    )
    return f"the service's certificate is not trusted ({said}): {cure}"


def patiently(ask: Callable[[], None]) -> None:
    """A server that is being told of by its Service a moment later is there soon."""
    for _ in range(_ATTEMPTS - 1):
        try:
            ask()
        except BenchError as error:
            if error.code == PERMANENT:
                raise
            time.sleep(_PAUSE)
        else:
            return
    ask()


def bench(command: list[str], environment: dict[str, str], result: Path | None) -> dict[str, Any]:
    """Run vLLM once. Returns what it saved; BenchError if that is nothing."""
    if result is not None:
        command = [*command, "--save-result", "--result-dir", str(result.parent), "--result-filename", result.name]
    said = b""
    try:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        raise BenchError("NoVllm", f"{command[0]} cannot be run: {error.strerror}", PERMANENT) from None
    assert process.stdout is not None
    try:
        for line in process.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
            said = (said + line)[-_TAIL:]
        process.wait()
    finally:
        process.kill()  # where we are told to end; else it has ended
        process.wait()
    if process.returncode != 0:
        raise BenchError("BenchFailed", f"vllm bench serve ended with {process.returncode}: {last_words(said)}")
    if result is None:
        return {}
    try:
        saved = json.loads(result.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BenchError("NoResult", f"vllm bench serve left no result: {error}") from None
    if not isinstance(saved, dict):
        raise BenchError("NoResult", "vllm bench serve left a result that is no object")
    return saved


def untemplated(load: list[str], environment: dict[str, str]) -> list[str]:
    """The load, told to send prompts as they are: not every tokenizer has a chat template."""
    asked = [*load[:3], "--help=all"]
    told = subprocess.run(asked, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    known = set(re.findall(r"--[a-z-]+", told.decode("utf-8", "replace")))
    return load + [flag for flag in TEMPLATES if flag in known][:1]


def last_words(said: bytes) -> str:
    """The last line, which of a traceback is the exception."""
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:_LONGEST] if lines else "it said nothing"


def figures(saved: dict[str, Any], requests: int) -> list[float]:
    """A result in few numbers: done, failed, tokens, seconds, requests and tokens a second, and in milliseconds mean,
    median, p90 and p99. vLLM's JSON does not say how many failed."""
    done = int(number(saved, "completed"))
    return [
        done,
        max(0, requests - done),
        int(number(saved, "total_input_tokens", "total_input")),
        *(
            round(number(saved, *names), 3)
            for names in (
                ("duration",),
                ("request_throughput",),
                ("total_token_throughput",),
                ("mean_e2el_ms",),
                ("median_e2el_ms", "p50_e2el_ms"),
                ("p90_e2el_ms",),
                ("p99_e2el_ms",),
            )
        ),
    ]


def number(saved: dict[str, Any], *names: str) -> float:
    """The first of these that is there."""
    value = next((saved[name] for name in names if saved.get(name) is not None), None)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BenchError("NoResult", f"the result of vllm bench serve has no {names[0]}: {value!r}", PERMANENT)
    return float(value)


def keep(result: Path, directory: str, name: str) -> None:
    """Copy a raw result to where it is kept; whoever finds it there finds all of it."""
    target = Path(directory) / name
    unfinished = target.with_name(f".{name}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(result, unfinished)
        with unfinished.open("rb") as copied:
            os.fsync(copied.fileno())
        os.replace(unfinished, target)  # noqa: PTH105
    except OSError as error:
        said = f"{error.strerror} on the claim of spec.output: let user {os.getuid()} write there"
        raise BenchError("OutputRefused", f"{name} cannot be kept: {said}", PERMANENT) from None


def measure(options: argparse.Namespace, load: list[str], scratch: Path) -> list[list[float]]:
    """All of it. BenchError says what it was that kept it from being done."""
    environment = dict(os.environ)
    if options.api_keys:
        environment["OPENAI_API_KEY"] = first_key(options.api_keys)
    bundle = trusted(options.certificates, scratch) if options.certificates else None
    if bundle:
        environment["SSL_CERT_FILE"] = str(bundle)
    patiently(lambda: greet(options.url, bundle))
    if options.as_they_are:
        load = untemplated(load, environment)
    if options.warmup:
        say(f"warming up with {options.warmup} prompts")
        bench([*load, *amount(options.warmup, options.seed + WARMUP)], environment, None)
    requests, done = math.ceil(options.prompts / options.inputs_per_request), []
    for repeat in range(options.repeats):
        say(f"repeat {repeat + 1} of {options.repeats}: {options.prompts} prompts")
        result = scratch / f"repeat-{repeat + 1}.json"
        saved = bench([*load, *amount(options.prompts, options.seed + repeat)], environment, result)
        done.append(figures(saved, requests))
        if options.keep:
            keep(result, options.keep, f"{options.keep_as}-repeat-{repeat + 1}.json")
    return done


def amount(prompts: int, seed: int) -> list[str]:
    return ["--num-prompts", str(prompts), "--seed", str(seed)]


def say(what: str) -> None:
    """A line of progress, which the command `bench` shows."""
    print(f"embedding-operator bench: {what}", flush=True)


def leave(message: dict[str, Any], code: int) -> NoReturn:
    """The last words, and the end."""
    try:
        told = Path(os.environ.get("EMBEDDING_OPERATOR_TERMINATION_LOG", TERMINATION_LOG))
        told.write_text(json.dumps(message, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    except OSError as error:
        print(f"the termination message cannot be written: {error}", file=sys.stderr)
        code = code or TRY_AGAIN
    sys.exit(code)


def end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def main() -> NoReturn:
    # a container's first process is not ended by a signal that it does not handle, and its load would go on until it is
    # killed, beside that of the benchmark whose turn is next
    signal.signal(signal.SIGTERM, end)
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", required=True, help="the server, without a path")
    parser.add_argument("--prompts", type=int, required=True, help="inputs in each repeat")
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--warmup", type=int, default=0, help="inputs before the first repeat")
    parser.add_argument("--seed", type=int, default=0, help="of the first repeat; each has the next")
    parser.add_argument("--inputs-per-request", type=int, default=1)
    parser.add_argument("--as-they-are", action="store_true", help="put no chat template around the prompts of a file")
    parser.add_argument("--api-keys", metavar="DIR", help="a mounted Secret with the server's API keys")
    parser.add_argument("--certificates", metavar="DIR", help="a mounted Secret with the server's certificate")
    parser.add_argument("--keep", metavar="DIR", help="where to keep raw results")
    parser.add_argument("--keep-as", default="run", metavar="NAME", help="how their names begin")
    parser.add_argument("load", nargs="+", metavar="-- COMMAND")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            done = measure(options, list(options.load), Path(scratch))
    except BenchError as error:
        print(f"embedding-operator bench: {error}", file=sys.stderr, flush=True)
        leave({"reason": error.reason, "message": " ".join(str(error).split())[: 2 * _LONGEST]}, error.code)
    leave({"repeats": done}, 0)


if __name__ == "__main__":
    main()
