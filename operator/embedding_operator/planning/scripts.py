"""The ConfigMap with the scripts that run inside serving pods.

It is immutable, named by the hash of its content and shared by all services of a namespace: a stored revision of
a pod template keeps the scripts that it was rendered with, whatever operator runs now.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject

MOUNT_PATH = "/etc/embedding-operator/scripts"
STATE_PATH = "/var/run/embedding-operator"
PREFIX = "embedding_operator_"  # flat files on PYTHONPATH must not shadow the standard library


def script_path(script: str) -> str:
    """Where a script or template is inside the pod: `script_path("probe")`, `script_path("x.jinja")`."""
    return f"{MOUNT_PATH}/{_file_name(script)}"


def _file_name(script: str) -> str:
    return f"{PREFIX}{script}" if "." in script else f"{PREFIX}{script}.py"


def config_map_name(sources: Mapping[str, str]) -> str:
    """The name that these sources get: same content, same name."""
    return _name(_content(sources))


def config_map(namespace: str, sources: Mapping[str, str]) -> JsonObject:
    """The ConfigMap of these sources ({"launch": "...", ...}) for one namespace: for the same ones the same object,
    since each service of the namespace asks for it each time. Read it, never change it."""
    return _config_map(namespace, _content(sources))


_Content = tuple[tuple[str, str], ...]


def _content(sources: Mapping[str, str]) -> _Content:
    return tuple(sorted(sources.items()))


@lru_cache(maxsize=16)
def _name(content: _Content) -> str:
    digest = hashlib.sha256()
    for script, source in content:
        digest.update(f"{script}\0{source}\0".encode())
    return names.scripts_config_map_name(digest.hexdigest())


@lru_cache(maxsize=1024)
def _config_map(namespace: str, content: _Content) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": _name(content),
            "namespace": namespace,
            "labels": {names.MANAGED_BY_LABEL: names.FIELD_MANAGER, names.SCRIPTS_LABEL: "true"},
        },
        "immutable": True,
        "data": {_file_name(script): source for script, source in content},
    }


def unused(existing: Iterable[str], current: str, *, referred: Iterable[str], has_services: bool) -> list[str]:
    """The names of script ConfigMaps that nothing in the namespace refers to any more.

    The current one stays while there is any service, since a revision that will name it may be about to be made. Mostly
    there is no other, and nobody asks for what is `referred`.
    """
    found = set(existing)
    if has_services:
        found.discard(current)
    return sorted(found.difference(referred)) if found else []
