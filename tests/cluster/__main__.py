"""A real Kubernetes cluster on this machine, for tests and demos.

  build       build what the cluster runs from pinned Go modules (cached; cold about 20 minutes);
              as an ordinary user, only what needs no root
  up          start a cluster of real kubelets whose nodes offer stand-in Ascend NPUs (root)
  status      say what runs, and how to reach it
  image load  import image archives (docker or OCI tar) on every node
  registry    let the nodes pull images from a registry over plain HTTP
  kubeconfig  print the path of the administrator's kubeconfig
  down        stop the cluster and leave nothing behind

The host reaches nodes, pod IPs and Service IPs directly. A directory that all nodes see is offered as the
ReadWriteMany PersistentVolume shared-weights. Several clusters can run at once, told apart by --name.
Example:  python -m tests.cluster up --nodes 2 --npus 8
          export KUBECONFIG=$(python -m tests.cluster kubeconfig)
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import packages, state
from tests.cluster.binaries import ensure_binaries
from tests.cluster.cleanup import clean_up
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.progress import ticking
from tests.cluster.sources import ALL_GROUPS, KUBERNETES_VERSION, OTHER_KUBERNETES_VERSIONS, WITHOUT_ROOT


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; an error of the surroundings is one line on stderr and exit code 1."""
    options = _parser().parse_args(arguments)
    try:
        _COMMANDS[options.command](options)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def build(options: argparse.Namespace) -> None:
    started = time.monotonic()
    left_out = not options.control_plane and packages.leaves_out_nodes("building all of the cluster")
    groups = WITHOUT_ROOT if left_out or options.control_plane else ALL_GROUPS
    built = ensure_binaries(groups, kubernetes_version=options.kubernetes)
    print(f"{len(built)} binaries ready in {time.monotonic() - started:.0f} s: {built['kubectl'].parent.parent}")
    if left_out:
        print("left out, as you are not root: what nodes run (kubelet, containerd, runc, ...); nodes need root")


def up(options: argparse.Namespace) -> None:
    if Cluster.running(options.name, options.nodes, options.npus):
        print(f"cluster {options.name} is up already")
    else:
        Cluster.up(options.name, options.nodes, options.npus, options.kubernetes, say=_say)
    status(options)


def down(options: argparse.Namespace) -> None:
    packages.require_root()
    state.check_name(options.name)
    known = state.load(options.name) is not None
    clean_up(options.name)
    print(f"cluster {options.name} is down" if known else f"no cluster {options.name} was up")


def status(options: argparse.Namespace) -> None:
    record = state.load(options.name)
    if record is None:
        print(f"no cluster {options.name} is up")
        return
    cluster = Cluster.attach(options.name)
    ended = [program.name for program in record.programs if not program.alive()]
    print(f"cluster {record.name}: Kubernetes {record.kubernetes}, {'ended: ' + ', '.join(ended) if ended else 'up'}")
    for node in cluster.nodes:
        running = node.program is not None and node.program.alive()
        log = node.directory / "kubelet.log"
        print(f"  {node.name}  {node.ip}  {record.npus} NPUs  {'up' if running else 'DOWN'}  log {log}")
    print(f"  shared directory  {cluster.shared_dir}")
    print(f"  host from pods    {cluster.network.host_ip}")
    print(f"  kubectl           {cluster.binaries['kubectl']}")
    print(f"  export KUBECONFIG={cluster.kubeconfig}")


def image(options: argparse.Namespace) -> None:
    cluster = Cluster.attach(options.name)
    for archive in options.archives:
        with ticking(f"importing {archive.name} on {len(cluster.nodes)} nodes"):
            cluster.load_image(archive)


def registry(options: argparse.Namespace) -> None:
    cluster = Cluster.attach(options.name)
    cluster.pull_plainly_from(options.registry)
    print(f"the nodes of {options.name} pull from {options.registry} over plain HTTP")


def kubeconfig(options: argparse.Namespace) -> None:
    print(Cluster.attach(options.name).kubeconfig)


_COMMANDS = {
    "build": build,
    "up": up,
    "down": down,
    "status": status,
    "image": image,
    "registry": registry,
    "kubeconfig": kubeconfig,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    def command(name: str, text: str, named: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        if named:
            added.add_argument("--name", default="demo", help="the cluster (default: demo)")
        return added

    def takes_version(added: argparse.ArgumentParser, text: str) -> None:
        added.add_argument("--kubernetes", default=KUBERNETES_VERSION, metavar="VERSION", help=text)

    others = " or ".join(OTHER_KUBERNETES_VERSIONS)
    text = f"the control plane's version (default {KUBERNETES_VERSION}, or {others})"
    everything = command("build", "build all binaries", named=False)
    everything.add_argument("--control-plane", action="store_true", help="without what nodes run; no root")
    takes_version(everything, text)
    start = command("up", "start a cluster; root")
    start.add_argument("--nodes", type=int, default=2, help="how many nodes (default: 2)")
    start.add_argument("--npus", type=int, default=8, help="stand-in NPUs per node (default: 8)")
    takes_version(start, f"{text}; its nodes are {KUBERNETES_VERSION}, which it may not be older than")
    command("down", "stop a cluster and leave nothing behind; root")
    command("status", "say what runs and how to reach it; root")
    command("kubeconfig", "print the path of the kubeconfig; root")
    plain = command("registry", "let the nodes pull from a registry over plain HTTP; root")
    plain.add_argument("registry", metavar="HOST:PORT", help="where the nodes reach it; the host's address: status")
    images = command("image", "work with images; root")
    load = images.add_subparsers(dest="action", required=True, metavar="action").add_parser(
        "load", help="import image archives on every node", description="import image archives on every node"
    )
    load.add_argument("archives", nargs="+", type=Path, metavar="TAR", help="docker or OCI archive")
    load.add_argument("--name", default=argparse.SUPPRESS, help="the cluster (default: demo)")
    return parser


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
