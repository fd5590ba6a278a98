"""The double's command line: `vllm serve MODEL --flags`, from start to SIGTERM."""

import argparse
import asyncio
import importlib
import importlib.metadata
import math
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from tests.standins.vllm import failures, flags
from tests.standins.vllm.app import Api
from tests.standins.vllm.asgi import App, Server
from tests.standins.vllm.certificate import Certificate
from tests.standins.vllm.engine import Engine
from tests.standins.vllm.model import Model, ModelError

DEFAULT_VERSION = "0.23.0"


def number(name: str, default: float) -> float:
    """A setting from the environment."""
    return float(os.environ.get(name, default))


def with_middleware(app: Any, paths: list[str]) -> App:
    """Wrap as `add_middleware` does: the one named last is the outermost."""
    wrapped: App = app
    for path in paths:
        module, _, name = path.rpartition(".")
        wrapped = getattr(importlib.import_module(module), name)(app=wrapped)
    return wrapped


def load_plugins() -> None:
    """As vLLM does in each of its processes."""
    for plugin in importlib.metadata.entry_points(group="vllm.general_plugins"):
        plugin.load()()


def check_environment() -> None:
    """A Service named `vllm` makes Kubernetes set VLLM_PORT to a URL, which vLLM refuses."""
    if not os.environ.get("VLLM_PORT", "0").isdigit():
        raise ModelError(f"ValueError: VLLM_PORT {os.environ['VLLM_PORT']!r} appears to be a URI; it must be a number")


def bind(host: str | None, port: int) -> socket.socket:
    """Bound early and listening only when ready, like vLLM's: until then connections are refused."""
    bound = socket.socket(socket.AF_INET6 if host and ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host or "0.0.0.0", port))
    return bound


def check_template(template: str | None) -> None:
    """A path that leads nowhere is no template."""
    if template and not any(sign in template for sign in "{}\n") and not Path(template).is_file():
        raise ModelError(
            f"ValueError: The supplied chat template ({template}) looks like a file path, but it failed to open"
        )


async def serve(options: argparse.Namespace, model: Model, version: str) -> None:
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    bound = bind(options.host, 8000 if options.port is None else options.port)
    engine = Engine(
        latency=number("VLLM_DOUBLE_LATENCY_MS", 0) / 1000,
        latency_per_token=number("VLLM_DOUBLE_LATENCY_MS_PER_TOKEN", 0) / 1000,
        max_num_seqs=options.max_num_seqs or 256,
        shutdown_timeout=options.shutdown_timeout or 0,
        hangs_after=number("VLLM_DOUBLE_HANGS_AFTER", math.inf),
    )
    names = options.served_model_name or [options.model_tag]
    api = Api(
        model=model,
        names=names,
        engine=engine,
        version=version,
        tracks_load=bool(options.enable_server_load_tracking),
    )
    api.dies_at = os.environ.get("VLLM_DOUBLE_DIES_AT", "").encode()
    app = with_middleware(api, options.middleware or [])
    try:
        await asyncio.wait_for(stop.wait(), number("VLLM_DOUBLE_START_SECONDS", 0.5))
        return  # told to stop while loading
    except TimeoutError:
        pass
    server = Server(app, idle=number("VLLM_HTTP_TIMEOUT_KEEP_ALIVE", 5))
    certificate = Certificate(options.ssl_certfile, options.ssl_keyfile) if options.ssl_certfile else None
    await server.listen(sock=bound, ssl=certificate and certificate.context)
    refreshing = asyncio.create_task(certificate.refresh()) if certificate and options.enable_ssl_refresh else None
    host, port = bound.getsockname()[:2]
    scheme = "https" if certificate else "http"
    print(f"INFO:     Uvicorn running on {scheme}://{host}:{port} (a vLLM double, not vLLM)", flush=True)
    await stop.wait()
    print("INFO:     Shutting down; waiting for connections to close", flush=True)
    engine.stop()
    await server.close()
    if refreshing:
        refreshing.cancel()


def main(arguments: list[str]) -> int:
    version = os.environ.get("VLLM_DOUBLE_VERSION", DEFAULT_VERSION)
    if arguments[:1] in (["--version"], ["-v"]):
        print(version)
        return 0
    if arguments[:1] != ["serve"]:
        print("usage: vllm serve MODEL [flags] (the double knows no other command)", file=sys.stderr)
        return 2
    options = flags.parse(arguments[1:], version)
    load_plugins()
    if "VLLM_DOUBLE_FAILS" in os.environ:
        return failures.fail(os.environ["VLLM_DOUBLE_FAILS"])
    try:
        check_environment()
        check_template(options.chat_template)
        model = Model.load(options.model_tag, options.max_model_len, options.hf_overrides or {})
        model.seed = os.environ.get("VLLM_DOUBLE_SEED", "")
    except ModelError as error:
        print(error, file=sys.stderr)
        return 1
    asyncio.run(serve(options, model, version))
    return 0
