"""Weights from S3: against a real S3 server, which checks signatures, keeps sums and knows ETags."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from awscrt import auth, http

from embedding_operator.staging import s3 as s3_source
from embedding_operator.staging.errors import StageError
from embedding_operator.staging.main import main_stage
from embedding_operator.staging.manifest import read_manifest, write_manifest
from embedding_operator.staging.result import StageResult
from embedding_operator.staging.settings import Settings
from embedding_operator.staging.spec import parse_spec
from embedding_operator.staging.stage import stage
from tests.cluster.binaries import ensure_binaries
from tests.cluster.certificates import Authority
from tests.cluster.sources import S3
from tests.unit.staging.kit import QUICK, make_model, selected_files

BUCKET, PREFIX = "models", "acme/tiny"
KEY, SECRET = "AKIDTHATNOBODYSEES", "a-secret-nobody-may-see"


@dataclass(frozen=True)
class Server:
    """The server, and a client of its own for what the stager never does."""

    url: str

    def request(self, method: str, path: str, data: bytes | None = None, **headers: str) -> int:
        """A signed request; gives the status."""
        with self._send(method, path, data, **headers) as answer:
            return int(answer.status)

    def answer(self, method: str, path: str, data: bytes | None = None) -> ElementTree.Element:
        """A signed request; gives what it says."""
        with self._send(method, path, data) as answer:
            return ElementTree.fromstring(answer.read())

    def _send(self, method: str, path: str, data: bytes | None, **headers: str) -> Any:
        host = self.url.removeprefix("http://")
        sent = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        body = hashlib.sha256(data or b"").hexdigest()
        config = auth.AwsSigningConfig(
            algorithm=auth.AwsSigningAlgorithm.V4,
            signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
            credentials_provider=auth.AwsCredentialsProvider.new_static(KEY, SECRET),
            region="us-east-1",
            service="s3",
            use_double_uri_encode=False,
            should_normalize_uri_path=False,
            signed_body_value=body,
            signed_body_header_type=auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
        )
        request = http.HttpRequest(method, path, http.HttpHeaders(list(sent.items())))
        signed = auth.aws_sign_request(request, config).result()
        plain = urllib.request.Request(self.url + path, data=data, method=method, headers=dict(signed.headers))
        return urllib.request.urlopen(plain)

    def put_in_parts(self, key: str, parts: list[bytes]) -> None:
        """As every tool does it with big files."""
        path = f"/{BUCKET}/{quote(key, safe='/~')}"
        upload = self.answer("POST", f"{path}?uploads=").findtext("{*}UploadId")
        rows = []
        for number, part in enumerate(parts, 1):
            assert self.request("PUT", f"{path}?partNumber={number}&uploadId={upload}", part) == 200
            tag = hashlib.md5(part, usedforsecurity=False).hexdigest()
            rows.append(f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
        body = f"<CompleteMultipartUpload>{''.join(rows)}</CompleteMultipartUpload>".encode()
        told = self.answer("POST", f"{path}?uploadId={upload}", body).findtext("{*}ETag") or ""
        assert told.strip('"').endswith(f"-{len(parts)}")

    def put(self, key: str, data: bytes, *, with_sum: bool = True) -> None:
        stored = {"x_amz_checksum_sha256": base64.b64encode(hashlib.sha256(data).digest()).decode()} if with_sum else {}
        assert self.request("PUT", f"/{BUCKET}/{quote(key, safe='/~')}", data, **stored) == 200


@pytest.fixture(scope="module")
def program() -> Path:
    return ensure_binaries([S3])["versitygw"]


@pytest.fixture
def server(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    for folder in ("objects", "notes", "volume"):
        (tmp_path / folder).mkdir()
    command = [str(program), "--port", address, "--access", KEY, "--secret", SECRET, "--quiet", "posix"]
    process = subprocess.Popen([*command, "--sidecar", str(tmp_path / "notes"), str(tmp_path / "objects")])
    running = Server(f"http://{address}")
    try:
        while process.poll() is None:
            with suppress(urllib.error.URLError, ConnectionError):
                running.request("PUT", f"/{BUCKET}")
                break
            time.sleep(0.05)
        assert process.poll() is None
        yield running
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def source(tmp_path: Path, server: Server) -> Path:
    """A model in the bucket, with sums stored, and other things beside it."""
    directory = tmp_path / "model"
    make_model(directory, size=200_000)
    for path in directory.rglob("*"):
        if path.is_file():
            server.put(f"{PREFIX}/{path.relative_to(directory)}", path.read_bytes())
    server.put("acme/tiny-other/config.json", b"{}")
    return directory


@pytest.fixture
def keys(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kubelet puts them there; the server's fixture took all others away."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def spec(server: Server, volume: Path, **fields: object) -> str:
    s3 = {"bucket": BUCKET, "prefix": PREFIX, "endpoint": server.url, **fields}
    return json.dumps({"source": {"s3": s3}, "root": str(volume), "progressPort": 0})


async def staged(server: Server, tmp_path: Path, **fields: object) -> StageResult:
    text = spec(server, tmp_path / "volume", **fields)
    return await stage(parse_spec(text), settings=Settings(**QUICK))  # type: ignore[arg-type]


async def refused(server: Server, tmp_path: Path, **fields: object) -> StageError:
    with pytest.raises(StageError) as caught:
        await staged(server, tmp_path, **fields)
    assert not (tmp_path / "volume" / "s3").exists()
    return caught.value


@pytest.mark.usefixtures("keys")
async def test_a_prefix_is_staged(server: Server, source: Path, tmp_path: Path) -> None:
    result = await staged(server, tmp_path)
    manifest = read_manifest(tmp_path / "volume" / result.path)
    assert manifest is not None
    assert list(manifest.files) == selected_files(source)
    assert (manifest.source, manifest.repo) == ("s3", "models/acme/tiny")
    assert result.path.startswith("s3/models--acme--tiny/listing-")
    for file in manifest.files:
        assert (tmp_path / "volume" / result.path / file.path).read_bytes() == (source / file.path).read_bytes()


@pytest.mark.usefixtures("keys")
async def test_stored_sums_prove_what_is_there_and_a_wrong_digest_is_known_at_once(
    server: Server, source: Path, tmp_path: Path
) -> None:
    first = await staged(server, tmp_path)
    assert (await staged(server, tmp_path)).adopted
    text = json.loads(spec(server, tmp_path / "volume")) | {"digest": f"sha256:{'0' * 64}"}
    with pytest.raises(StageError) as caught:
        await stage(parse_spec(json.dumps(text)), settings=Settings(**QUICK))  # type: ignore[arg-type]
    assert caught.value.reason == "DigestMismatch"
    assert "the listed revision" in caught.value.message or first.digest in caught.value.message


@pytest.mark.usefixtures("keys")
async def test_bytes_that_do_not_fit_the_stored_sum_are_refused(server: Server, source: Path, tmp_path: Path) -> None:
    """Changed behind the server's back, as a disk does it."""
    on_disk = tmp_path / "objects" / BUCKET / PREFIX / "config.json"
    on_disk.write_bytes(on_disk.read_bytes().replace(b"Tiny", b"Tinx"))
    error = await refused(server, tmp_path)
    assert (error.reason, error.exit_code) == ("ChecksumMismatch", 3)
    assert error.message.startswith("config.json: expected sha256 ")


