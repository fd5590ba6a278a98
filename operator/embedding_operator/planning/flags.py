"""The command line of the vLLM server: `vllm serve ... --runner pooling`, from what was resolved, with the reason for
each flag.

Only flags that the release understands. `args` of the profile and of the service come last, so that they win:
argparse takes the last value of a flag.
"""

import json
from dataclasses import dataclass

from embedding_operator.planning.problems import as_object
from embedding_operator.planning.releases import flag_of, positive
from embedding_operator.planning.resolve import Resolution

SERVER_PORT = 8000
MIDDLEWARE = "embedding_operator_middleware.DrainMiddleware"
QUIET_PATHS = "/health,/metrics,/ping,/-/ready,/-/inflight"


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag with its values, and why it is there."""

    name: str
    values: tuple[str, ...]
    why: str
    needs: str = ""  # a word of `releases` beside the flag's own name

    @property
    def words(self) -> tuple[str, ...]:
        """As they stand on the command line."""
        return (self.name, *self.values)


def serve_args(resolved: Resolution, model_path: str) -> list[str]:
    """`vllm serve` and its flags for a model directory mounted at `model_path`."""
    flags = [word for flag in serve_flags(resolved) for word in flag.words]
    return ["vllm", "serve", model_path, *flags, *resolved.extra_args]


def serve_flags(resolved: Resolution) -> tuple[Flag, ...]:
    """Our own flags, in order, without those that the release lacks."""
    release = resolved.release
    flags: dict[str, Flag] = {}
    for flag in (*_identity(resolved), *_sizes(resolved), *_operation(), *_workarounds(resolved)):
        if release.knows(positive(flag.name)) and (not flag.needs or release.knows(flag.needs)):
            flags[flag.name] = _joined(flags[flag.name], flag) if flag.name in flags else flag
    return tuple(flags.values())


def _joined(first: Flag, second: Flag) -> Flag:
    """Two wishes for one flag: JSON objects are merged, of anything else the first is taken."""
    one, other = (as_object(flag.values[0]) if flag.values else None for flag in (first, second))
    if one is None or other is None:
        return first
    return Flag(first.name, (json.dumps(other | one),), f"{first.why}; {second.why}")


def _identity(resolved: Resolution) -> tuple[Flag, ...]:
    return (
        Flag("--served-model-name", resolved.served_names, "the names that clients may ask for; the first is echoed"),
        Flag("--runner", ("pooling",), "vectors and scores, no text"),
        Flag("--port", (str(SERVER_PORT),), "where Service, probes and drain find it"),
    )


def _sizes(resolved: Resolution) -> tuple[Flag, ...]:
    """What spec and profile say of the engine; what nobody says is left to vLLM."""
    flags = [Flag("--dtype", (resolved.dtype,), resolved.dtype_from)]
    if resolved.tensor_parallel > 1:
        flags.append(Flag("--tensor-parallel-size", (str(resolved.tensor_parallel),), "spec.parallelism.tensor"))
    for name, value, field in (
        ("--max-model-len", resolved.max_model_len, "maxModelLen"),
        ("--max-num-batched-tokens", resolved.max_batched_tokens, "maxBatchedTokens"),
        ("--max-num-seqs", resolved.max_sequences, "maxSequences"),
    ):
        if value is not None:
            flags.append(Flag(name, (str(value),), f"spec.serving.{field}"))
    return tuple(flags)


def _operation() -> tuple[Flag, ...]:
    return (
        Flag("--middleware", (MIDDLEWARE,), "closes connections politely while the pod drains"),
        Flag(
            "--safetensors-load-strategy",
            ("prefetch",),
            "a mapped file is read in random order, which shared file systems serve slowly; vLLM recognises NFS and "
            "Lustre only",
            needs="load.prefetch",
        ),
        Flag("--shutdown-timeout", ("5",), "what the drain left fails at once instead of hanging until SIGKILL"),
        Flag("--disable-access-log-for-endpoints", (QUIET_PATHS,), "probes and scrapes fill no log"),
    )


def _workarounds(resolved: Resolution) -> tuple[Flag, ...]:
    """What the table of known problems adds, unless args of profile or service say otherwise."""
    said = {flag_of(word) for word in resolved.extra_args}
    return tuple(
        Flag(name, tuple(values), str(problem))
        for problem in resolved.problems
        for name, *values in problem.flags
        if positive(name) not in said
    )
