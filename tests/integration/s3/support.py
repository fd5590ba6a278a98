"""A real S3 server, which checks signatures, keeps sums and knows ETags, and stagings from it."""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from awscrt import auth, http

from embedding_operator.staging.errors import StageError
from embedding_operator.staging.result import StageResult
from embedding_operator.staging.settings import Settings
from embedding_operator.staging.spec import parse_spec
from embedding_operator.staging.stage import stage
from tests.unit.staging.kit import QUICK

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


def spec(server: Server, volume: Path, **fields: object) -> str:
    s3 = {"bucket": BUCKET, "prefix": PREFIX, "endpoint": server.url, **fields}
    return json.dumps({"source": {"s3": s3}, "root": str(volume), "progressPort": 0})


async def staged(server: Server, tmp_path: Path, **fields: object) -> StageResult:
    text = spec(server, tmp_path / "volume", **fields)
    return await stage(parse_spec(text), settings=Settings(**QUICK))


async def refused(server: Server, tmp_path: Path, **fields: object) -> StageError:
    with pytest.raises(StageError) as caught:
        await staged(server, tmp_path, **fields)
    assert not (tmp_path / "volume" / "s3").exists()
    return caught.value
