"""What `kubectl get -o json` tells and `kubectl patch --subresource=status` does, without a process for each time.

Tests look again and again until something has come to pass. Starting kubectl for each look took half of their CPU time.
"""

from __future__ import annotations

import base64
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.errors import ClusterError

Object = dict[str, Any]
_DISCOVERY = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
_PLAIN = {"Accept": "application/json"}
_MERGE = {"Content-Type": "application/merge-patch+json"}
_TIMEOUT = 60.0  # seconds
_TRIES = 10  # as kubectl has, while the API server says that it is too busy


@dataclass(frozen=True)
class Resource:
    """What a name like `emb`, `deployment` or `events.events.k8s.io` stands for."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def name(self) -> str:
        """As `kubectl api-resources -o name` has it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        within = ("namespaces", namespace) if self.namespaced and namespace else ()
        parts = ("apis" if self.group else "api", self.group, self.version, *within, self.plural, name, subresource)
        return "/" + "/".join(part for part in parts if part)


class Api:
    """An API server, as who a kubeconfig is for; that says so by a token."""

    def __init__(self, kubeconfig: Path, context: str = "") -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        chosen = _named(content["contexts"], context or content["current-context"])["context"]
        cluster = _named(content["clusters"], chosen["cluster"])["cluster"]
        self._url = cluster["server"].rstrip("/")
        self._token = _named(content["users"], chosen["user"])["user"]["token"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        self._resources: dict[str, Resource] = {}

    def listed(self) -> list[str]:
        """The kinds that are in namespaces and can be listed."""
        self._resources = self._discover()
        found = dict.fromkeys(self._resources.values())
        return list(dict.fromkeys(one.name for one in found if one.namespaced and "list" in one.verbs))

    def items(self, kinds: str, namespace: str = "", selector: str = "") -> list[Object]:
        """All of one kind or several (`emb,job`), one after the other; of all namespaces if none is named."""
        query = f"?{urllib.parse.urlencode({'labelSelector': selector})}" if selector else ""
        found: list[Object] = []
        for resource in map(self._resource, kinds.split(",")):
            answer = self._ask("GET", resource.path(namespace) + query)
            version = {"apiVersion": answer["apiVersion"], "kind": resource.kind}
            found += [_shown(version | item) for item in answer["items"]]
        return found

    def get(self, kind: str, name: str, namespace: str) -> Object | None:
        """One of them; None where there is none of this name."""
        try:
            return _shown(self._ask("GET", self._resource(kind).path(namespace, name)))
        except _RefusedError as refused:
            if refused.reason == "NotFound":
                return None
            raise

    def write_status(self, kind: str, name: str, namespace: str, status: Object) -> None:
        """Merged into what it is."""
        self._ask("PATCH", self._resource(kind).path(namespace, name, "status"), {"status": status}, _MERGE)

    def _resource(self, asked: str) -> Resource:
        name = asked.lower()
        if name not in self._resources:
            self._resources = self._discover()
        if name not in self._resources:
            raise ClusterError(f'the server doesn\'t have a resource type "{asked}"')
        return self._resources[name]

    def _discover(self) -> dict[str, Resource]:
        """By all names; where groups share one, the core group has it, and then who comes first."""
        found: dict[str, Resource] = {}
        for path in ("/api", "/apis"):
            for group in self._ask("GET", path, headers=_DISCOVERY)["items"]:
                for names, resource in _served(group):
                    for name in names:
                        found.setdefault(name, resource)
        return found

    def _ask(self, method: str, path: str, body: Object | None = None, headers: Mapping[str, str] = _PLAIN) -> Object:
        told = {"Authorization": f"Bearer {self._token}", **headers}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data=data, method=method, headers=told)
        for left in reversed(range(_TRIES)):
            try:
                with urllib.request.urlopen(request, timeout=_TIMEOUT, context=self._tls) as answer:
                    content: Object = json.load(answer)
                    return content
            except urllib.error.HTTPError as error:
                if error.code != 429 or not left:
                    raise _RefusedError(f"{method} {path}", error) from None
                time.sleep(float(error.headers.get("Retry-After", 1)))
            except OSError as error:
                raise ClusterError(f"{method} {path}: {error}") from None
        raise AssertionError("the last try answers or raises")


class _RefusedError(ClusterError):
    """An answer that is no success; it has kubectl's words."""

    def __init__(self, asked: str, error: urllib.error.HTTPError) -> None:
        text = error.read().decode(errors="replace")
        try:
            told = json.loads(text)
        except ValueError:  # a path that is not served
            told = {"reason": "", "message": text.strip() or error.reason}
        self.reason = told.get("reason", "")
        super().__init__(f"{asked}: Error from server ({self.reason}): {told.get('message')}")


def _named(entries: list[Object], name: str) -> Object:
    return next(entry for entry in entries if entry["name"] == name)


def _served(group: Object) -> Iterator[tuple[list[str], Resource]]:
    name = (group.get("metadata") or {}).get("name", "")
    for version in group["versions"]:
        for one in version["resources"]:
            kind = (one.get("responseKind") or {}).get("kind", "")
            namespaced, verbs = one["scope"] == "Namespaced", frozenset(one["verbs"])
            resource = Resource(name, version["version"], one["resource"], kind, namespaced, verbs)
            short = [one["resource"], one.get("singularResource", ""), kind.lower(), *one.get("shortNames", ())]
            yield [*short, resource.name, f"{one['resource']}.{version['version']}.{name}"], resource


def _shown(obj: Object) -> Object:
    """Without what kubectl does not show either."""
    obj["metadata"].pop("managedFields", None)
    return obj
