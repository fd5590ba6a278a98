"""The command line: `embedding-operator run` in the cluster or outside, `stage` inside staging Jobs."""

import argparse
import asyncio
import logging
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from embedding_operator import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        level=arguments.log_level.upper() if hasattr(arguments, "log_level") else "INFO",
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    code: int = arguments.command(arguments)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="embedding-operator",
        description="Runs vLLM pooling servers on Ascend NPUs (and CPUs) from EmbeddingService manifests.",
    )
    parser.add_argument("--version", action="version", version=f"embedding-operator {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="run the operator, in the cluster or with a kubeconfig"))
    _add_stage(commands.add_parser("stage", help="stage one model's weights (what a staging Job runs)"))
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    env = os.environ.get
    parser.add_argument("--kubeconfig", type=Path, help="default: in-cluster, else $KUBECONFIG, else ~/.kube/config")
    parser.add_argument(
        "--namespace",
        action="append",
        default=[],
        metavar="NAME",
        help="watch only this one; repeatable (default: all)",
    )
    parser.add_argument(
        "--image", default=env("OPERATOR_IMAGE"), help="image of staging Jobs: the operator's own (env OPERATOR_IMAGE)"
    )
    parser.add_argument(
        "--staging-env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        type=_variable,
        help="environment of staging Jobs, like HTTPS_PROXY=http://proxy:3128; repeatable",
    )
    parser.add_argument("--lease-namespace", default=env("POD_NAMESPACE", "default"), help="where the Lease lives")
    parser.add_argument("--lease-name", default="embedding-operator")
    parser.add_argument("--workers", type=int, default=16, help="keys reconciled at once (default: %(default)s)")
    parser.add_argument(
        "--health-port", type=int, default=8080, help="for /healthz and /readyz; 0: none (default: %(default)s)"
    )
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    parser.set_defaults(command=_run)


def _add_stage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--spec", required=True, metavar="JSON", help="source, root, digest, parallelism, progressPort")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    parser.set_defaults(command=_stage)


def _variable(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _run(arguments: argparse.Namespace) -> int:
    from embedding_operator.controllers.app import run
    from embedding_operator.controllers.context import Settings

    if not arguments.image:
        print("embedding-operator run: --image (or OPERATOR_IMAGE) is needed: staging Jobs run it", file=sys.stderr)
        return 2
    if arguments.kubeconfig:
        os.environ["KUBECONFIG"] = str(arguments.kubeconfig)  # the watches read it there
    settings = Settings(
        image=arguments.image,
        identity=os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
        namespaces=tuple(arguments.namespace),
        stager_env=tuple(arguments.staging_env),
        lease_namespace=arguments.lease_namespace,
        lease_name=arguments.lease_name,
        workers=arguments.workers,
        health_port=arguments.health_port or None,
    )
    return asyncio.run(run(settings, arguments.kubeconfig))


def _stage(arguments: argparse.Namespace) -> int:
    from embedding_operator.staging.main import main_stage

    return main_stage(arguments.spec)


if __name__ == "__main__":
    sys.exit(main())
