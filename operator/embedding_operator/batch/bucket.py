"""A bucket of S3, or of what speaks its API, for a job: objects are listed, read in ranges, written and removed."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ElementTree  # expat bounds what entities expand to, and we the size
from collections.abc import Iterator, Mapping
from typing import NoReturn
from urllib.parse import quote, urlencode

from yarl import URL

from embedding_operator.staging.s3sign import Signer, bucket_url
from embedding_operator.staging.source import read_body
from embedding_operator.staging.transport import StatusError
from embedding_operator.staging.usage import ENDPOINT_VARIABLES

from .blocking import SETTINGS, line
from .errors import BatchError
from .jobspec import Place
from .ranges import Answer

_ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.S)


class Bucket:
    """What is below one prefix. Keys are relative to it. `field` is the spec's, for messages."""

    def __init__(self, place: Place, field: str) -> None:
        told = _ADDRESS.fullmatch(place.root)
        if told is None:
            raise BatchError(
                "BadInput", f"{field}.url: {place.root!r} is no address of a bucket: write s3://bucket/prefix"
            )
        self._field = field
        self._bucket, prefix = told[1], (told[2] or "").strip("/")
        self.prefix = f"{prefix}/" if prefix else ""
        self.name = f"s3://{self._bucket}/{self.prefix}"
        self._region = place.region or os.environ.get("AWS_REGION") or "us-east-1"
        endpoint = place.endpoint or os.environ.get(ENDPOINT_VARIABLES["s3"])
        self._base = bucket_url(self._bucket, endpoint, self._region)
        self._line = line()
        self._signer = Signer(self._line.transport, SETTINGS, self._region)
        self._line.run(self._signer.find(self.name, self._cure))

    def objects(self, below: str) -> Iterator[tuple[str, int, str]]:
        """Keys that begin so, each with its size and ETag, in the order of their names."""
        asked = {"list-type": "2", "prefix": self.prefix + below}
        token: str | None = None
        while True:
            page = self._xml("GET", asked | ({"continuation-token": token} if token else {}))
            for entry in page.iterfind("{*}Contents"):
                key, size = entry.findtext("{*}Key") or "", entry.findtext("{*}Size") or ""
                if key.startswith(self.prefix) and size.isdecimal() and not key.endswith("/"):
                    yield key.removeprefix(self.prefix), int(size), entry.findtext("{*}ETag") or ""
            following = page.findtext("{*}NextContinuationToken")
            if page.findtext("{*}IsTruncated") != "true" or not following or following == token:
                return
            token = following

    def read(self, key: str, start: int, length: int) -> Answer | None:
        """So many bytes of an object; None where there is none."""
        return self._maybe("GET", key, {"Range": f"bytes={start}-{start + length - 1}"})

    def size(self, key: str) -> int | None:
        """Of an object; None where there is none."""
        told = self._maybe("HEAD", key, {})
        return int(told.headers.get("Content-Length", "0")) if told else None

    def put(self, key: str, data: bytes) -> None:
        """An object as a whole."""
        self._asked("PUT", self._object(key), body=data)

    def begin(self, key: str) -> str:
        """An upload in parts, which is nothing until it is completed."""
        told = self._parsed(self._asked("POST", self._object(key, {"uploads": ""})).body)
        return told.findtext("{*}UploadId") or self._nonsense()

    def part(self, key: str, upload: str, number: int, data: bytes) -> str:
        """A part, from 1; gives its ETag."""
        query = {"partNumber": str(number), "uploadId": upload}
        return self._of_upload("PUT", key, query, data).headers.get("ETag", "")

    def complete(self, key: str, upload: str, tags: list[str]) -> None:
        """Let the object be there."""
        root = ElementTree.Element("CompleteMultipartUpload")
        for number, tag in enumerate(tags, 1):
            part = ElementTree.SubElement(root, "Part")
            ElementTree.SubElement(part, "PartNumber").text = str(number)
            ElementTree.SubElement(part, "ETag").text = tag
        body = ElementTree.tostring(root)
        told = self._parsed(self._of_upload("POST", key, {"uploadId": upload}, body).body)
        if not told.tag.endswith("CompleteMultipartUploadResult"):  # errors come with 200, too
            code = told.findtext("{*}Code") or told.findtext("Code") or "no reason"
            raise BatchError("Unavailable", f"{self.name}{key} could not be put together from its parts ({code})")

    def abort(self, key: str, upload: str) -> None:
        """Forget an upload; harmless where there is none."""
        self._maybe("DELETE", key, {}, {"uploadId": upload})

    def uploads(self, below: str) -> list[tuple[str, str]]:
        """Keys that begin so and are being uploaded, with the uploads' ids; at most a thousand."""
        page = self._xml("GET", {"uploads": "", "prefix": self.prefix + below})
        return [
            ((entry.findtext("{*}Key") or "").removeprefix(self.prefix), entry.findtext("{*}UploadId") or "")
            for entry in page.iterfind("{*}Upload")
        ]

    def _of_upload(self, method: str, key: str, query: Mapping[str, str], body: bytes) -> Answer:
        answer = self._maybe(method, key, {}, query, body)
        if answer is None:  # forgotten by who took its writer for dead, or complete, and the answer was lost
            raise BatchError("Unavailable", f"{self.name}{key}: its upload is gone: it is written anew")
        return answer

    def _maybe(
        self,
        method: str,
        key: str,
        headers: Mapping[str, str],
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer | None:
        try:
            return self._told(method, self._object(key, query), headers, body)
        except StatusError as error:
            if error.status == 404:
                return None
            raise self._in_words(error, key) from None

    def _asked(self, method: str, url: URL, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        try:
            return self._told(method, url, headers or {}, body)
        except StatusError as error:
            raise self._in_words(error, "") from None

    def _told(self, method: str, url: URL, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        transport = self._line.transport

        async def once() -> Answer:
            signed = await self._signer.signed(method, url, headers, body)
            async with transport.get(url, signed, method=method, data=body or None) as response:
                return Answer(response.status, response.headers, await read_body(response, self.name))

        return self._line.ask(once, self.name, "asking")

    def _xml(self, method: str, query: Mapping[str, str]) -> ElementTree.Element:
        url = URL(f"{self._base}/?{_query(query)}", encoded=True)
        return self._parsed(self._asked(method, url).body)

    def _parsed(self, body: bytes) -> ElementTree.Element:
        try:
            return ElementTree.fromstring(body)  # noqa: S314 - see above
        except ElementTree.ParseError:
            return self._nonsense()

    def _nonsense(self) -> NoReturn:
        raise BatchError("Unavailable", f"{self._base.host} answers no XML of S3; does it speak S3?")

    def _object(self, key: str, query: Mapping[str, str] | None = None) -> URL:
        address = f"{self._base}/{quote(self.prefix + key, safe='/~')}"
        return URL(f"{address}?{_query(query)}" if query else address, encoded=True)

    def _in_words(self, error: StatusError, key: str) -> BatchError:
        what, region = f"{self.name}{key}", error.headers.get("x-amz-bucket-region")
        if error.status == 301 or region not in (None, self._region):
            return BatchError(
                "BadInput", f"{what} is in another region: write {self._field}.region: {region or '<its own>'}"
            )
        if error.status in (400, 401, 403):
            return BatchError("Unauthorized", f"{what}: access denied (HTTP {error.status}): {self._cure}")
        if error.status == 404:
            return BatchError("NotFound", f"{what} is not at {self._base.host}: check {self._field}.url and endpoint")
        return BatchError("Unavailable", f"{what}: {self._base.host} answers HTTP {error.status}")

    @property
    def _cure(self) -> str:
        rights = ["s3:ListBucket", "s3:GetObject"]
        if self._field == "spec.output":
            rights += ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListBucketMultipartUploads"]
        return f"give keys by {self._field}.secretRef that may do {', '.join(rights)}"


def _query(query: Mapping[str, str]) -> str:
    """Sorted and encoded as a signature wants it."""
    return urlencode(sorted(query.items()), quote_via=quote, safe="")
