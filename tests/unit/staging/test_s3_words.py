"""S3 without a server: where a bucket is, and what a refusal means. The rest is tried on a real one."""

from __future__ import annotations

import pytest

from embedding_operator.staging.s3 import S3Bucket
from embedding_operator.staging.select import RemoteFile
from embedding_operator.staging.settings import Settings
from embedding_operator.staging.sourcespec import S3Source
from embedding_operator.staging.transport import StatusError, Transport

FILE = RemoteFile("a b.json", 1)


def bucket(site: str | None = None, **fields: object) -> S3Bucket:
    source = S3Source.model_validate({"bucket": "models", "prefix": "x", **fields})
    settings = Settings()
    return S3Bucket(Transport(settings=settings, connections=1), source, site, settings, 1)


@pytest.mark.parametrize(
    ("site", "fields", "url"),
    [
        (None, {}, "https://models.s3.us-east-1.amazonaws.com/x/a%20b.json"),
        (None, {"region": "cn-north-1"}, "https://models.s3.cn-north-1.amazonaws.com.cn/x/a%20b.json"),
        (None, {"addressingStyle": "Path"}, "https://s3.us-east-1.amazonaws.com/models/x/a%20b.json"),
        ("https://site:9000", {}, "https://site:9000/models/x/a%20b.json"),
        ("https://site:9000", {"endpoint": "http://own/below/"}, "http://own/below/models/x/a%20b.json"),
        (None, {"endpoint": "https://obs:8443", "addressingStyle": "Virtual"}, "https://models.obs:8443/x/a%20b.json"),
    ],
)
async def test_where_an_object_is(
    site: str | None, fields: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    location = await bucket(site, **fields).locate(FILE)  # nothing was asked for credentials: nothing is signed
    assert (str(location.url), dict(location.headers)) == (url, {})


@pytest.mark.parametrize(
    ("status", "headers", "reason", "words"),
    [
        (
            301,
            {"x-amz-bucket-region": "eu-west-1"},
            "BadSource",
            "in another region: write source.s3.region: eu-west-1",
        ),
        (400, {"x-amz-bucket-region": "eu-west-1"}, "BadSource", "in another region"),
        (400, {}, "Unauthorized", "access denied (HTTP 400)"),
        (403, {"x-amz-bucket-region": "us-east-1"}, "Unauthorized", "stager.serviceAccountName of the ModelCache"),
        (404, {}, "HubUnavailable", "was changed or removed after it was listed"),
        (412, {}, "HubUnavailable", "was changed or removed after it was listed"),
        (418, {}, "HubUnavailable", "answers HTTP 418"),
    ],
)
def test_what_a_refusal_means(
    status: int, headers: dict[str, str], reason: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    error = bucket().refused(FILE, StatusError(status, headers))
    assert getattr(error, "reason", None) == reason
    assert words in str(error)
    assert str(error).startswith("s3://models/x/a b.json")
