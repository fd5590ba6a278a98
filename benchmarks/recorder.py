"""`python -m benchmarks.recorder FILE run ...`: the operator, with each write that succeeded kept in FILE.

Hooked in below everything of the operator's own, at aiohttp's one place where a request leaves, so what is kept is
what went over the wire, however the operator sends it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from embedding_operator.cli import main


def record(path: Path) -> None:
    """From now on, append each write that was answered without an error."""
    send = aiohttp.ClientSession._request
    file = path.open("a", buffering=1)

    async def recorded(self: aiohttp.ClientSession, method: str, url: Any, **options: Any) -> aiohttp.ClientResponse:
        answer = await send(self, method, url, **options)
        if method.upper() != "GET" and answer.status < 400:
            file.write(json.dumps(_told(method, URL(url), options)) + "\n")
        return answer

    aiohttp.ClientSession._request = recorded  # type: ignore[method-assign,assignment]


def _told(method: str, url: URL, options: dict[str, Any]) -> dict[str, str]:
    data = options.get("data")
    text = data.decode() if isinstance(data, bytes | aiohttp.BytesPayload) else str(data or "")
    whole = url.update_query(options["params"]) if options.get("params") else url
    headers = {name.lower(): value for name, value in (options.get("headers") or {}).items()}
    return {"method": method, "path": whole.raw_path_qs, "body": text, "content_type": headers.get("content-type", "")}


if __name__ == "__main__":
    record(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
