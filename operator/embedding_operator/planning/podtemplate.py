"""`spec.runtime.podTemplate`: what a service wants in its pods and has no field, merged over what was rendered.

    objects      field by field
    containers   by name: `vllm` is the server's, others are added
    lists        by the key of their entries, where they have one (KEYS): a new one is added, a known one replaced
    the rest     replaced

What the operator needs to keep its promises (the right server, verified weights, drains, devices that are counted) is
refused here; whether the rest makes a pod is the API server's to say. It goes no deeper than the rendered template
does: what is written below that, however deep it is nested, is passed on as it is.
"""

from collections.abc import Iterator, Mapping, Sequence

from embedding_operator.api import names
from embedding_operator.api.conditions import Reason
from embedding_operator.api.json import JsonObject
from embedding_operator.planning.errors import PlanError

FIELD = "spec.runtime.podTemplate"
SERVER = "vllm"
KEYS: Mapping[str, str] = {
    "env": "name",
    "initContainers": "name",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
_ADDED_ONLY = ("initContainers", "volumes")  # those that were rendered are the operator's
_FIXED = "leave it out"
_POD: Mapping[str, str] = {
    "nodeSelector": "write spec.scheduling.nodeSelector",
    "tolerations": "write spec.scheduling.tolerations",
    "affinity": "write spec.scheduling.affinity",
    "topologySpreadConstraints": "write spec.scheduling.topologySpread",
    "priorityClassName": "write spec.scheduling.priorityClassName",
    "schedulerName": "write spec.scheduling.schedulerName",
    "imagePullSecrets": "write spec.runtime.imagePullSecrets",
    "terminationGracePeriodSeconds": "write spec.rollout.drainTimeout",
    "enableServiceLinks": _FIXED,  # a Service called vllm would set VLLM_PORT
    "ephemeralContainers": _FIXED,
}
_SERVER: Mapping[str, str] = {
    "image": "write spec.runtime.image",
    "command": _FIXED,
    "args": "write spec.runtime.args",
    "resources": "write spec.runtime.resources",
    "ports": _FIXED,
}
_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_OWN_ENV = "EMBEDDING_OPERATOR_"
_OWN_KEYS = (f"{names.GROUP}/", "app.kubernetes.io/")


def merged(template: JsonObject, overlay: Mapping[str, object]) -> JsonObject:
    """The template with the overlay over it. Raises PlanError for what an overlay must not touch."""
    if not overlay:
        return template
    metadata = _object(overlay.get("metadata") or {}, f"{FIELD}.metadata")
    _refuse_own_keys(metadata)
    spec = dict(_object(overlay.get("spec") or {}, f"{FIELD}.spec"))
    _refuse(spec, _POD, f"{FIELD}.spec")
    containers = _items(spec.pop("containers", []), f"{FIELD}.spec.containers", "name")
    rendered = template["spec"]
    for group in _ADDED_ONLY:
        taken = {entry["name"] for entry in rendered.get(group, ())}
        for entry in _items(spec.get(group, []), f"{FIELD}.spec.{group}", "name"):
            if entry["name"] in taken:
                raise _owned(f"{FIELD}.spec.{group}[{entry['name']}]", "choose another name")
    pod = _over(rendered, spec, f"{FIELD}.spec")
    pod["containers"] = [
        *(_server(container, containers) for container in rendered["containers"]),
        *(one for one in containers if one["name"] != SERVER),
    ]
    return {"metadata": _over(template["metadata"], metadata, f"{FIELD}.metadata"), "spec": pod}


def said(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """The fields that an overlay sets, each with its value; entries of lists by their names."""
    if isinstance(value, Mapping) and value:
        for field, inner in value.items():
            yield from said(inner, f"{path}.{field}" if path else str(field))
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) and "name" in item for item in value):
        for item in value:
            yield from said(
                {field: inner for field, inner in item.items() if field != "name"}, f"{path}[{item['name']}]"
            )
    else:
        yield path, value


