"""What can go wrong between the operator and the API server, as exceptions that callers tell apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_LONGEST = 300.0  # seconds that anybody is made to wait: a proxy may say anything


class ApiError(Exception):
    """The API server refused, or could not be asked (status 0).

    `message` is the server's own sentence and may be shown to users.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else f"{reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    @classmethod
    def from_response(cls, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
        """Read a metav1.Status; proxies in between answer with other things, which are quoted shortened."""
        try:
            decoded: Any = json.loads(body)
        except ValueError:
            decoded = None
        answer: dict[str, Any] = decoded if isinstance(decoded, dict) else {}
        message = answer.get("message") or body[:200].decode("utf-8", "replace").strip() or "no explanation"
        return cls(status, answer.get("reason") or f"HTTP{status}", message, _retry_after(headers, answer))

    @property
    def is_conflict(self) -> bool:
        """Somebody else owns the field, changed the object first, or has the name (409)."""
        return self.status == 409

    @property
    def is_already_exists(self) -> bool:
        return self.status == 409 and self.reason == "AlreadyExists"

    @property
    def is_not_found(self) -> bool:
        return self.status == 404

    @property
    def is_expired(self) -> bool:
        """A continue token or resourceVersion is too old (410): list again from the start."""
        return self.status == 410

    @property
    def is_invalid(self) -> bool:
        """What was sent is wrong: sending it again cannot help.

        Server-side apply answers unknown fields and doubled list keys with a 500 that has no reason.
        """
        return self.status in (400, 422) or (
            self.status == 500 and self.message.startswith("failed to create typed patch object")
        )

    @property
    def is_forbidden(self) -> bool:
        return self.status in (401, 403)

    @property
    def is_unauthorized(self) -> bool:
        """The API server does not know who asks (401): a token that is being renewed, or an API server that has just
        started."""
        return self.status == 401

    @property
    def is_namespace_ending(self) -> bool:
        """The namespace is being deleted, and takes nothing new: what is asked for goes soon, too."""
        return self.status == 403 and "because it is being terminated" in self.message

    @property
    def is_kind_ending(self) -> bool:
        """The definition of this kind is being deleted: there will soon be no such objects."""
        return self.status in (403, 405) and "custom resource definition is terminating" in self.message

    @property
    def is_kind_new(self) -> bool:
        """Its definition was made a moment ago, and admission, which asks whether an owner may be blocked by what it
        owns (OwnerReferencesPermissionEnforcement), has yet to hear of it: within half a minute it looks again."""
        return self.status == 403 and "cannot find RESTMapping for APIVersion" in self.message

    @property
    def is_kind_missing(self) -> bool:
        """It is not the object that is not there, but its kind: its definition is gone."""
        return self.status == 404 and (
            "could not find the requested resource" in self.message or "page not found" in self.message
        )

    @property
    def is_temporary(self) -> bool:
        """Unreachable, overloaded or broken for the moment: the same request may work later."""
        return self.status in (0, 408, 429) or (self.status >= 500 and not self.is_invalid)


class LeaseLost(ApiError):  # noqa: N818 - it is a refusal of our own, named for what happened
    """A write was about to begin without a valid lease; another replica may already be at work."""

    def __init__(self, what: str) -> None:
        super().__init__(0, "LeaseLost", f"{what} not sent: this replica does not hold the lease")


class NameTaken(Exception):  # noqa: N818 - matches the condition reason that users see
    """The name that a child needs belongs to an object that is not ours; `owner` says whose it is."""

    def __init__(self, what: str, owner: str) -> None:
        super().__init__(f"{what} exists already and belongs to {owner}")
        self.what = what
        self.owner = owner


def _retry_after(headers: Mapping[str, str], answer: Mapping[str, Any]) -> float | None:
    # Kubernetes sends seconds, never a date.
    details = answer.get("details")
    from_body = details.get("retryAfterSeconds") if isinstance(details, dict) else None
    for value in (headers.get("Retry-After"), from_body):
        try:
            if value is not None:
                return min(max(0.0, float(value)), _LONGEST)
        except (TypeError, ValueError):
            continue
    return None
