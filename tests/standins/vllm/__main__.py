"""`python -m tests.standins.vllm serve MODEL --flags`."""

import sys

from tests.standins.vllm.cli import main

sys.exit(main(sys.argv[1:]))