def _server(container: JsonObject, overlays: Sequence[JsonObject]) -> JsonObject:
    """The server's container with what is said of it."""
    for overlay in overlays:
        if overlay["name"] == container["name"]:
            where = f"{FIELD}.spec.containers[{SERVER}]"
            _refuse_in_server(overlay, container, where)
            return _over(container, overlay, where)
    return container


def _over(base: JsonObject, overlay: Mapping[str, object], path: str) -> JsonObject:
    out = dict(base)
    for field, value in overlay.items():
        where, mine = f"{path}.{field}", base.get(field)
        if value is None:
            raise PlanError(Reason.INVALID_SPEC, f"{where} is null, but a merge takes nothing away: write a value")
        if isinstance(mine, dict):
            out[field] = _over(mine, _object(value, where), where)
        elif isinstance(mine, list) and field in KEYS:
            out[field] = _joined(field, mine, value, where)
        else:
            out[field] = value
    return out


def _joined(field: str, base: Sequence[JsonObject], value: object, where: str) -> list[JsonObject]:
    key = KEYS[field]
    mine, theirs = {entry[key] for entry in base}, _items(value, where, key)
    replaced = {entry[key]: entry for entry in theirs}
    return [*(replaced.get(entry[key], entry) for entry in base), *(one for one in theirs if one[key] not in mine)]


def _refuse_in_server(overlay: JsonObject, container: JsonObject, where: str) -> None:
    _refuse(overlay, _SERVER, where)
    for probe in _PROBES:
        _refuse(
            _object(overlay.get(probe) or {}, f"{where}.{probe}"), dict.fromkeys(_HANDLERS, _FIXED), f"{where}.{probe}"
        )
    lifecycle = _object(overlay.get("lifecycle") or {}, f"{where}.lifecycle")
    _refuse(lifecycle, {"preStop": _FIXED}, f"{where}.lifecycle")
    for variable in _items(overlay.get("env") or [], f"{where}.env", "name"):
        if variable["name"].startswith(_OWN_ENV):
            raise _owned(f"{where}.env[{variable['name']}]", _FIXED)
    taken = [mount["mountPath"] for mount in container["volumeMounts"]]
    for mount in _items(overlay.get("volumeMounts") or [], f"{where}.volumeMounts", "mountPath"):
        path = mount["mountPath"]
        hidden = next((one for one in taken if _is_in(one, path) or _is_in(path, one)), None)
        if hidden is not None:
            raise _owned(f"{where}.volumeMounts[{path}]", f"mount it elsewhere, {hidden} is mounted there")


def _refuse(written: Mapping[str, object], owned: Mapping[str, str], where: str) -> None:
    for field, instead in owned.items():
        if field in written:
            raise _owned(f"{where}.{field}", instead)


def _refuse_own_keys(metadata: Mapping[str, object]) -> None:
    for group in ("labels", "annotations"):
        for key in _object(metadata.get(group) or {}, f"{FIELD}.metadata.{group}"):
            if key.startswith(_OWN_KEYS):
                raise _owned(f"{FIELD}.metadata.{group}[{key}]", "write others")


def _owned(where: str, instead: str) -> PlanError:
    return PlanError(Reason.INVALID_SPEC, f"{where} is the operator's: {instead}")


def _is_in(path: str, directory: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{directory.rstrip('/')}/")


def _object(value: object, where: str) -> JsonObject:
    if not isinstance(value, dict):
        raise PlanError(Reason.INVALID_SPEC, f"{where} must be an object")
    return value


def _items(value: object, where: str, key: str) -> list[JsonObject]:
    """A list of objects that all have their key, and each another one: of two, one would be lost in the merge."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise PlanError(Reason.INVALID_SPEC, f"{where} must be a list of objects")
    known = set()
    for index, item in enumerate(value):
        name = item.get(key)
        if not isinstance(name, str):
            raise PlanError(Reason.INVALID_SPEC, f"{where}[{index}] must have a {key}")
        if name in known:
            raise PlanError(Reason.INVALID_SPEC, f"{where}[{name}] is written twice: write one with all that is wanted")
        known.add(name)
    return value
