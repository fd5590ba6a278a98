"""The command line: `embedding-operator run` in the cluster or outside, `stage` inside staging Jobs."""

import argparse
import asyncio
import errno
import logging
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from embedding_operator import __version__, argvalues, helptexts, revisionargs
from embedding_operator.staging import usage

if TYPE_CHECKING:
    from embedding_operator.controllers.context import Settings


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and run; returns the exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        level=arguments.log_level.upper(),
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
    _add_run(
        commands.add_parser(
            "run",
            help="run the operator, in the cluster or with a kubeconfig",
            description=helptexts.RUN_HELP,
            epilog=helptexts.RUN_EPILOG,
        )
    )
    _add_stage(commands.add_parser("stage", help=usage.HELP, description=usage.HELP, epilog=usage.EPILOG))
    _add_clean(commands.add_parser("clean", help=usage.CLEAN_HELP, description=usage.CLEAN_HELP))
    _add_status(commands.add_parser("status", help=helptexts.STATUS_HELP, description=helptexts.STATUS_HELP))
    _add_explain(
        commands.add_parser(
            "explain",
            help="what would be made of a manifest, and why",
            description=helptexts.EXPLAIN_HELP,
            epilog=helptexts.EXPLAIN_EPILOG,
        )
    )
    for name, add, told, more in (
        ("history", revisionargs.add_history, helptexts.HISTORY_HELP, helptexts.HISTORY_EPILOG),
        ("rollback", revisionargs.add_rollback, helptexts.ROLLBACK_HELP, helptexts.ROLLBACK_EPILOG),
    ):
        command = commands.add_parser(name, help=told, description=told, epilog=more)
        add(command)
        _add_log_level(command)
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    env = os.environ.get
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="default: $KUBECONFIG, else the pod's own rights where it runs in one, else ~/.kube/config",
    )
    parser.add_argument(
        "--namespace",
        action="append",
        default=[],
        metavar="NAME",
        help="work in this namespace only; repeatable (default: all)",
    )
    parser.add_argument(
        "--image",
        default=env("OPERATOR_IMAGE"),
        help="required: image of the staging Jobs, the operator's own (default: $OPERATOR_IMAGE)",
    )
    parser.add_argument(
        "--staging-env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        type=argvalues.variable,
        help="environment of staging Jobs, like HTTPS_PROXY=http://proxy:3128; repeatable",
    )
    parser.add_argument(
        "--staging-pull-secret",
        action="append",
        default=[],
        metavar="NAME",
        help="pull Secret of staging Jobs, which must be in the namespaces of the services; repeatable",
    )
    parser.add_argument(
        "--staging-proxy-secret",
        metavar="NAME[/KEY]",
        type=argvalues.key_of("proxy"),
        help="Secret with the URL of a proxy that wants a password, for http and https, in the namespaces of the "
        "services (key: proxy, if none is given)",
    )
    parser.add_argument(
        "--staging-ca-bundle",
        metavar="NAME[/KEY]",
        type=argvalues.key_of("ca.crt"),
        help="ConfigMap with certificates that staging Jobs trust beside their image's, in the namespaces of the "
        "services (key: ca.crt, if none is given)",
    )
    parser.add_argument(
        "--staging-bytes-per-second",
        metavar="QUANTITY",
        type=argvalues.rate,
        help="how fast each staging Job may fetch, such as 100Mi (default: as fast as it can)",
    )
    parser.add_argument(
        "--profiles",
        type=Path,
        metavar="DIRECTORY",
        help="RuntimeProfiles of the site, in files: made, and kept as they are written there",
    )
    parser.add_argument(
        "--lease-namespace",
        default=env("POD_NAMESPACE", "default"),
        metavar="NAME",
        help="namespace of the Lease (default: $POD_NAMESPACE, else default)",
    )
    parser.add_argument(
        "--lease-name", default="embedding-operator", metavar="NAME", help="name of the Lease (default: %(default)s)"
    )
    parser.add_argument(
        "--lease-seconds",
        type=argvalues.lease,
        default=15,
        metavar="N",
        help="after so long without news of the replica that works another one does; for as long as two thirds of it "
        "that replica works on where it cannot renew the Lease (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=argvalues.positive,
        default=16,
        metavar="N",
        help="objects worked on at once (default: %(default)s)",
    )
    parser.add_argument(
        "--resync-seconds",
        type=argvalues.positive,
        default=600,
        metavar="N",
        help="how often all objects are listed and looked at anew, whatever watches tell (default: %(default)s)",
    )
    parser.add_argument(
        "--health-port",
        type=argvalues.port,
        default=8080,
        metavar="PORT",
        help="port of /healthz and /readyz; 0: none (default: %(default)s)",
    )
    _add_log_level(parser)
    parser.set_defaults(command=_run)


