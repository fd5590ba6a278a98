"""Rights of the operator: those that install.yaml gives, and those that an API server's audit log shows in use."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from charts.manifests import INSTALL, NAMESPACE

ACCOUNT = "embedding-operator"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
_ACCOUNTS = "system:serviceaccount:"
_MACHINERY = f"{_ACCOUNTS}kube-system:"
SOMEBODY = "somebody"  # the account of a person with a token, in tests: what he may not do is what they are about
WITHOUT = "without-rights-"  # so begin namespaces in which an operator asks in vain whether it may list services

Event = dict[str, Any]


class Right(NamedTuple):
    """One verb on one resource, a subresource behind a slash."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}.{self.group}".rstrip(".")


def objects(*kinds: str) -> list[dict[str, Any]]:
    """Those objects of install.yaml. The others, most of which are schemas, are not even parsed."""
    return [yaml.safe_load(text) for kind, text in _documents() if kind in kinds]


@functools.cache
def _documents() -> list[tuple[str, str]]:
    """The kind and the text of each."""
    texts = INSTALL.read_text().split("\n---\n")
    return [(found[1], text) for text in texts if (found := re.search(r"^kind: (\w+)$", text, re.M))]


@functools.cache
def granted() -> frozenset[Right]:
    """What install.yaml gives to the operator."""
    return bound(objects("ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"), ACCOUNT, NAMESPACE)


def bound(found: list[dict[str, Any]], account: str, namespace: str) -> frozenset[Right]:
    """What roles and their bindings give to a ServiceAccount, somewhere."""
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    references = [one["roleRef"] for one in found if subject in one.get("subjects", ())]
    roles = {(reference["kind"], reference["name"]) for reference in references}
    rules = [rule for one in found if (one["kind"], one["metadata"]["name"]) in roles for rule in one["rules"]]
    return frozenset(
        Right(group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


def events(log: Path, offset: int = 0) -> Iterator[Event]:
    """Whole entries of an audit log, from an offset on."""
    with log.open("rb") as file:
        file.seek(offset)
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def used(log: Iterable[Event], user: str = OPERATOR) -> frozenset[Right]:
    """The rights by which the requests of a user were let in. An apply that made its object took two."""
    rights = set()
    for event in log:
        if _user(event) != user or "impersonatedUser" in event or (right := _right(event)) is None:
            continue
        rights.add(right)
        if right.verb == "patch" and (event.get("responseStatus") or {}).get("code") == 201:
            rights.add(right._replace(verb="create"))
    return frozenset(rights)


def _right(event: Event) -> Right | None:
    """What a request needs; None where it is about no resource."""
    told = event.get("objectRef") or {}
    resource = "/".join(part for part in (told.get("resource"), told.get("subresource")) if part)
    return Right(told.get("apiGroup", ""), resource, event["verb"]) if resource else None


def trespasses(log: Iterable[Event]) -> list[str]:
    """What nobody of ours may do: ask for what he has no right to, for a Secret, or, as a pod of a Job or server, which
    are to have no token, for anything at all."""
    found = [event for event in log if _is_one(event)]
    return sorted({f"{_user(event)}: {event['verb']} {event['requestURI']}" for event in found})


def _user(event: Event) -> str:
    """Who asked; nobody, where a request was refused because it did not say who."""
    return str(event["user"].get("username", ""))


def _asks_for_rights(event: Event) -> bool:
    where = event.get("objectRef") or {}
    is_there = str(where.get("namespace")).startswith(WITHOUT)
    return is_there and (event["verb"], where.get("resource")) == ("list", "embeddingservices")


def _is_one(event: Event) -> bool:
    user, right = _user(event), _right(event)
    if "impersonatedUser" in event or not user.startswith(_ACCOUNTS) or user.startswith(_MACHINERY):
        return False
    if user.endswith(f":{SOMEBODY}") or _asks_for_rights(event):
        return False
    if user.endswith(":default") or (right and right.resource == "secrets"):
        return True
    # an API server that has just begun refuses, for a moment, what it has not heard yet that it grants
    is_granted = user == OPERATOR and right in granted()
    return not is_granted and (event.get("annotations") or {}).get("authorization.k8s.io/decision") == "forbid"
