"""What a pod that is gone left unanswered: the last word of its drain, read from its status."""

import re
from collections.abc import Iterator

from embedding_operator.api.json import JsonObject

_CUT_OFF = re.compile(
    r"embedding-operator drain: gave up after ([0-9]{1,6})\.[0-9] s: "
    r"([0-9]{1,9}|an unknown number of) requests in flight"
)


def cut_off(pod: JsonObject) -> str | None:
    """In words for an Event, where a pod was stopped before it had answered what it had accepted."""
    found = next(filter(None, map(_CUT_OFF.match, _last_words(pod))), None)
    if found is None:
        return None
    seconds, count = found.groups()
    return (
        f"pod {pod['metadata']['name']} ended with {count} requests unanswered, as its drain was over after {seconds} "
        "s: where requests take longer, write a longer rollout.drainTimeout"
    )


def _last_words(pod: JsonObject) -> Iterator[str]:
    """Of its containers' last lives, sidecars' too; an earlier one is none of this end's business."""
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        yield str(((container.get("state") or {}).get("terminated") or {}).get("message") or "")