def _add_stage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--spec", required=True, metavar="JSON", help=usage.SPEC_HELP)
    _add_log_level(parser)
    parser.set_defaults(command=_stage)


def _add_status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="default: as of `run`")
    parser.add_argument("--namespace", metavar="NAME", help="of this namespace only (default: all)")
    parser.add_argument("--watch", action="store_true", help="go on until interrupted, with a bar while weights come")
    _add_log_level(parser)
    parser.set_defaults(command=_status)


def _add_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        required=True,
        metavar="FILE",
        help="manifests: EmbeddingServices, and what they refer to; - is the standard input; repeatable",
    )
    parser.add_argument(
        "-o",
        "--output",
        default="text",
        choices=("text", "yaml"),
        help="yaml: the objects that would be made (default: %(default)s)",
    )
    _add_log_level(parser)
    parser.set_defaults(command=_explain)


def _add_clean(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--spec", required=True, metavar="JSON", help=usage.CLEAN_SPEC_HELP)
    _add_log_level(parser)
    parser.set_defaults(command=_clean)


def _add_log_level(parser: argparse.ArgumentParser) -> None:
    levels = ("debug", "info", "warning", "error")
    parser.add_argument("--log-level", default="info", choices=levels, help="default: %(default)s")


def _run(arguments: argparse.Namespace) -> int:
    from embedding_operator.controllers.app import run
    from embedding_operator.kube.access import AccessError

    if not arguments.image:
        return _refused("--image (or OPERATOR_IMAGE) is needed: staging Jobs run it")
    if arguments.kubeconfig and not arguments.kubeconfig.is_file():
        return _refused(f"there is no kubeconfig {arguments.kubeconfig}")
    try:
        return asyncio.run(run(_settings(arguments), arguments.kubeconfig))
    except AccessError as error:
        return _refused(f"no way to an API server ({error}): name a kubeconfig with --kubeconfig or $KUBECONFIG")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return _refused(f"port {arguments.health_port} is taken: choose another --health-port, or 0 for none")


def _settings(arguments: argparse.Namespace) -> "Settings":
    from embedding_operator.api.meta import ConfigMapKeyRef, SecretKeyRef
    from embedding_operator.controllers.context import Settings
    from embedding_operator.kube.leader import Times
    from embedding_operator.planning.stagejob import StagingSite

    return Settings(
        staging=StagingSite(
            arguments.image,
            tuple(arguments.staging_env),
            tuple(arguments.staging_pull_secret),
            ConfigMapKeyRef(*arguments.staging_ca_bundle) if arguments.staging_ca_bundle else None,
            arguments.staging_bytes_per_second,
            SecretKeyRef(*arguments.staging_proxy_secret) if arguments.staging_proxy_secret else None,
        ),
        identity=os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
        namespaces=tuple(arguments.namespace),
        lease_namespace=arguments.lease_namespace,
        lease_name=arguments.lease_name,
        lease=Times.of(arguments.lease_seconds),
        workers=arguments.workers,
        resync_seconds=arguments.resync_seconds,
        health_port=arguments.health_port or None,
        profiles=arguments.profiles,
        pod_name=os.environ.get("POD_NAME", ""),
        pod_uid=os.environ.get("POD_UID", ""),
    )


def _refused(message: str) -> int:
    print(f"embedding-operator run: {message}", file=sys.stderr)
    return 2


def _stage(arguments: argparse.Namespace) -> int:
    from embedding_operator.staging.main import main_stage

    return main_stage(arguments.spec)


def _status(arguments: argparse.Namespace) -> int:
    from embedding_operator.kube.access import AccessError
    from embedding_operator.showing import show

    try:
        return asyncio.run(show(arguments.kubeconfig, arguments.namespace, watch=arguments.watch))
    except KeyboardInterrupt:
        return 0
    except AccessError as error:
        print(f"embedding-operator status: no way to an API server: {error}", file=sys.stderr)
        return 2


def _explain(arguments: argparse.Namespace) -> int:
    from embedding_operator.explaining import main

    return main(arguments.filename, arguments.output)


def _clean(arguments: argparse.Namespace) -> int:
    from embedding_operator.staging.main import main_clean

    return main_clean(arguments.spec)


if __name__ == "__main__":
    sys.exit(main())
