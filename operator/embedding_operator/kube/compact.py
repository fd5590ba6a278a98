"""Cuts objects down to what planners read, so that ten thousand of them fit in a small pod.

The cut keeps Kubernetes' own shape and names: a compact object is read like the whole one. Only what is large and
seldom read, pod templates, is packed: `unpacked` gives an object with all of it.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from embedding_operator.kube.resources import Object
from embedding_operator.kube.shapes import shape_of

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_SHARED_KEY: Final = 64  # characters of a string that many objects may have
_SHARED_VALUE: Final = 32  # a uid is longer, and nobody else's
_PACKED: Final = {"Deployment": "spec", "ControllerRevision": "data"}
_POD_CONDITIONS: Final = frozenset({"Ready", "PodScheduled", "PodReadyToStartContainers"})
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


class Packed:
    """A JSON value as compressed text: a pod template takes 2 KiB instead of 40."""

    __slots__ = ("_text",)

    def __init__(self, value: object) -> None:
        self._text = zlib.compress(_encode(value), 1)

    def unpacked(self) -> Any:
        """The value, made anew each time."""
        return _decode(zlib.decompress(self._text))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Packed) and self._text == other._text

    __hash__ = None  # type: ignore[assignment]  # it is a value among dicts and lists


def compact(obj: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> Object:
    """A fresh, small copy of `obj`; nothing in it is shared with the original.

    `known` is the compact copy of an earlier state: what is packed is taken over from there while the generation says
    that it has not changed.
    """
    kind = obj["kind"]
    cut: Object = msgspec.convert(obj, shape_of(kind))
    cut.setdefault("apiVersion", "")
    _trim(cut)
    large = _PACKED.get(kind, "")
    if large not in cut:
        return _copied(cut)
    value = cut.pop(large)
    packed = known[large] if known is not None and _same_generation(cut, known) else Packed(value)
    return {**_copied(cut), large: packed}


def unpacked(obj: Mapping[str, Any]) -> Object:
    """A compact object with what is packed in it, for who reads that."""
    return {name: value.unpacked() if isinstance(value, Packed) else value for name, value in obj.items()}


def _trim(cut: Object) -> None:
    """What a shape cannot say."""
    metadata = cut["metadata"]
    annotations = metadata.get("annotations")
    if annotations and _LAST_APPLIED in annotations:
        metadata["annotations"] = {name: text for name, text in annotations.items() if name != _LAST_APPLIED}
    status = (cut["kind"] == "Pod" and cut.get("status")) or {}
    if status.get("conditions"):
        status["conditions"] = [one for one in status["conditions"] if one.get("type") in _POD_CONDITIONS]
    for container in status.get("containerStatuses") or ():
        devices = container.pop("allocatedResourcesStatus", None)
        if devices and any(one.get("health") != "Healthy" for kind in devices for one in kind.get("resources") or ()):
            container["allocatedResourcesStatus"] = devices


def _same_generation(obj: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    new, old = obj["metadata"], known["metadata"]
    return "generation" in new and all(new.get(field) == old.get(field) for field in ("uid", "generation"))


def _copied(cut: Object) -> Object:
    if cut["kind"] == "ConfigMap" and cut.get("data"):  # ours hold the scripts, the same in each namespace
        cut["data"] = {name: sys.intern(str(text)) for name, text in cut["data"].items()}
    copy: Object = _shared(cut)
    return copy


def _shared(value: Any) -> Any:
    """Copy JSON, sharing equal short strings: keys, labels and reasons repeat in every object."""
    if isinstance(value, str):
        return sys.intern(value) if type(value) is str and len(value) <= _SHARED_VALUE else value
    if isinstance(value, dict):
        return {_key(name): _shared(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_shared(item) for item in value]
    return value


def _key(name: str) -> str:
    return sys.intern(name) if len(name) <= _SHARED_KEY else name
