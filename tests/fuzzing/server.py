"""What an API server would say to an object, in dry runs over one connection: nothing is stored."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any

from embedding_operator.kube.encoding import encode
from embedding_operator.kube.resources import by_kind
from tests.cluster.controlplane import ControlPlane

Object = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """A status code, and the object as it would be stored or the Status that says why not."""

    code: int
    body: Object

    @property
    def accepted(self) -> bool:
        return self.code < 300

    @property
    def causes(self) -> list[tuple[str, str]]:
        """Where a refusal sees a fault, and what it says of it."""
        causes = (self.body.get("details") or {}).get("causes") or ()
        return [(cause.get("field", ""), cause.get("message", "")) for cause in causes]

    def __str__(self) -> str:
        return f"{self.code} {self.body.get('message', '')}"


class Server:
    """As the administrator, whose rights stand in nobody's way."""

    def __init__(self, control_plane: ControlPlane) -> None:
        address = control_plane.url.removeprefix("https://")
        context = ssl.create_default_context(cafile=str(control_plane.ca))
        self._connection = http.client.HTTPSConnection(address, timeout=60, context=context)
        self._token = control_plane.admin_token

    def create(self, obj: Object) -> Answer:
        """As `kubectl create` of somebody who spells fields right, or is told of it."""
        return self._request("POST", obj, "", "application/json", "fieldValidation=Strict")

    def apply(self, obj: Object) -> Answer:
        """As the operator applies its children; strictly, for it must know what it writes."""
        asked = "fieldManager=embedding-operator&force=true&fieldValidation=Strict"
        return self._request("PATCH", obj, obj["metadata"]["name"], "application/apply-patch+yaml", asked)

    def close(self) -> None:
        self._connection.close()

    def _request(self, method: str, obj: Object, name: str, content_type: str, query: str) -> Answer:
        path = by_kind(obj["kind"]).path(obj["metadata"].get("namespace"), name or None)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        body = encode(obj)
        self._connection.request(method, f"{path}?dryRun=All&{query}", body, headers)
        response = self._connection.getresponse()
        return Answer(response.status, json.loads(response.read()))
