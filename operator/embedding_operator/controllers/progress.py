"""Looks at the progress of pods of our Jobs over HTTP. What cannot be reached is absent, never an error."""

import json
import time
from collections.abc import Callable

import aiohttp

from embedding_operator.api.codec import ApiValueError
from embedding_operator.api.modelcache import Progress
from embedding_operator.kube.resources import Object, ObjectKey
from embedding_operator.planning.cacheplan import PROGRESS_POLL
from embedding_operator.planning.jobreport import Page, page_of
from embedding_operator.planning.stagejob import PROGRESS_PORT

_LIMIT = 16 * 1024  # bytes; what answers on a pod's address need not be our stager
_TIMEOUT = aiohttp.ClientTimeout(total=2)


class Looks:
    """When the pods of each ModelCache or job were last asked: news of them come in between, and a status that counts
    must not be written for each of these.
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
    try:
        return Progress.from_dict(await _fetch(http, pod))
    except ApiValueError:
        return None


async def fetch_page(http: aiohttp.ClientSession, pod: Object) -> Page | None:
    """The same of a pod of an EmbeddingJob."""
    try:
        return page_of(await _fetch(http, pod))
    except ApiValueError:
        return None


async def _fetch(http: aiohttp.ClientSession, pod: Object) -> object:
    """The JSON that it shows, or None."""
    address = (pod.get("status") or {}).get("podIP")
    if not address:
        return None
    host = f"[{address}]" if ":" in address else address
    url = f"http://{host}:{PROGRESS_PORT}/progress"
    try:
        async with http.get(url, timeout=_TIMEOUT, allow_redirects=False) as response:
            if response.status != 200:
                return None
            shown: object = json.loads(await response.content.read(_LIMIT))
            return shown
    except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError):
        return None
