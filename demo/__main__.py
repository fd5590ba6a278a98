"""The whole path, from nothing to vectors: a cluster, the operator, one manifest, a vLLM that answers.

  up     without --kubeconfig on a cluster of its own on this machine (root; built from source once), else on yours
  down   take it away again; on your cluster exactly what the demo made there

On your cluster images get to the nodes by `kind load` or `minikube image load` where its context is one of these, and
else by --registry. make's words for the options are their names in capitals: make demo KUBECONFIG=... REGISTRY=...
"""

import argparse
import sys
import time
from collections.abc import Sequence

from demo import preflight, screen, story, takedown
from demo.errors import DemoError
from demo.target import OWN, SERVERS, Target, helm, kubectl_for, own_cluster, somebodys_cluster
from images.host import BuildError
from tests.cluster.cleanup import clean_up
from tests.cluster.errors import ClusterError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo, or take it down."""
    options = _parser().parse_args(arguments)
    try:
        return down(options) if options.action == "down" else up(options)
    except (BuildError, ClusterError, DemoError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def up(options: argparse.Namespace) -> int:
    """All of it, in order."""
    began = time.monotonic()
    right = story.tell(_prepare(options))
    undo = " ".join(["make demo-down", *([f"KUBECONFIG={options.kubeconfig}"] if options.kubeconfig else [])])
    screen.note(f"{undo}    # takes all of it away")
    screen.note(f"({time.monotonic() - began:.0f} s in all)")
    return 0 if right else 1


def _prepare(options: argparse.Namespace) -> Target:
    if options.kubeconfig:
        screen.heading("1. Your cluster")
        target = somebodys_cluster(options)
        preflight.check(target)
        screen.note(f"Images get there by: {target.images.way}.")
        return target
    for name in ("context", "registry", "claim", "storage_class"):
        if getattr(options, name):
            word = name.upper()
            raise DemoError(f"{word} is for a cluster of yours: write KUBECONFIG=FILE with it, or leave {word} out")
    screen.heading("1. A Kubernetes cluster on this machine: two nodes")
    screen.note("Built from source once (about 20 minutes on two cores), then kept; up in seconds after that.")
    return own_cluster(options, screen.note)


def down(options: argparse.Namespace) -> int:
    """Take the demo's own cluster down, or the demo off somebody's."""
    if options.kubeconfig:
        for line in takedown.take_down(kubectl_for(options), helm()):
            screen.note(f"stays: {line}")
        return 0
    with screen.ticking("taking the demo's cluster down"):
        clean_up(OWN)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", nargs="?", choices=("up", "down"), default="up", help="default: up")
    add = parser.add_argument
    add("--kubeconfig", default="", metavar="FILE", help="your cluster; default: one of the demo's own")
    add("--context", default="", metavar="NAME", help="of the kubeconfig; default: its current one")
    add("--registry", default="", metavar="HOST/PREFIX", help="push the images there; your nodes pull them from there")
    add("--registry-insecure", action="store_true", help="that registry speaks plain HTTP, or nobody knows its CA")
    add("--storage-class", default="", metavar="NAME", help="for the weights; default: the cluster's default class")
    add("--read-write-many", action="store_true", help="that class has volumes for many nodes at once")
    add("--claim", default="", metavar="NAMESPACE/NAME", help="put the weights on a claim that is there")
    add(
        "--npus",
        type=int,
        metavar="N",
        help="also serve on N stand-in NPUs a node, by a DaemonSet; default: 8 on the demo's own cluster, else none",
    )
    add(
        "--server",
        choices=SERVERS,
        help="where vLLM comes from: upstream's public image (default on your cluster), built here (default on the "
        "demo's own, which has no way out), or a double that answers without meaning",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
