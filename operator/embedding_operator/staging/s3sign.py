"""Credentials for S3 and what makes a request ours: AWS's own runtime (awscrt) finds the keys, and signs."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping

from awscrt import auth, http
from awscrt.exceptions import AwsCrtError
from yarl import URL

from .errors import StageError
from .settings import Settings
from .transport import TransientError, Transport
from .webidentity import web_identity

CREDENTIALS_TIMEOUT = 30.0

# Where one of these is set, somebody meant there to be credentials.
_MEANT = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI")


class Signer:
    """The keys of one run: a Secret's in the environment, in exchange for the pod's token, or the node's agent's."""

    def __init__(self, transport: Transport, settings: Settings, region: str) -> None:
        self._region = region
        self._identity = web_identity(transport, settings, os.environ, region)
        self._provider: auth.AwsCredentialsProvider | None = None

    async def find(self, what: str, cure: str) -> None:
        """Look for keys; without any, a public bucket is read. StageError where there should be some."""
        self._provider = await self._credentials(what, cure)

    async def signed(
        self, method: str, url: URL, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> dict[str, str]:
        """The headers of a request; of a body, its sum is signed."""
        if self._identity is not None:
            self._provider = await self._identity.provider()
        if self._provider is None:
            return dict(headers or {})
        config = auth.AwsSigningConfig(
            algorithm=auth.AwsSigningAlgorithm.V4,
            signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
            credentials_provider=self._provider,
            region=self._region,
            service="s3",
            use_double_uri_encode=False,
            should_normalize_uri_path=False,
            signed_body_value=hashlib.sha256(body).hexdigest() if body else auth.AwsSignedBodyValue.EMPTY_SHA256,
            signed_body_header_type=auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
        )
        host = {"host": url.host_port_subcomponent or ""}
        request = http.HttpRequest(method, url.raw_path_qs, http.HttpHeaders([*host.items(), *(headers or {}).items()]))
        try:
            signed = await asyncio.wrap_future(auth.aws_sign_request(request, config))
        except AwsCrtError as error:  # temporary credentials that could not be renewed
            raise TransientError(f"credentials for S3 could not be had ({error.name})") from None
        return {name: value for name, value in signed.headers if name.lower() != "host"}

    async def _credentials(self, what: str, cure: str) -> auth.AwsCredentialsProvider | None:
        if self._identity is not None:
            return await self._identity.provider()
        provider = auth.AwsCredentialsProvider.new_default_chain()
        try:
            await asyncio.wait_for(asyncio.wrap_future(provider.get_credentials()), CREDENTIALS_TIMEOUT)
        except (AwsCrtError, TimeoutError):
            meant = [name for name in _MEANT if os.environ.get(name)]
            if meant:
                raise StageError("Unauthorized", f"{what}: no credentials could be had by {meant[0]}: {cure}") from None
            return None
        return provider


def bucket_url(bucket: str, endpoint: str | None, region: str, style: str | None = None) -> URL:
    """By path at an endpoint of one's own, by host name at AWS, if nothing else is said."""
    style = style or ("Path" if endpoint else "Virtual")
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    base = URL(endpoint or f"https://s3.{region}.{domain}")
    if style == "Path":
        return URL(f"{str(base).rstrip('/')}/{bucket}", encoded=True)
    return URL(str(base.with_host(f"{bucket}.{base.host}")).rstrip("/"), encoded=True)
