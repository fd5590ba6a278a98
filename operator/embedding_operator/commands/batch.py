"""`batch`: what the pods of an EmbeddingJob run, one phase each."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from embedding_operator.commands import CommandError, argvalues, options

INDEX = "JOB_COMPLETION_INDEX"
PHASES = ("split", "work", "finish")
ERROR = 2


def add(parser: argparse.ArgumentParser) -> None:
    """`batch PHASE --job JSON`."""
    parser.usage = "{prog} batch PHASE --job JSON [options]"
    parser.description = """
One phase of an EmbeddingJob: what its Jobs run in the cluster. `split` cuts the input into shards, `work` embeds \
those of one index with the server beside it or with a service, and `finish` looks whether all is there and writes the \
manifest.
"""
    parser.epilog = """
environment: EMBEDDINGS_API_KEY (of the server, where it wants one), JOB_COMPLETION_INDEX, AWS_ACCESS_KEY_ID, \
AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN (for S3), TERMINATION_LOG (result file; default /dev/termination-log). \
exit codes: 0 done, 1 worth another try, 2 wrong arguments, 3 permanent failure.
"""
    parser.add_argument("phase", choices=PHASES, metavar="PHASE", help=", ".join(PHASES))
    parser.add_argument(
        "--job", required=True, action=argvalues.Joined, metavar="JSON", help="the job, as the operator writes it"
    )
    work = parser.add_argument_group("of work")
    work.add_argument("--indexes", type=argvalues.positive, metavar="N", help="how many pods share the job")
    work.add_argument("--index", type=int, metavar="I", help=f"which of them this is (default: ${INDEX})")
    work.add_argument("--server", metavar="URL", help="of vLLM, without /v1")
    work.add_argument(
        "--max-in-flight",
        type=argvalues.positive,
        metavar="N",
        help="the server has other callers: at most N requests at once, and fewer while it is busy with theirs",
    )
    work.add_argument("--ca-file", type=Path, metavar="FILE", help="CA of the server's certificate, in PEM")
    options.add_log_level(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do the phase."""
    return {"split": _split, "work": _work, "finish": _finish}[arguments.phase](arguments)


def _split(arguments: argparse.Namespace) -> int:
    from embedding_operator.batch.process import run
    from embedding_operator.batch.split import split

    return run("Splitting", arguments.job, split)


def _finish(arguments: argparse.Namespace) -> int:
    from embedding_operator.batch.finish import finish
    from embedding_operator.batch.process import run

    return run("Finishing", arguments.job, finish)


def _work(arguments: argparse.Namespace) -> int:
    from embedding_operator.batch.process import KEY_VARIABLE, run
    from embedding_operator.batch.work import Task, work

    if arguments.indexes is None or arguments.server is None:
        raise CommandError("work takes --indexes and --server")
    task = Task(
        index=_index(arguments.index, arguments.indexes),
        indexes=arguments.indexes,
        server=arguments.server,
        key=os.environ.get(KEY_VARIABLE, "").strip() or None,
        ca_file=arguments.ca_file,
        max_in_flight=arguments.max_in_flight,
    )
    return run("Embedding", arguments.job, lambda job, progress: work(job, task, progress))


def _index(given: int | None, indexes: int) -> int:
    text = str(given) if given is not None else os.environ.get(INDEX, "")
    if not (text.isascii() and text.isdigit()) or int(text) >= indexes:
        raise CommandError(f"which index is this? --index or ${INDEX} must be a number from 0 to {indexes - 1}")
    return int(text)
