"""The startup probe: one real embedding request against the server in this pod.

`/health` of vLLM answers 200 before anybody knows whether the model gives vectors, so a pod becomes Ready
only after one came back. Exit 0 for a finite, non-zero vector, else 1 and one line on stderr, which kubelet
shows in the pod's events. It must never change the server's state, and never print more than that line.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import socket
import sys

TEXT = "Is this model ready?"
MAX_ANSWER = 8 << 20  # a vector of 4096 numbers is about 80 KiB of JSON
MAX_LINE = 300
TIMEOUT = 10.0  # seconds; below the probe's timeoutSeconds, or kubelet's own words take the place of ours


class NotReadyError(Exception):
    """What is missing, in one line."""


def request_vector(host: str, port: int, model: str, timeout: float) -> tuple[int, bytes]:
    """(HTTP status, body), or NotReadyError where there is no answer."""
    body = json.dumps({"model": model, "input": TEXT, "encoding_format": "float"})
    headers = {"Content-Type": "application/json", "Connection": "close"}
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("POST", "/v1/embeddings", body, headers)
        response = connection.getresponse()
        return response.status, response.read(MAX_ANSWER)
    except ConnectionRefusedError:
        # vLLM listens only once the engine is ready; until then there is no "503 loading".
        raise NotReadyError(f"port {port} refuses connections: the model is still loading") from None
    except socket.timeout:  # noqa: UP041  (TimeoutError is another class before Python 3.10)
        raise NotReadyError(f"no answer to an embedding request within {timeout:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise NotReadyError(f"the embedding request failed: {type(error).__name__}: {error}".rstrip(": ")) from None
    finally:
        connection.close()


def error_message(body: bytes) -> str:
    """What the server says is wrong: vLLM's error object, else the start of the text."""
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:MAX_LINE].decode("utf-8", "replace")


def check(status: int, body: bytes, model: str) -> int:
    """The vector's length, or NotReadyError."""
    if status == 404:
        raise NotReadyError(f"no embeddings for the model {model!r} (HTTP 404): {error_message(body)}")
    if status != 200:
        raise NotReadyError(f"the embedding request got HTTP {status}: {error_message(body)}")
    try:
        vector = json.loads(body)["data"][0]["embedding"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise NotReadyError(f"the answer holds no vector: {body[:100].decode('utf-8', 'replace')}") from None
    if not isinstance(vector, list) or not vector:
        raise NotReadyError("the vector is empty or not a list")
    if not all(type(number) in (int, float) and math.isfinite(number) for number in vector):
        raise NotReadyError("the vector holds values that are not finite numbers")
    if not any(vector):
        raise NotReadyError(f"all {len(vector)} numbers of the vector are zero")
    return len(vector)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True, help="the served name")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds for the answer")
    options = parser.parse_args()
    try:
        length = check(*request_vector(options.host, options.port, options.model, options.timeout), options.model)
    except NotReadyError as error:
        print(" ".join(str(error).split())[:MAX_LINE], file=sys.stderr)
        return 1
    print(f"{options.model}: a vector of {length} numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
