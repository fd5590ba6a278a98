"""The way to the API server that every pod has: its service account.

Kubernetes documents it under "Accessing the Kubernetes API from a Pod".
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from embedding_operator.kube.access import Access, Server, text_of, token_file

_FILES: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def is_in_a_pod() -> bool:
    """Whether this process was told of an API server as pods are."""
    return "KUBERNETES_SERVICE_HOST" in os.environ


def of_the_pod(files: Path = _FILES) -> Access:
    """Raises AccessError if the service account's files are not mounted."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Access(Server(url, authority=text_of(files / "ca.crt")), token_file(files / "token"))
