"""What a pod that is gone left unanswered: the last word of its drain, read from its status."""

import re

from embedding_operator.api.json import JsonObject

_CUT_OFF = re.compile(
    r"embedding-operator drain: gave up after ([0-9]{1,6})\.[0-9] s: "
    r"([0-9]{1,9}|an unknown number of) requests in flight"
)


def cut_off(pod: JsonObject) -> str | None:
    """In words for an Event, where a pod was stopped before it had answered what it had accepted."""
    found = _CUT_OFF.match(_last_word(pod))
    if found is None:
        return None
    seconds, count = found.groups()
    return (
        f"pod {pod['metadata']['name']} ended with {count} requests unanswered, as its drain was over after {seconds} "
        "s: where requests take longer, write a longer rollout.drainTimeout"
    )


def _last_word(pod: JsonObject) -> str:
    """Of its server's last life; an earlier one is none of this end's business."""
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        message = ((container.get("state") or {}).get("terminated") or {}).get("message")
        if message:
            return str(message)
    return ""
