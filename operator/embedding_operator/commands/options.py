"""Options that several commands have, named as kubectl's."""

from __future__ import annotations

import argparse
from pathlib import Path

from embedding_operator.commands import argvalues

Arguments = argparse.Namespace


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Which API server."""
    group = parser.add_argument_group("which cluster")
    group.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="default: $KUBECONFIG, else the pod's own rights where it runs in one, else ~/.kube/config",
    )
    group.add_argument("--context", metavar="NAME", help="context of the kubeconfig (default: its current one)")


def add_namespace(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Which namespace: that of the context, if nobody says another."""
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "-n",
        "--namespace",
        type=argvalues.object_name,
        metavar="NAME",
        help="namespace (default: that of the kubeconfig's context)",
    )
    if several:
        choice.add_argument("-A", "--all-namespaces", action="store_true", help="all namespaces")


def add_files(parser: argparse.ArgumentParser, what: str) -> None:
    """Which manifests."""
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        required=True,
        metavar="FILE",
        help=f"{what}; - is the standard input; repeatable",
    )


def add_service(parser: argparse.ArgumentParser) -> None:
    """Which service."""
    parser.add_argument("name", type=argvalues.object_name, metavar="NAME", help="an EmbeddingService")


def add_log_level(parser: argparse.ArgumentParser) -> None:
    """Of what runs in the cluster."""
    levels = ("debug", "info", "warning", "error")
    parser.add_argument(
        "--log-level",
        default="info",
        choices=levels,
        metavar="LEVEL",
        help=f"{', '.join(levels)} (default: %(default)s)",
    )
