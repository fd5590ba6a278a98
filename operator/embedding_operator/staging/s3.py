"""A bucket of S3, or of any server that speaks its API.

Requests are signed (s3sign.py), and made like all others. An object has no sha256 unless whoever put it there had one
stored; else it is read if it is still the one that was listed (its ETag), and its size is checked.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import re
import xml.etree.ElementTree as ElementTree  # expat bounds what entities expand to, and we the size
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from yarl import URL

from .errors import StageError
from .manifest import listing_id
from .s3sign import Signer, bucket_url
from .select import RemoteFile
from .settings import Settings
from .source import Listing, Location, Origin, checked_files, checked_path, checked_size, patiently, read_body
from .sourcespec import S3Source
from .transport import StatusError, Transport

MAX_OBJECTS = 10_000

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


class S3Bucket:
    """The objects below one prefix."""

    def __init__(
        self, transport: Transport, source: S3Source, endpoint: str | None, settings: Settings, parallelism: int
    ) -> None:
        self._transport = transport
        self._source = source
        self._settings = settings
        self._turns = asyncio.Semaphore(parallelism)
        self._region = source.region or os.environ.get("AWS_REGION") or "us-east-1"
        self._base = bucket_url(source.bucket, source.endpoint or endpoint, self._region, source.addressing_style)
        self._prefix = f"{source.prefix}/" if source.prefix else ""
        self._name = f"s3://{source.bucket}/{self._prefix}"
        self._signer = Signer(transport, settings, self._region)
        folder = (_NOT_IN_NAMES.sub("-", part) for part in self._name.removeprefix("s3://").strip("/").split("/"))
        self.origin = Origin("s3", "/".join(folder), "")

    async def listing(self) -> Listing:
        """All objects, with the sums that were stored with them; another ETag is another revision."""
        await self._signer.find(self._name, self._cure)
        found = await self._list()
        if not found:
            raise StageError("NotFound", f"{self._name} has no objects: check source.s3.bucket and prefix")
        sums = await asyncio.gather(*(self._sum(file) for file in found))
        files = checked_files(
            [RemoteFile(f.path, f.size, sha256, version=f.version) for f, sha256 in zip(found, sums, strict=True)],
            self._name,
        )
        return Listing(listing_id(files), files)

    async def locate(self, file: RemoteFile) -> Location:
        """Signed anew for each request: a signature is good for some minutes only."""
        url = self._object(file)
        same = {"If-Match": file.version} if file.version else {}
        return Location(url, await self._signer.signed("GET", url) | same)

    def refused(self, file: RemoteFile, error: StatusError) -> Exception:
        """What changed is listed anew by the next attempt of the Job."""
        if error.status in (404, 412):
            return StageError("HubUnavailable", f"{self._name}{file.path} was changed or removed after it was listed")
        return self._in_words(error, f"{self._name}{file.path}")

    async def _list(self) -> list[RemoteFile]:
        found: list[RemoteFile] = []
        token: str | None = None
        while True:
            query = {"list-type": "2", "prefix": self._prefix} | ({"continuation-token": token} if token else {})
            # sorted and encoded as a signature wants it
            url = URL(f"{self._base}/?{urlencode(sorted(query.items()), quote_via=quote, safe='')}", encoded=True)
            page = await self._page(url)
            found += [file for entry in page.iterfind("{*}Contents") if (file := self._entry(entry))]
            if len(found) > MAX_OBJECTS:
                raise StageError(
                    "BadSource", f"{self._name} has more than {MAX_OBJECTS} objects: write the model's own prefix"
                )
            following = page.findtext("{*}NextContinuationToken")
            if page.findtext("{*}IsTruncated") != "true" or not following or following == token:
                return found
            token = following

    async def _page(self, url: URL) -> ElementTree.Element:
        async def once() -> bytes:
            async with self._transport.get(url, await self._signer.signed("GET", url)) as response:
                return await read_body(response, self._name)

        try:
            page = ElementTree.fromstring(await patiently(once, self._name, self._settings))  # noqa: S314 - see above
        except StatusError as error:
            raise self._in_words(error, self._name) from None
        except ElementTree.ParseError:
            raise StageError("HubUnavailable", f"{self._base.host} answers no listing; does it speak S3?") from None
        if not page.tag.endswith("ListBucketResult"):
            raise StageError("HubUnavailable", f"{self._base.host} answers no listing; does it speak S3?")
        return page

    def _entry(self, entry: ElementTree.Element) -> RemoteFile | None:
        key, told = entry.findtext("{*}Key") or "", entry.findtext("{*}Size") or ""
        if key.endswith("/") and told == "0":  # how consoles make a folder
            return None
        path = checked_path(key.removeprefix(self._prefix), self._name)
        size = checked_size(int(told) if told.isascii() and told.isdigit() else None, path, self._name)
        return RemoteFile(path, size, version=entry.findtext("{*}ETag"))

    async def _sum(self, file: RemoteFile) -> str | None:
        """The sha256 of the whole object, if one was stored. One of its parts' sums says nothing about the bytes."""
        url = self._object(file)

        async def once() -> Mapping[str, str]:
            headers = await self._signer.signed("HEAD", url, {"x-amz-checksum-mode": "ENABLED"})
            async with self._transport.get(url, headers, method="HEAD") as response:
                return response.headers

        try:
            async with self._turns:
                told = await patiently(once, f"{self._name}{file.path}", self._settings)
        except StatusError as error:
            raise self.refused(file, error) from None
        if told.get("x-amz-checksum-type") == "COMPOSITE":
            return None
        try:
            sha256 = base64.b64decode(told.get("x-amz-checksum-sha256") or "", validate=True)
        except (binascii.Error, ValueError):
            return None  # "…-4" is the sum of the sums of four parts
        return sha256.hex() if len(sha256) == 32 else None

    def _object(self, file: RemoteFile) -> URL:
        return URL(f"{self._base}/{quote(self._prefix + file.path, safe='/~')}", encoded=True)

    def _in_words(self, error: StatusError, what: str) -> StageError:
        region = error.headers.get("x-amz-bucket-region")
        if error.status == 301 or region not in (None, self._region):
            return StageError(
                "BadSource", f"{what} is in another region: write source.s3.region: {region or '<its own>'}"
            )
        if error.status in (400, 401, 403):
            return StageError("Unauthorized", f"{what}: access denied (HTTP {error.status}): {self._cure}")
        if error.status == 404:
            return StageError(
                "NotFound", f"{what} is not at {self._base.host}: check bucket, prefix and endpoint of source.s3"
            )
        return StageError("HubUnavailable", f"{what}: {self._base.host} answers HTTP {error.status}")

    @property
    def _cure(self) -> str:
        return (
            "give a key that may list and read it by source.s3.secretRef, or a ServiceAccount that may by "
            "stager.serviceAccountName of the ModelCache"
        )
