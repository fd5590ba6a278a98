"""What clients and server trust each other by, out of Secrets that the kubelet mounts: the operator reads none.

A Secret that is missing keeps the pod from starting; one that changes reaches the pods without a restart.
"""

from dataclasses import dataclass

from embedding_operator.api.json import JsonObject
from embedding_operator.planning.resolve import Resolution

KEYS_PATH = "/etc/embedding-operator/api-keys"


@dataclass(frozen=True, slots=True)
class SecretVolume:
    """A Secret in the pod, and why it is there."""

    name: str
    secret: str
    path: str
    why: str

    @property
    def mount(self) -> JsonObject:
        return {"name": self.name, "mountPath": self.path, "readOnly": True}

    @property
    def volume(self) -> JsonObject:
        # whoever the server runs as must read it, and nobody else is in the pod
        return {"name": self.name, "secret": {"secretName": self.secret, "defaultMode": 0o444}}


def secret_volumes(resolved: Resolution) -> tuple[SecretVolume, ...]:
    volumes = []
    if resolved.api_keys is not None:
        why = "spec.exposure.apiKeySecretRef: each of its values is a key that the middleware lets in"
        volumes.append(SecretVolume("api-keys", resolved.api_keys, KEYS_PATH, why))
    return tuple(volumes)
