"""`/healthz` and `/readyz` for the kubelet. Ready means: everything was listed once, leader or standby."""

from collections.abc import Callable

from aiohttp import web


async def serve_health(port: int, ready: Callable[[], bool]) -> web.AppRunner:
    """Serve until the returned runner is cleaned up."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n") if ready() else web.Response(status=503, text="listing\n")

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
