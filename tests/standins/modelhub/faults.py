"""What can go wrong at a hub, each by name, for the files that match, for so many requests.

| name | value | what happens |
|---|---|---|
| wrong-sha256 | | the listing tells a wrong sum |
| no-sha256 | | the listing tells none |
| no-commit | | LatestCommitter.Id is empty |
| no-commit-reads | | files are not served by commit id, only by branch or tag |
| extra-entry | a JSON object | the listing has one more entry |
| listing-limit | n | a listing is cut after n entries, silently |
| page-size | n | the Hugging Face API lists n entries a page |
| foreign-pages | | the address of its next page is another host's, as a mirror has it |
| endless-pages | | there is always a next page |
| corrupt | | one byte of the file is another |
| truncate | n | the file is n bytes shorter than listed (its Content-Length says so) |
| changed | | the file is other content of another length than was listed |
| drop-after | n | the connection breaks after n bytes of the body |
| stall-after | n | after n bytes nothing more comes |
| slow | bytes per second | |
| no-ranges | | a Range is ignored: 200 and the whole file |
| wrong-range | | a Range is answered with another one |
| status | code | that answer, instead of the right one |
| rate-limit | seconds | 429 with Retry-After |
| redirect | "port", "path" or "raw" | 302 to the CDN on its own port, below /cdn of this one, or there unquoted |
| redirect-loop | | 302 to the very same address |
| code | code | a listing is HTTP 200, whose body says Success false and this Code |
| cdn-status | code | the CDN answers so |

`match` is a glob over the file's path; a listing has the path "" and is matched by "*" and by "@listing".
"""

from __future__ import annotations

import re
import threading
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

NAMES = frozenset(re.findall(r"^\| ([a-z0-9-]+) \|", __doc__, re.MULTILINE)) - {"name"}
LISTING = "@listing"


@dataclass
class Fault:
    """One thing that is wrong."""

    name: str
    match: str = "*"
    value: Any = None
    times: int = -1
    """How often it happens; -1 means always."""


class Faults:
    """The faults that are switched on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        if fault.name not in NAMES:
            raise ValueError(f"no fault is called {fault.name!r}; there are {', '.join(sorted(NAMES))}")
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def take(self, name: str, path: str) -> Fault | None:
        """The fault if it applies to this path now; uses it up once."""
        with self._lock:
            for fault in self._faults:
                if fault.name == name and fault.times != 0 and fnmatchcase(path, fault.match):
                    if fault.times > 0:
                        fault.times -= 1
                    return fault
        return None

    def take_all(self, name: str) -> list[Fault]:
        with self._lock:
            return [fault for fault in self._faults if fault.name == name and fault.times != 0]

    def as_list(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(fault) for fault in self._faults]
