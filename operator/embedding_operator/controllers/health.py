"""`/healthz` and `/readyz` for the kubelet, `/metrics` for Prometheus, all on one port.

Ready means: everything was listed once, leader or standby. Kubelets reach the pods of their node whatever a
NetworkPolicy says, so one that admits Prometheus alone keeps nobody from probing.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from aiohttp import web

from embedding_operator.metrics.text import CONTENT_TYPE

logger = logging.getLogger(__name__)

_GOODBYE = 1.0  # seconds in which answers that are under way may end; somebody may never read his


async def serve_health(
    port: int,
    *,
    ready: Callable[[], bool],
    complaints: Callable[[], Iterable[str]],
    metrics: Callable[[], Iterable[bytes]],
) -> web.AppRunner:
    """Serve until the returned runner is cleaned up."""

    async def healthz(_: web.Request) -> web.Response:
        found = list(complaints())
        for complaint in found:
            logger.error("/healthz fails: %s", complaint)
        return web.Response(status=503, text="".join(f"{one}\n" for one in found)) if found else _ok()

    async def readyz(_: web.Request) -> web.Response:
        return _ok() if ready() else web.Response(status=503, text="listing\n")

    async def tell(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
        await answer.prepare(request)
        for piece in metrics():
            await answer.write(piece)
            await asyncio.sleep(0)  # workers and the Lease need not wait for ten thousand lines
        await answer.write_eof()
        return answer

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", tell)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GOODBYE)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner


def _ok() -> web.Response:
    return web.Response(text="ok\n")
