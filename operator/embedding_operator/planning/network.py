"""How a cache's Jobs reach the network: what the install says of all of them, and what the cache says instead.

Nothing in here is secret, only where that is. Nothing that the site says names a Job: when its proxy changes, no
download begins anew.
"""

from decimal import Decimal

from embedding_operator.api.json import JsonObject
from embedding_operator.api.meta import ConfigMapKeyRef, SecretKeyRef
from embedding_operator.api.modelcache import Download
from embedding_operator.api.quantity import parse_quantity
from embedding_operator.planning.commandline import literal

CA_VOLUME = "ca-bundle"
CA_MOUNT = "/etc/embedding-operator/ca"
CA_FILE = "ca.crt"
CA_VARIABLE = "EXTRA_CA_FILE"
FASTEST = Decimal(2**62)  # a quantity may be more than any number that the stager's JSON should hold
_BY_PROXY = ("HTTP_PROXY", "HTTPS_PROXY")
_PROXY = (*_BY_PROXY, "NO_PROXY", "ALL_PROXY")


def environment(
    site: tuple[tuple[str, str], ...], site_proxy: SecretKeyRef | None, download: Download
) -> list[JsonObject]:
    """The site's variables; a proxy that the cache names takes the place of all that the site says of proxies. One with
    a password comes out of a Secret by the kubelet, for http and https: the operator never reads it."""
    own = download.proxy
    if own is not None:
        site = tuple((name, value) for name, value in site if name.upper() not in _PROXY)
        said = (("HTTP_PROXY", own.http), ("HTTPS_PROXY", own.https), ("NO_PROXY", own.no_proxy))
        site += tuple((name, literal(value)) for name, value in said if value)  # no reference to what the site says
    secret = own.secret_ref if own is not None else site_proxy
    values: list[JsonObject] = [
        {"name": name, "value": value} for name, value in site if not secret or name.upper() not in _BY_PROXY
    ]
    reference: JsonObject = {"secretKeyRef": secret.to_dict()} if secret else {}
    return values + [{"name": name, "valueFrom": reference} for name in _BY_PROXY if secret]


def bytes_per_second(site: int | None, download: Download) -> int | None:
    """How fast the Job may fetch, over all its connections; None for as fast as it can."""
    if download.bytes_per_second is None:
        return site
    return int(min(parse_quantity(download.bytes_per_second), FASTEST)) or None


def with_ca_bundle(pod: JsonObject, bundle: ConfigMapKeyRef | None) -> JsonObject:
    """The pod, with certificates to trust beside those of its image. Where they are missing, the stager says so."""
    if bundle is None:
        return pod
    (container,) = pod["containers"]
    mount = {"name": CA_VOLUME, "mountPath": CA_MOUNT, "readOnly": True}
    items = [{"key": bundle.key, "path": CA_FILE}]
    volume = {"name": CA_VOLUME, "configMap": {"name": bundle.name, "items": items, "optional": True}}
    trusting = container | {
        "env": [*container["env"], {"name": CA_VARIABLE, "value": f"{CA_MOUNT}/{CA_FILE}"}],
        "volumeMounts": [*container["volumeMounts"], mount],
    }
    return pod | {"containers": [trusting], "volumes": [*pod["volumes"], volume]}