@pytest.mark.usefixtures("keys")
async def test_without_stored_sums_ours_are_taken_and_another_object_is_another_revision(
    server: Server, tmp_path: Path
) -> None:
    server.put(f"{PREFIX}/config.json", b"{}", with_sum=False)
    first = await staged(server, tmp_path)
    manifest = read_manifest(tmp_path / "volume" / first.path)
    assert manifest is not None
    assert [file.sha256 for file in manifest.files] == [hashlib.sha256(b"{}").hexdigest()]
    server.put(f"{PREFIX}/config.json", b"[]", with_sum=False)  # of the same size
    second = await staged(server, tmp_path)
    assert second.path != first.path


@pytest.mark.usefixtures("keys")
async def test_without_stored_sums_the_etag_proves_what_is_there(server: Server, tmp_path: Path) -> None:
    parts = [b"a" * (5 << 20), b"b" * 1000]
    server.put(f"{PREFIX}/config.json", b"{}", with_sum=False)
    server.put_in_parts(f"{PREFIX}/model.safetensors", parts)
    first = await staged(server, tmp_path)
    again = await staged(server, tmp_path)
    assert (again.path, again.adopted, again.mended) == (first.path, True, 0)
    planted = tmp_path / "volume" / first.path / "config.json"
    planted.write_bytes(b"[]")  # and a manifest that fits it
    manifest = tmp_path / "volume" / first.path / "manifest.json"
    was = read_manifest(manifest.parent)
    assert was is not None
    write_manifest(
        manifest.parent,
        replace(
            was,
            files=tuple(replace(f, sha256=hashlib.sha256(b"[]").hexdigest()) if f.size == 2 else f for f in was.files),
        ),
    )
    assert (await staged(server, tmp_path)).digest == first.digest
    assert planted.read_bytes() == b"{}"


