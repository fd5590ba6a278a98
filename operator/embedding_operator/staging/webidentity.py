"""Keys for S3 in exchange for the pod's own token, from AWS's security token service, as on EKS with IRSA.

AWS's runtime would do it too, but past the site's proxies and certificates. The token and the keys are in no message.
"""

from __future__ import annotations

import asyncio
import time
import xml.etree.ElementTree as ElementTree  # expat bounds what entities expand to, and we the size
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

from awscrt import auth
from yarl import URL

from .errors import StageError
from .settings import Settings
from .source import patiently, read_body
from .sourcespec import check_endpoint
from .transport import StatusError, Transport

TOKEN_FILE = "AWS_WEB_IDENTITY_TOKEN_FILE"  # noqa: S105 - a variable's name
ENDPOINT = "AWS_ENDPOINT_URL_STS"
_EARLY = 300.0
"""Seconds before their end in which keys are not used any more."""


@dataclass
class WebIdentity:
    """The role that the pod's ServiceAccount may take."""

    transport: Transport
    settings: Settings
    url: URL
    role: str
    token_file: Path

    def __post_init__(self) -> None:
        self._turn = asyncio.Lock()
        self._until = 0.0
        self._provider: auth.AwsCredentialsProvider | None = None

    async def provider(self) -> auth.AwsCredentialsProvider:
        """Keys that are good for some minutes at least."""
        async with self._turn:
            if self._provider is None or time.time() > self._until - _EARLY:
                self._provider, self._until = await self._exchange()
            return self._provider

    async def _exchange(self) -> tuple[auth.AwsCredentialsProvider, float]:
        async def once() -> bytes:
            async with self.transport.get(self._request(), {}) as response:
                return await read_body(response, "keys for S3")

        try:
            answer = ElementTree.fromstring(await patiently(once, f"keys of {self.url.host}", self.settings))  # noqa: S314
        except StatusError as error:
            raise StageError(
                "Unauthorized",
                f"{self.url.host} gives no keys for role {self.role} (HTTP {error.status}): let the role trust the "
                "ServiceAccount of stager.serviceAccountName of the ModelCache",
            ) from None
        except ElementTree.ParseError:
            answer = ElementTree.Element("nothing")
        told = {part: answer.findtext(f".//{{*}}{part}") or "" for part in ("AccessKeyId", "SecretAccessKey")}
        session, until = answer.findtext(".//{*}SessionToken"), answer.findtext(".//{*}Expiration")
        try:
            ends = datetime.fromisoformat(until or "").timestamp()
        except ValueError:
            ends = 0.0
        if not all(told.values()) or not ends:
            raise StageError("HubUnavailable", f"{self.url.host} answers no keys; is it a security token service?")
        return auth.AwsCredentialsProvider.new_static(*told.values(), session or None), ends

    def _request(self) -> URL:
        """The token is read each time, for it is renewed; in the query, which nobody logs or repeats."""
        try:
            token = self.token_file.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            raise StageError("Unauthorized", f"the token that {TOKEN_FILE} names cannot be read") from None
        query = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": self.role,
            "RoleSessionName": "embedding-operator",
            "WebIdentityToken": token,
        }
        return URL(f"{self.url}/?{urlencode(query)}", encoded=True)


def web_identity(
    transport: Transport, settings: Settings, environ: Mapping[str, str], region: str
) -> WebIdentity | None:
    """The identity that was given to the pod; None where there is none, or keys of a Secret come first."""
    role, token_file = environ.get("AWS_ROLE_ARN"), environ.get(TOKEN_FILE)
    if not role or not token_file or environ.get("AWS_ACCESS_KEY_ID"):
        return None
    region = environ.get("AWS_REGION") or region
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    try:
        endpoint = check_endpoint(environ.get(ENDPOINT) or f"https://sts.{region}.{domain}")
    except ValueError as error:
        raise StageError("BadSource", f"{ENDPOINT}: {error}") from None
    return WebIdentity(transport, settings, URL(endpoint), role, Path(token_file))
