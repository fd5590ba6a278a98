"""How a cache's Jobs reach the network: what the install says of all of them, and what the cache says instead.

Nothing in here is secret, and nothing of it names a Job: when the site's proxy changes, no download begins anew.
"""

from decimal import Decimal

from embedding_operator.api.json import JsonObject
from embedding_operator.api.meta import ConfigMapKeyRef
from embedding_operator.api.modelcache import Download
from embedding_operator.api.quantity import parse_quantity

CA_VOLUME = "ca-bundle"
CA_MOUNT = "/etc/embedding-operator/ca"
CA_FILE = "ca.crt"
CA_VARIABLE = "EXTRA_CA_FILE"
_FASTEST = Decimal(2**62)  # a quantity may be more than any number that the stager's JSON should hold
_PROXY = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


def environment(site: tuple[tuple[str, str], ...], download: Download) -> list[tuple[str, str]]:
    """The site's variables; a proxy that the cache names takes the place of all that the site says of proxies."""
    proxy = download.proxy
    if proxy is None:
        return list(site)
    kept = [(name, value) for name, value in site if name.upper() not in _PROXY]
    own = (("HTTP_PROXY", proxy.http), ("HTTPS_PROXY", proxy.https), ("NO_PROXY", proxy.no_proxy))
    return kept + [(name, value) for name, value in own if value]


def bytes_per_second(site: int | None, download: Download) -> int | None:
    """How fast the Job may fetch, over all its connections; None for as fast as it can."""
    if download.bytes_per_second is None:
        return site
    return int(min(parse_quantity(download.bytes_per_second), _FASTEST)) or None


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