@pytest.mark.usefixtures("keys")
async def test_an_object_that_changes_after_it_was_listed_is_not_mixed_in(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put(f"{PREFIX}/config.json", b"{}", with_sum=False)
    listing = s3_source.S3Bucket.listing

    async def then_changed(self: s3_source.S3Bucket) -> Any:
        found = await listing(self)
        await asyncio.to_thread(server.put, f"{PREFIX}/config.json", b"[]", with_sum=False)
        return found

    monkeypatch.setattr(s3_source.S3Bucket, "listing", then_changed)
    error = await refused(server, tmp_path)
    assert (error.reason, error.exit_code) == ("HubUnavailable", 1)
    assert error.message == "s3://models/acme/tiny/config.json was changed or removed after it was listed"


@pytest.mark.usefixtures("keys")
async def test_more_objects_than_a_page_has_are_all_listed(server: Server, tmp_path: Path) -> None:
    for number in range(1001):
        server.put(f"{PREFIX}/{number:04}.json", b"{}", with_sum=False)
    assert (await staged(server, tmp_path)).files == 1001


@pytest.mark.usefixtures("keys")
async def test_names_of_every_kind_are_staged(server: Server, tmp_path: Path) -> None:
    names = [
        "with space.json",
        "ümlaut/模型.json",
        "a+b&c=d;e.json",
        "50%25.json",
        "#?.json",
        "~[1].json",
        "quote'\".json",
    ]
    for name in names:
        server.put(f"{PREFIX}/{name}", name.encode())
    result = await staged(server, tmp_path)
    for name in names:
        assert (tmp_path / "volume" / result.path / name).read_bytes() == name.encode()


@pytest.mark.usefixtures("keys")
async def test_globs_choose_here_too(server: Server, source: Path, tmp_path: Path) -> None:
    result = await staged(server, tmp_path, include=["*.json"], exclude=["1_Pooling/"])
    assert (result.files, result.excluded.files) == (1, 7)


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        ({"bucket": "nobodys"}, "NotFound", "s3://nobodys/acme/tiny/ is not at 127.0.0.1"),
        ({"prefix": "no/such"}, "NotFound", "s3://models/no/such/ has no objects"),
    ],
)
async def test_what_is_not_there_is_told(
    server: Server, source: Path, tmp_path: Path, fields: dict[str, str], reason: str, words: str
) -> None:
    error = await refused(server, tmp_path, **fields)
    assert (error.reason, error.exit_code) == (reason, 3)
    assert words in error.message


@pytest.mark.parametrize("secret", [None, "wrong"])
async def test_who_may_not_read_is_told_what_to_give(
    server: Server, source: Path, tmp_path: Path, secret: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if secret:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    error = await refused(server, tmp_path)
    assert (error.reason, error.exit_code) == ("Unauthorized", 3)
    assert "s3://models/acme/tiny/: access denied (HTTP 403): give a key that may list and read it" in error.message


def test_the_keys_are_in_no_log_and_no_result(
    server: Server, source: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], keys: None
) -> None:
    environ = {"TERMINATION_LOG": str(tmp_path / "log"), "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    assert main_stage(spec(server, tmp_path / "volume"), environ, Settings(**QUICK)) == 0  # type: ignore[arg-type]
    output = capfd.readouterr()
    said = output.out + output.err + (tmp_path / "log").read_text()
    said += "".join(path.read_text() for path in (tmp_path / "volume").rglob("manifest.json"))
    assert "Signature" not in said
    assert KEY not in said
    assert SECRET not in said


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
    main_stage(spec(server, tmp_path / "volume"), {"TERMINATION_LOG": str(log), **environ}, Settings(**QUICK))  # type: ignore[arg-type]
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
