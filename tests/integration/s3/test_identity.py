"""Keys for S3 that nobody wrote down: a cloud's agent on the node, and a role in exchange for the pod's own token."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from embedding_operator.staging.main import main_stage
from embedding_operator.staging.settings import Settings
from tests.cluster.certificates import Authority
from tests.integration.s3.support import KEY, SECRET, Server, refused, spec, staged
from tests.unit.staging.kit import QUICK


class _Identity(BaseHTTPRequestHandler):
    """What a cloud's agent answers to a pod that shows its token, as on EKS with Pod Identity."""

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        known = self.headers.get("Authorization") == "the-pods-own-token"
        keys = {"AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": "", "Expiration": "2999-01-01T00:00:00Z"}
        body = json.dumps(keys if known else {"message": "who are you?"}).encode()
        self.send_response(200 if known else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.mark.parametrize("token", ["the-pods-own-token", "another"])
async def test_a_workload_identity_reads(
    server: Server, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    agent = ThreadingHTTPServer(("127.0.0.1", 0), _Identity)
    Thread(target=agent.serve_forever, daemon=True).start()
    (tmp_path / "token").write_text(token)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{agent.server_address[1]}/v1")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    try:
        if token == "another":
            error = await refused(server, tmp_path)
            assert error.reason == "Unauthorized"
            assert "no credentials could be had by AWS_CONTAINER_CREDENTIALS_FULL_URI" in error.message
        else:
            assert (await staged(server, tmp_path)).files == 5
    finally:
        agent.shutdown()
        agent.server_close()


ROLE = "arn:aws:iam::1:role/reader"


class _TokenService(BaseHTTPRequestHandler):
    """AWS's STS, as far as pods use it on EKS with IRSA."""

    seconds_left = 3600
    asked: ClassVar[list[str]] = []

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        self.asked.append(query["Action"])
        known = query["WebIdentityToken"] == "the-pods-own-token" and query["RoleArn"] == ROLE
        ends = datetime.fromtimestamp(time.time() + self.seconds_left, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        keys = (
            f"<AccessKeyId>{KEY}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken/>"
            f"<Expiration>{ends}</Expiration>"
        )
        answer = f"<AssumeRoleWithWebIdentityResult><Credentials>{keys}</Credentials></AssumeRoleWithWebIdentityResult>"
        body = f'<R xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{answer if known else ""}</R>'.encode()
        self.send_response(200 if known else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def token_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """It speaks TLS with a certificate that only the site vouches for: gives that authority's."""
    authority = Authority(tmp_path / "authority")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("sts", "localhost", hosts=["localhost"]))
    service = ThreadingHTTPServer(("127.0.0.1", 0), _TokenService)
    service.socket = context.wrap_socket(service.socket, server_side=True)
    Thread(target=service.serve_forever, daemon=True).start()
    (tmp_path / "token").write_text("the-pods-own-token\n")
    monkeypatch.setattr(_TokenService, "asked", [])
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"https://localhost:{service.server_address[1]}")
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    try:
        yield authority.certificate
    finally:
        service.shutdown()
        service.server_close()


def by_role(server: Server, tmp_path: Path, **environ: str) -> dict[str, Any]:
    """What the process says that reads by the pod's role."""
    log = tmp_path / "log"
    main_stage(spec(server, tmp_path / "volume"), {"TERMINATION_LOG": str(log), **environ}, Settings(**QUICK))
    told: dict[str, Any] = json.loads(log.read_text())
    return told


def test_a_role_of_the_pod_is_taken_past_the_sites_own_certificates(
    server: Server, source: Path, tmp_path: Path, token_service: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert by_role(server, tmp_path, EXTRA_CA_FILE=str(token_service))["files"] == 5
    assert _TokenService.asked == ["AssumeRoleWithWebIdentity"]
    output = capfd.readouterr()
    for secret in ("the-pods-own-token", KEY, SECRET, "WebIdentityToken"):
        assert secret not in output.out + output.err


def test_keys_that_end_soon_are_asked_for_anew(
    server: Server, source: Path, tmp_path: Path, token_service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_TokenService, "seconds_left", 60)
    assert by_role(server, tmp_path, EXTRA_CA_FILE=str(token_service))["files"] == 5
    assert len(_TokenService.asked) > 5


def test_a_token_service_that_nobody_vouches_for_is_told_with_what_to_do(
    server: Server, source: Path, tmp_path: Path, token_service: Path
) -> None:
    told = by_role(server, tmp_path)
    assert told["reason"] == "HubUnavailable"
    assert (
        "the TLS certificate of localhost is not trusted: give the stager your CA by staging.caBundle"
        in told["message"]
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/another"),
            "gives no keys for role arn:aws:iam::1:role/another (HTTP 403)",
        ),
        (
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere"),
            "the token that AWS_WEB_IDENTITY_TOKEN_FILE names cannot be read",
        ),
    ],
)
def test_a_role_that_is_not_given_says_what_to_do(
    server: Server,
    source: Path,
    tmp_path: Path,
    token_service: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: tuple[str, str],
    words: str,
) -> None:
    monkeypatch.setenv(*change)
    told = by_role(server, tmp_path, EXTRA_CA_FILE=str(token_service))
    assert told["reason"] == "Unauthorized"
    assert words in told["message"]


def test_a_proxy_that_is_not_there_is_what_keeps_the_token_service_away(
    server: Server, source: Path, tmp_path: Path, token_service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    told = by_role(server, tmp_path, EXTRA_CA_FILE=str(token_service))
    assert told["reason"] == "HubUnavailable"
    assert "cannot connect to the proxy 127.0.0.1:9" in told["message"]
