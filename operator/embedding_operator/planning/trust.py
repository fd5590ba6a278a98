"""What clients and server trust each other by, out of Secrets that the kubelet mounts: the operator reads none.

A Secret that is missing keeps the pod from starting; one that changes reaches the pods without a restart.
"""

from dataclasses import dataclass

from embedding_operator.api.json import JsonObject
from embedding_operator.planning.resolve import Resolution

KEYS_PATH = "/etc/embedding-operator/api-keys"
TLS_PATH = "/etc/embedding-operator/tls"
CERTIFICATE, KEY = "tls.crt", "tls.key"  # of a Secret of type kubernetes.io/tls
CERTIFICATE_FILE, KEY_FILE = f"{TLS_PATH}/{CERTIFICATE}", f"{TLS_PATH}/{KEY}"


@dataclass(frozen=True, slots=True)
class SecretVolume:
    """A Secret in the pod, and why it is there."""

    name: str
    secret: str
    path: str
    why: str
    keys: tuple[str, ...] = ()  # all when empty; a pod does not start without those that are named

    @property
    def mount(self) -> JsonObject:
        return {"name": self.name, "mountPath": self.path, "readOnly": True}

    @property
    def volume(self) -> JsonObject:
        # whoever the server runs as must read it, and nobody else is in the pod
        items = {"items": [{"key": key, "path": key} for key in self.keys]} if self.keys else {}
        return {"name": self.name, "secret": {"secretName": self.secret, "defaultMode": 0o444} | items}


def secret_volumes(resolved: Resolution) -> tuple[SecretVolume, ...]:
    volumes = []
    if resolved.api_keys is not None:
        why = "spec.exposure.apiKeySecretRef: each of its values is a key that the middleware lets in"
        volumes.append(SecretVolume("api-keys", resolved.api_keys, KEYS_PATH, why))
    if resolved.certificate is not None:
        why = "spec.exposure.tls: the server's certificate and its key"
        volumes.append(SecretVolume("tls", resolved.certificate, TLS_PATH, why, (CERTIFICATE, KEY)))
    return tuple(volumes)


def scheme(resolved: Resolution) -> JsonObject:
    """How the kubelet's probes speak: HTTP where nothing is said. It verifies no certificate."""
    return {"scheme": "HTTPS"} if resolved.certificate else {}


def environment(resolved: Resolution) -> tuple[tuple[str, str, str], ...]:
    """What makes `--enable-ssl-refresh` see each renewal, as (name, value, why)."""
    if resolved.certificate is None:
        return ()
    # watchfiles follows the links of a mounted Secret once, to files that the first renewal removes
    why = "vLLM watches its certificate by inotify, which sees the first renewal of a mounted Secret and no later one"
    return (
        ("WATCHFILES_FORCE_POLLING", "true", why),
        ("WATCHFILES_POLL_DELAY_MS", "5000", "the certificate is looked at every five seconds"),
    )


def missing(template: JsonObject) -> str:
    """What a pod of this template may be waiting for when its volumes do not come; a kubelet says so in Events only."""
    volumes = template["spec"].get("volumes") or ()
    secrets = [str(volume["secret"].get("secretName")) for volume in volumes if volume.get("secret")]
    if not secrets:
        return ""
    holding = f", with {CERTIFICATE} and {KEY}" if any(volume["name"] == "tls" for volume in volumes) else ""
    return f"; a Secret that is not there keeps it waiting too, create what is missing of {', '.join(secrets)}{holding}"
