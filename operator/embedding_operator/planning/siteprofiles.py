"""RuntimeProfiles that an installation brings as its values: what each is to be, and who else has written it.

They are written whole, so that what is taken out of the values goes out of the profile, too. Nobody else's is touched:
one that another installation brought, or that a person made or edited, is theirs until they hand it over.
"""

from collections.abc import ItemsView, Mapping
from typing import Any

from embedding_operator.api import names
from embedding_operator.api.json import JsonObject


def desired(name: str, manifest: Mapping[str, Any], installation: str) -> JsonObject:
    """The profile as it is to be; `installation` says whose values made it, as NAMESPACE/LEASE."""
    metadata = manifest["metadata"]
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.RUNTIME_PROFILE,
        "metadata": {
            "name": name,
            "labels": {**(metadata.get("labels") or {}), names.MANAGED_BY_LABEL: names.FIELD_MANAGER},
            "annotations": {**(metadata.get("annotations") or {}), names.INSTALLED_BY_ANNOTATION: installation},
        },
        "spec": manifest.get("spec"),
    }


def is_in_force(existing: Mapping[str, Any], wish: Mapping[str, Any]) -> bool:
    """Whether a stored profile says what it is to say, whoever wrote it."""
    has, wants = existing["metadata"], wish["metadata"]
    return (
        existing.get("spec") == wish["spec"]
        and (has.get("labels") or {}).items() >= wants["labels"].items()
        and _told(has) >= _told(wants)
        and _is_default(has) == _is_default(wants)
    )


def stranger(existing: Mapping[str, Any], installation: str) -> str:
    """Who else has it, in words; empty if it is for this installation to write.

    Its own are marked. A built-in one that nobody else ever wrote, as the API server's own record of it tells, is the
    operator's, too.
    """
    metadata = existing["metadata"]
    other = (metadata.get("annotations") or {}).get(names.INSTALLED_BY_ANNOTATION)
    if other is not None:
        return "" if other == installation else f"belongs to the installation {other}"
    managers = {str(entry.get("manager")) for entry in metadata.get("managedFields") or ()}
    others = sorted(managers - {names.FIELD_MANAGER})
    return f"was written by {', '.join(others)}" if others or not managers else ""


def replacement(existing: Mapping[str, Any], wish: Mapping[str, Any]) -> JsonObject:
    """The stored profile with what is wished in the place of what is there, for that very version of it."""
    metadata = dict(existing["metadata"])
    annotations = dict(metadata.get("annotations") or {})
    annotations.pop(names.DEFAULT_PROFILE_ANNOTATION, None)
    metadata["labels"] = {**(metadata.get("labels") or {}), **wish["metadata"]["labels"]}
    metadata["annotations"] = {**annotations, **wish["metadata"]["annotations"]}
    return {**existing, "metadata": metadata, "spec": wish["spec"]}


def is_superseded(existing: Mapping[str, Any], wishes: Mapping[str, Mapping[str, Any]], installation: str) -> bool:
    """Whether it is still marked as the default by values that it was taken out of, and that mark another one now.

    With two of them, services that name no profile would have none.
    """
    metadata = existing["metadata"]
    ours = (metadata.get("annotations") or {}).get(names.INSTALLED_BY_ANNOTATION) == installation
    left = ours and metadata["name"] not in wishes and _is_default(metadata)
    return left and any(_is_default(wish["metadata"]) for wish in wishes.values())


def unmarked(existing: Mapping[str, Any]) -> JsonObject:
    """The stored profile, for that very version of it, which is the default no longer."""
    metadata = dict(existing["metadata"])
    annotations = dict(metadata.get("annotations") or {})
    annotations.pop(names.DEFAULT_PROFILE_ANNOTATION, None)
    return {**existing, "metadata": metadata | {"annotations": annotations}}


def _told(metadata: Mapping[str, Any]) -> ItemsView[str, Any]:
    annotations = dict(metadata.get("annotations") or {})
    annotations.pop(names.INSTALLED_BY_ANNOTATION, None)
    return annotations.items()


def _is_default(metadata: Mapping[str, Any]) -> bool:
    return names.DEFAULT_PROFILE_ANNOTATION in (metadata.get("annotations") or {})
