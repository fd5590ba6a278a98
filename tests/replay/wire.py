"""Plain requests to a test control plane, as anybody with the admin's token would send them."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from tests.cluster.controlplane import ControlPlane

Object = dict[str, Any]
_CONTENT_TYPES = {"PATCH": "application/merge-patch+json"}


class Wire:
    """`wire("GET", path)`; a watch is `wire.lines(path)`."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._url = control_plane.url
        self._token = control_plane.admin_token
        self._tls = ssl.create_default_context(cafile=str(control_plane.ca))

    def __call__(self, method: str, path: str, body: Object | None = None) -> Object:
        with urllib.request.urlopen(self._request(method, path, body), context=self._tls, timeout=30) as answer:
            decoded: Object = json.load(answer)
            return decoded

    def serves(self, path: str) -> bool:
        try:
            self("GET", path)
        except urllib.error.HTTPError:
            return False
        return True

    def lines(self, path: str) -> Iterator[bytes]:
        with urllib.request.urlopen(self._request("GET", path, None), context=self._tls) as answer:
            yield from answer

    def _request(self, method: str, path: str, body: Object | None) -> urllib.request.Request:
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": _CONTENT_TYPES.get(method, "application/json"),
        }
        data = json.dumps(body).encode() if body is not None else None
        return urllib.request.Request(self._url + path, data=data, headers=headers, method=method)
