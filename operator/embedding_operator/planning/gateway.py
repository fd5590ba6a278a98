"""The way in from outside by the Gateway API: an HTTPRoute, and what Gateways say of it.

Only the paths of the inference API lead to the pods: metrics and what the operator asks pods for are nobody's business
outside.
"""

from collections.abc import Iterator

from embedding_operator.api.conditions import Reason
from embedding_operator.api.exposure import Gateway, ParentReference
from embedding_operator.api.json import JsonObject

HTTP_ROUTE = "HTTPRoute"
PATHS = ("/v1", "/v2", "/rerank", "/score", "/classify", "/pooling", "/tokenize", "/detokenize")


def http_route(metadata: JsonObject, gateway: Gateway, port: int) -> JsonObject:
    """The HTTPRoute to the Service of the same name."""
    hostnames = {"hostnames": list(gateway.hostnames)} if gateway.hostnames else {}
    timeouts = {"timeouts": {"request": gateway.request_timeout}} if gateway.request_timeout else {}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": HTTP_ROUTE,
        "metadata": metadata,
        "spec": {
            "parentRefs": [parent.to_dict() for parent in gateway.parent_refs],
            **hostnames,
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": path}} for path in PATHS],
                    "backendRefs": [{"name": metadata["name"], "port": port}],
                    **timeouts,
                }
            ],
        },
    }


def doubled(gateway: Gateway) -> str:
    """What is wrong where a Gateway is named twice, for no API server takes such an HTTPRoute; empty if nothing is. By
    different listeners it may be named as often as it has some."""
    listeners: dict[str, list[str | None]] = {}
    for parent in gateway.parent_refs:
        listeners.setdefault(_shown(parent), []).append(parent.section_name)
    for shown, named in listeners.items():
        if len(named) > 1 and (None in named or len(set(named)) < len(named)):
            return (
                f"spec.exposure.gateway.parentRefs names {shown} {len(named)} times: write it once, or each time with "
                "the sectionName of another listener"
            )
    return ""


def routed(gateway: Gateway, route: JsonObject | None, *, installed: bool) -> tuple[bool, Reason, str]:
    """Whether clients get in by all Gateways that are named, and if not, why."""
    if not installed:
        return (
            False,
            Reason.GATEWAY_API_NOT_INSTALLED,
            "this cluster serves no HTTPRoute of gateway.networking.k8s.io/v1, or not to the operator: install the "
            "Gateway API, which is looked for every 10 minutes, or remove spec.exposure.gateway",
        )
    silent = []
    for parent in gateway.parent_refs:
        shown = _shown(parent)
        answers = list(_answers(parent, route or {}))
        refusal = next((one for one in answers if one.get("status") == "False"), None)
        if refusal is not None:
            words = refusal.get("message") or "it gives no reason"
            return False, Reason.ROUTE_REFUSED, f"{shown}: {refusal['type']} is False, {refusal.get('reason')}: {words}"
        if not any(one["type"] == "Accepted" and one.get("status") == "True" for one in answers):
            silent.append(shown)
    if silent:
        answer = f"{' and '.join(silent)} {'have' if len(silent) > 1 else 'has'} not answered yet"
        return False, Reason.WAITING_FOR_GATEWAY, f"{answer}: it must exist, and a controller must run for its class"
    return True, Reason.ROUTE_ACCEPTED, f"for {', '.join(gateway.hostnames or ()) or 'every host of the listener'}"


def _shown(parent: ParentReference) -> str:
    return f"Gateway {parent.namespace + '/' if parent.namespace else ''}{parent.name}"


def _answers(parent: ParentReference, route: JsonObject) -> Iterator[JsonObject]:
    """What controllers say of this parent about the route as it is now: whether they take it, and find the Service."""
    own = route.get("metadata") or {}
    wanted = (parent.namespace or own.get("namespace"), parent.name, parent.section_name)
    for said in (route.get("status") or {}).get("parents") or ():
        of = said.get("parentRef") or {}
        if (of.get("namespace") or own.get("namespace"), of.get("name"), of.get("sectionName")) != wanted:
            continue
        for condition in said.get("conditions") or ():
            is_current = (condition.get("observedGeneration") or 0) >= (own.get("generation") or 0)
            if is_current and condition.get("type") in ("Accepted", "ResolvedRefs"):
                yield condition
