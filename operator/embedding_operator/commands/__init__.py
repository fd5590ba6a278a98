"""The commands of the command line, one module each, which is loaded when its command is asked for and not before.

A module has `add`, which says to a parser what stands on the command line, and `run`, which does it and returns the
exit code. What a person must mend is raised as CommandError, and ends with the module's `ERROR` (1 where it has none).
"""

from __future__ import annotations

from dataclasses import dataclass

LOOK, CHANGE, TRY, CLUSTER, SHELL = (
    "Look at what runs",
    "Before and after a change",
    "Use it",
    "In the cluster",
    "For your shell",
)


@dataclass(frozen=True, slots=True)
class Command:
    """One of them, in as many words as the list of all has room for."""

    name: str
    module: str
    group: str
    summary: str


COMMANDS = (
    Command("status", "status", LOOK, "how EmbeddingServices and ModelCaches stand, with progress bars"),
    Command("logs", "logs", LOOK, "the logs of all pods of a service or job, and of the stager of its weights"),
    Command("explain", "explain", CHANGE, "what would be made of a manifest, and why"),
    Command("render", "render", CHANGE, "the objects that would be made of a manifest, as YAML"),
    Command("diff", "diff", CHANGE, "what a changed manifest would change, and whether pods are replaced"),
    Command("history", "history", CHANGE, "the stored revisions of a service, and what changed in each"),
    Command("rollback", "rollback", CHANGE, "go back to a stored revision"),
    Command("try", "trying", TRY, "embed, rank or classify texts, and see how similar they are"),
    Command("bench", "bench", TRY, "measure a service, show the figures, compare two benchmarks"),
    Command("plan", "sizing", TRY, "how many replicas a rate needs, by what was measured"),
    Command("run", "run", CLUSTER, "run the operator, in the cluster or with a kubeconfig"),
    Command("stage", "stage", CLUSTER, "stage a model's weights into a volume (what staging Jobs run)"),
    Command("clean", "clean", CLUSTER, "remove a staged model that nobody uses (what clean-up Jobs run)"),
    Command("batch", "batch", CLUSTER, "one phase of an EmbeddingJob (what its Jobs run)"),
    Command("completion", "completion", SHELL, "a script by which your shell completes words"),
    Command("help", "help", SHELL, "this page, or that of a command"),
)


class CommandError(Exception):
    """What cannot be done, where and what to do, in one line."""


def named(name: str) -> Command | None:
    """The command of that name."""
    return next((one for one in COMMANDS if one.name == name), None)
