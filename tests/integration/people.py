"""People with rights of their own: each asks the API server as himself, by impersonation, and is told
yes or why not.
"""

from __future__ import annotations

import json
import secrets
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.cluster.controlplane import ControlPlane
from tests.installed import POLICIES, install
from tests.integration.kinds import cache, install_kinds, service
from tests.integration.operating import until

Object = dict[str, Any]
PLURALS = {
    "EmbeddingService": "embeddingservices",
    "EmbeddingJob": "embeddingjobs",
    "ModelCache": "modelcaches",
    "EmbeddingBenchmark": "embeddingbenchmarks",
}
WRITE = {
    "apiGroups": ["embedding-operator.io"],
    "resources": ["embeddingservices", "embeddingjobs", "modelcaches", "embeddingbenchmarks"],
    "verbs": ["get", "create", "update", "delete"],
}


AUTHOR = "author"  # may write our kinds and use the profile cpu, and nothing else


class Answer(NamedTuple):
    """What the API server said, in one line."""

    allowed: bool
    message: str


class People:
    """The people of one namespace. What they try changes nothing; what `keep` stores is the administrator's."""

    def __init__(self, control_plane: ControlPlane, namespace: str) -> None:
        self.namespace = namespace
        self._kubectl = control_plane.kubectl
        self._url, self._token = control_plane.url, control_plane.admin_token
        self._holders: dict[str, str] = {}
        self._tls = ssl.create_default_context(cafile=str(control_plane.ca))

    def may(self, user: str, *rules: Object) -> str:
        """Give a user these rules in the namespace. Returns his name."""
        name = user.replace(":", "-")
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": list(rules)}
        role["metadata"] = {"name": name, "namespace": self.namespace}
        self._kubectl("apply", "-f", "-", input=json.dumps(role))
        self.bind(user, f"--role={name}")
        return user

    def holder(self, *rights: Object) -> str:
        """Somebody who may do what the author may, and this."""
        known = json.dumps(rights)
        if known not in self._holders:
            user = self.may(f"holder-{len(self._holders)}", WRITE, use_right(["cpu"]), *rights)
            until(lambda: self.create(user, service()).allowed)
            self._holders[known] = user
        return self._holders[known]

    def bind(self, user: str, role: str) -> str:
        """Bind a user to a role (`--role=x` or `--clusterrole=x`) in the namespace. Returns his name."""
        name = f"{user}-{role.partition('=')[2]}".replace(":", "-")
        self._kubectl("-n", self.namespace, "create", "rolebinding", name, role, f"--user={user}")
        return user

    def keep(self, manifest: Object) -> Object:
        """Store an object, as an administrator who may do everything."""
        status, stored = self._send("POST", self._path(manifest), manifest)
        assert status == 201, stored
        return stored

    def create(self, user: str, manifest: Object) -> Answer:
        """Try to create."""
        return self._answer("POST", self._path(manifest), manifest, user)

    def update(self, user: str, stored: Object, manifest: Object) -> Answer:
        """Try to replace what is stored by the manifest."""
        body = manifest | {"metadata": stored["metadata"]}
        return self._answer("PUT", f"{self._path(stored)}/{stored['metadata']['name']}", body, user)

    def _answer(self, method: str, path: str, body: Object, user: str) -> Answer:
        status, answer = self._send(method, f"{path}?dryRun=All&fieldValidation=Strict", body, user)
        assert status in (200, 201, 403), answer
        return Answer(status != 403, str(answer.get("message", "")))

    def _path(self, manifest: Object) -> str:
        return f"/apis/{manifest['apiVersion']}/namespaces/{self.namespace}/{PLURALS[manifest['kind']]}"

    def _send(self, method: str, path: str, body: Object, user: str = "") -> tuple[int, Object]:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        headers |= {"Impersonate-User": user} if user else {}
        request = urllib.request.Request(self._url + path, json.dumps(body).encode(), headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30, context=self._tls) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


def guarded(control_plane: ControlPlane) -> People:
    """A namespace under the policies of install.yaml, with an author who may write our kinds."""
    install_kinds(control_plane.kubectl)
    install(control_plane.kubectl, *POLICIES)
    namespace = f"people-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", namespace)
    people = People(control_plane, namespace)
    people.may(AUTHOR, WRITE, use_right(["cpu"]))
    until(lambda: people.create(AUTHOR, service()).allowed)
    # of either kind the API server has taken its policy in
    until(lambda: not people.create(AUTHOR, service(runtime__image="example.com/a:v0.23.0")).allowed)
    until(lambda: not people.create(AUTHOR, cache(stager__serviceAccountName="boss")).allowed)
    return people


def create_right(resource: str) -> Object:
    """To create such objects; the resource with its group, as kubectl writes it."""
    plural, _, group = resource.partition(".")
    return {"apiGroups": [group], "resources": [plural], "verbs": ["create"]}


def secret_right(name: str) -> Object:
    """To read this Secret."""
    return {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"]}


def use_right(profiles: Iterable[str]) -> Object:
    """To use these RuntimeProfiles."""
    group = {"apiGroups": ["embedding-operator.io"], "resources": ["runtimeprofiles"]}
    return group | {"resourceNames": list(profiles), "verbs": ["use"]}
