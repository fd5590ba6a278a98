"""An HTTP server that answers what a test likes, and connections to it."""

import contextlib
import json

from aiohttp import web

from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.connection import connect


@contextlib.asynccontextmanager
async def connected(tmp_path, server, proxy=None):
    """A connection to what a kubeconfig names."""
    cluster = {"server": server} | ({"proxy-url": proxy} if proxy else {})
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": cluster}],
        "users": [{"name": "x", "user": {"token": "secret"}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(config))
    connection = await connect(file)
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def serving(handler, tmp_path, **options):
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with connected(tmp_path, f"http://127.0.0.1:{runner.addresses[0][1]}") as connection:
            yield KubeClient(connection, **options)
    finally:
        await runner.cleanup()


def answering(status, text, **headers):
    async def handler(_):
        return web.Response(status=status, text=text, headers=headers)

    return handler
