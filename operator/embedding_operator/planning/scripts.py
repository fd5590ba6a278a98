"""The ConfigMap with the scripts that run inside serving pods.

It is immutable, named by the hash of its content and shared by all services of a namespace: a stored revision of
a pod template keeps the scripts that it was rendered with, whatever operator runs now.
"""

import hashlib
from collections.abc import Iterable, Mapping

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
    digest = hashlib.sha256()
    for script in sorted(sources):
        digest.update(f"{script}\0{sources[script]}\0".encode())
    return names.scripts_config_map_name(digest.hexdigest())


def config_map(namespace: str, sources: Mapping[str, str]) -> JsonObject:
    """The ConfigMap of these sources ({"launch": "...", ...}) for one namespace."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": config_map_name(sources),
            "namespace": namespace,
            "labels": {names.MANAGED_BY_LABEL: names.FIELD_MANAGER, names.SCRIPTS_LABEL: "true"},
        },
        "immutable": True,
        "data": {_file_name(script): source for script, source in sorted(sources.items())},
    }


def unused(existing: Iterable[str], current: str, *, referred: Iterable[str], has_services: bool) -> list[str]:
    """The names of script ConfigMaps that nothing in the namespace refers to any more.

    The current one stays while there is any service, since a revision that will name it may be about to be made.
    """
    keep = set(referred)
    if has_services:
        keep.add(current)
    return sorted(set(existing) - keep)
