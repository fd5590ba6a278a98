"""`python -m benchmarks.profiled FILE run ...`: the operator under cProfile, by CPU time of its thread."""

from __future__ import annotations

import cProfile
import sys
import time

from embedding_operator.cli import main

if __name__ == "__main__":
    profile = cProfile.Profile(time.thread_time)
    profile.enable()
    try:
        code = main(sys.argv[2:])
    finally:
        profile.disable()
        profile.dump_stats(sys.argv[1])
    sys.exit(code)
