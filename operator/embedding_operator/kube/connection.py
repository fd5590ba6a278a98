"""Where the API server is and how to authenticate: in-cluster first, else a kubeconfig.

Uses the official client's loaders, because they know tokens that rotate, exec plugins and TLS options.
"""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
import logging
import os
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import aiohttp
from kubernetes.aio import client as k8s
from kubernetes.aio import config as k8s_config
from yarl import URL

logger = logging.getLogger(__name__)

TRANSPORT_ERRORS: Final = (aiohttp.ClientError, OSError, TimeoutError)
_TOKEN_CHECK_SECONDS: Final = 60
_USER_AGENT: Final = "embedding-operator"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30.0, sock_connect=5.0)
_READ_BUFFER: Final = 2**20  # bytes: an object may be that large, and a watch tells many at once


class Connection:
    """An authenticated transport; close it when done.

    The official client brings the credentials and the TLS settings. Requests go through a session of our own, because
    its `call_api` copies headers and queries several times: as much CPU time as the rest of a request takes.
    """

    def __init__(self, api: Any, refresher: asyncio.Task[None] | None = None) -> None:
        self.configuration = api.configuration
        self._api = api
        self._refresher = refresher
        self._session: aiohttp.ClientSession | None = None

    @property
    def host(self) -> str:
        return str(self.configuration.host)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> aiohttp.ClientResponse:
        """Send it, and return the response as soon as its head is there. Raises one of TRANSPORT_ERRORS."""
        configuration = self.configuration
        headers = {"Accept": "application/json", "User-Agent": _USER_AGENT}
        if body is not None:
            headers["Content-Type"] = content_type
        if (authorization := await self._authorization()) is not None:
            headers["Authorization"] = authorization
        return await self._open_session().request(
            method,
            URL(f"{configuration.host}{path}{'?' + urlencode(query) if query else ''}", encoded=True),
            data=body,
            headers=headers,
            timeout=timeout or _TIMEOUT,
            server_hostname=configuration.tls_server_name or None,
            proxy=configuration.proxy,
            proxy_headers=configuration.proxy_headers,
            allow_redirects=False,
        )

    async def credentials(self) -> dict[str, Any]:
        """How to reach the server, in the words of Kopf's ConnectionInfo; the token as it is now."""
        configuration = self.configuration
        header = await self._authorization()
        return {
            "server": configuration.host,
            "ca_path": configuration.ssl_ca_cert,
            "insecure": not configuration.verify_ssl,
            "token": header.rpartition(" ")[2] if header else None,
            "certificate_path": configuration.cert_file,
            "private_key_path": configuration.key_file,
            "proxy_url": configuration.proxy,
        }

    async def close(self) -> None:
        if self._refresher is not None:
            self._refresher.cancel()
            await asyncio.gather(self._refresher, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        await self._api.close()

    async def _authorization(self) -> str | None:
        header = self.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        value: str | None = await header if inspect.isawaitable(header) else header
        return value

    def _open_session(self) -> aiohttp.ClientSession:
        """In the event loop that first needs it."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self._api.rest_client.ssl_context),
                read_bufsize=_READ_BUFFER,
                # The environment's proxy was looked up once, by proxy_for: aiohttp would look for each request.
                trust_env=False,
            )
        return self._session


async def connect(kubeconfig: Path | str | None = None, context: str | None = None) -> Connection:
    """In a pod (and no kubeconfig named): its service account. Otherwise the kubeconfig, as kubectl would."""
    configuration = k8s.Configuration()
    refresher: asyncio.Task[None] | None = None
    in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ
    if kubeconfig is None and context is None and in_cluster:
        k8s_config.load_incluster_config(client_configuration=configuration)
    else:
        loader = await k8s_config.load_kube_config(
            config_file=str(kubeconfig) if kubeconfig is not None else None,
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
        refresher = asyncio.create_task(_keep_token_fresh(loader, configuration), name="token-refresh")
    if configuration.proxy is None:
        configuration.proxy = proxy_for(configuration.host)
    return Connection(k8s.ApiClient(configuration=configuration), refresher)


def proxy_for(host: str) -> str | None:
    """The proxy that the environment asks for, honouring NO_PROXY; both may be written as Go programs read them."""
    url = urlsplit(host)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme)
    if not proxy or not url.hostname or urllib.request.proxy_bypass(url.hostname):
        return None
    if _is_in_a_network_of(proxies.get("no", ""), url.hostname):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_in_a_network_of(no_proxy: str, host: str) -> bool:
    """Whether NO_PROXY names the host's network, as clusters' pod and service ranges are written (10.96.0.0/12)."""
    for entry in no_proxy.split(","):
        with suppress(ValueError):  # a name, not an address or a network
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip(), strict=False):
                return True
    return False


async def _keep_token_fresh(loader: Any, configuration: Any) -> None:
    """Run the kubeconfig's credential plugin again from time to time; ends at once if there is none."""
    while True:
        try:
            await k8s_config.refresh_token(loader, configuration, interval=_TOKEN_CHECK_SECONDS)
        except Exception as error:
            logger.warning("The kubeconfig's credentials could not be renewed, trying again: %s", error)
        else:
            return
