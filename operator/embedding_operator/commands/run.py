"""`run`: the operator itself."""

from __future__ import annotations

import argparse
import asyncio
import errno
import gc
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from embedding_operator.commands import argvalues, options
from embedding_operator.logs import FORMATS

if TYPE_CHECKING:
    from embedding_operator.controllers.context import Settings


def add(parser: argparse.ArgumentParser) -> None:
    """`run --image IMAGE`."""
    parser.usage = "{prog} run --image IMAGE [options]"
    parser.description = """
Run the operator: watch EmbeddingServices, EmbeddingJobs, EmbeddingBenchmarks, ModelCaches and RuntimeProfiles, and do \
what they ask for. Start as many as you like; the one that holds the Lease works, the others are ready to take over.
"""
    parser.epilog = """
examples:
  outside a cluster:
  {prog} run --kubeconfig FILE --image REGISTRY/embedding-operator:0.1.0

Where the chart is installed too, name its Lease with --lease-namespace and --lease-name, or both work at once.
exit codes: 0 told to stop, 1 the Lease was lost, 2 wrong arguments.
"""
    _add_arguments(parser)
    options.add_log_level(parser)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
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
        help="port of /healthz, /readyz and /metrics; 0: none (default: %(default)s)",
    )
    parser.add_argument(
        "--log-format",
        choices=FORMATS,
        default="text",
        help="json: one object a line, with the object and the id of the reconcile (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run until told to stop, or until the Lease is lost."""
    from embedding_operator.controllers.app import run
    from embedding_operator.kube.access import AccessError

    if not arguments.image:
        return _refused("--image (or OPERATOR_IMAGE) is needed: staging Jobs run it")
    gc.freeze()  # modules stay
    gc.set_threshold(20_000, 20, 20)  # of what a start with thousands of objects allocates next to nothing is garbage
    try:
        return asyncio.run(run(_settings(arguments), arguments.kubeconfig))
    except AccessError as error:
        return _refused(f"no way to an API server ({error}): name a kubeconfig with --kubeconfig or $KUBECONFIG")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return _refused(f"port {arguments.health_port} is taken: choose another --health-port, or 0 for none")


def _settings(arguments: argparse.Namespace) -> Settings:
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
