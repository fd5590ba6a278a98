"""Where the API server is and how to authenticate: in-cluster first, else a kubeconfig.

Uses the official client's loaders, because they know tokens that rotate, exec plugins and TLS options.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kubernetes.aio import client as k8s
from kubernetes.aio import config as k8s_config

logger = logging.getLogger(__name__)

_TOKEN_CHECK_SECONDS = 60


class Connection:
    """An authenticated transport; close it when done."""

    def __init__(self, api: Any, refresher: asyncio.Task[None] | None = None) -> None:
        self.api = api
        self._refresher = refresher

    @property
    def host(self) -> str:
        return str(self.api.configuration.host)

    async def credentials(self) -> dict[str, Any]:
        """How to reach the server, in the words of Kopf's ConnectionInfo; the token as it is now."""
        configuration = self.api.configuration
        header = configuration.get_api_key_with_prefix("BearerToken")
        if inspect.isawaitable(header):
            header = await header
        return {
            "server": configuration.host,
            "ca_path": configuration.ssl_ca_cert,
            "insecure": not configuration.verify_ssl,
            "token": header.rpartition(" ")[2] if header else None,
            "certificate_path": configuration.cert_file,
            "private_key_path": configuration.key_file,
        }

    async def close(self) -> None:
        if self._refresher is not None:
            self._refresher.cancel()
            await asyncio.gather(self._refresher, return_exceptions=True)
        await self.api.close()


async def connect(kubeconfig: Path | str | None = None, context: str | None = None) -> Connection:
    """In a pod (and no kubeconfig named): its service account. Otherwise the kubeconfig, as kubectl would."""
    configuration = new_configuration()
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
    api = k8s.ApiClient(configuration=configuration)
    api.user_agent = "embedding-operator"
    return Connection(api, refresher)


def new_configuration() -> Any:
    # The generated client hard-codes trust_env=True, which walks proxy variables and netrc on every
    # request: half of its CPU time. So the proxy is looked up once, by proxy_for.
    return k8s.Configuration(client_session_kwargs={"trust_env": False})


def proxy_for(host: str) -> str | None:
    """The proxy that the environment asks for, honouring NO_PROXY."""
    url = urlsplit(host)
    if not url.hostname or urllib.request.proxy_bypass(url.hostname):
        return None
    return urllib.request.getproxies().get(url.scheme)


async def _keep_token_fresh(loader: Any, configuration: Any) -> None:
    """Run the kubeconfig's credential plugin again from time to time; ends at once if there is none."""
    while True:
        try:
            await k8s_config.refresh_token(loader, configuration, interval=_TOKEN_CHECK_SECONDS)
        except Exception as error:
            logger.warning("The kubeconfig's credentials could not be renewed, trying again: %s", error)
        else:
            return
