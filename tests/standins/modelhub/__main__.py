"""The hub as a process of its own, for pods and for trying things by hand."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from .server import ModelHub


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.standins.modelhub", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="directory of <owner>/<name>/ repositories")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--cdn-port", type=int, default=0, help="where redirects lead (a free port by default)")
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument(
        "--token", action="append", default=[], metavar="OWNER/NAME=TOKEN", help="make a repository private"
    )
    parser.add_argument(
        "--bytes-per-second", type=int, default=0, metavar="N", help="how fast it sends a file; 0: as it can"
    )
    args = parser.parse_args()
    if not args.root.is_dir():
        parser.error(f"there is no directory {args.root}")
    tokens = dict(pair.split("=", 1) for pair in args.token)
    hub = ModelHub(args.root, host=args.host, port=args.port, cdn_port=args.cdn_port, tokens=tokens)
    if args.bytes_per_second:
        hub.fault("slow", value=args.bytes_per_second)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"model hub on port {hub.port}, its CDN on port {hub.cdn_port}", flush=True)
    _serve_until_interrupted(hub)
    return 0


def _serve_until_interrupted(hub: ModelHub) -> None:
    hub.start()
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        hub.stop()


if __name__ == "__main__":
    raise SystemExit(main())
