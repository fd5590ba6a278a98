"""Looks at a running stager's progress over HTTP. What cannot be reached is absent, never an error."""

import json
import time
from collections.abc import Callable

import aiohttp

from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.modelcache import Progress
from embedding_operator.kube.resources import Object, ObjectKey
from embedding_operator.planning.cacheplan import PROGRESS_POLL
from embedding_operator.planning.stagejob import PROGRESS_PORT

_LIMIT = 16 * 1024  # bytes; what answers on a pod's address need not be our stager
_TIMEOUT = aiohttp.ClientTimeout(total=2)


class Looks:
    """When each ModelCache's stager was last asked: news of its pod come in between, and a status that counts bytes
    must not be written for each of them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[ObjectKey, float] = {}

    def is_due(self, key: ObjectKey) -> bool:
        """Whether it may be asked now; if so, that counts as asked."""
        now = self._clock()
        if now - self._last.get(key, float("-inf")) < PROGRESS_POLL:
            return False
        self._last = {other: then for other, then in self._last.items() if now - then < PROGRESS_POLL}
        self._last[key] = now
        return True


async def fetch_progress(http: aiohttp.ClientSession, pod: Object) -> Progress | None:
    """The progress that the stager in this pod reports, or None."""
    address = (pod.get("status") or {}).get("podIP")
    if not address:
        return None
    host = f"[{address}]" if ":" in address else address
    url = f"http://{host}:{PROGRESS_PORT}/progress"
    try:
        async with http.get(url, timeout=_TIMEOUT, allow_redirects=False) as response:
            if response.status != 200:
                return None
            return Progress.from_dict(json.loads(await response.content.read(_LIMIT)))
    except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError, ApiValueError):
        return None
