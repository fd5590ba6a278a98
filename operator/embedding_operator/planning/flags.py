"""The command line of the vLLM server: `vllm serve ... --runner pooling`, from what was resolved, with the reason for
each flag.

Only flags that the release understands. `args` of the profile and of the service come last, so that they win:
argparse takes the last value of a flag. Of a flag with a JSON object, theirs is merged over ours: who overrides one
setting of a reranker's configuration does not lose the others.
"""

import json
from collections.abc import Mapping, Sequence

from embedding_operator.planning.commandline import as_object, flag_of, literal, name_of, object_at, positive
from embedding_operator.planning.flag import Flag, joined
from embedding_operator.planning.modelflags import model_flags
from embedding_operator.planning.resolve import Resolution
from embedding_operator.planning.trust import CERTIFICATE_FILE, KEY_FILE

SERVER_PORT = 8000
MIDDLEWARE = "embedding_operator_middleware.Middleware"
QUIET_PATHS = "/health,/metrics,/ping,/-/ready,/-/inflight,/-/live,/-/space"


def serve_args(resolved: Resolution, model_path: str) -> list[str]:
    """`vllm serve` and its flags for a model directory mounted at `model_path`."""
    ours = {flag.name: flag for flag in serve_flags(resolved)}
    theirs, merged = _merged(ours, resolved.extra_args)
    words = [word for name, flag in ours.items() if name not in merged for word in flag.words]
    return ["vllm", "serve", *map(literal, (model_path, *words)), *theirs]


def serve_flags(resolved: Resolution) -> tuple[Flag, ...]:
    """Our own flags, in order, without those that the release lacks."""
    release = resolved.release
    flags: dict[str, Flag] = {}
    ours = (*_identity(resolved), *_sizes(resolved), *model_flags(resolved), *_operation(), *_certificate(resolved))
    for flag in (*ours, *_workarounds(resolved)):
        if release.knows(positive(flag.name)) and (not flag.needs or release.knows(flag.needs)):
            flags[flag.name] = joined(flags[flag.name], flag) if flag.name in flags else flag
    return tuple(flags.values())


def _merged(ours: Mapping[str, Flag], args: Sequence[str]) -> tuple[list[str], set[str]]:
    """Their arguments with JSON objects merged over ours, and the flags of which that is true."""
    theirs, names = list(args), set()
    for place, word in enumerate(args):
        name = name_of(word)
        own = as_object(ours[name].values[0]) if name in ours and ours[name].values else None
        said = object_at(args, place)
        if own is None or said is None:
            continue
        names.add(name)
        text = json.dumps(own | said)
        joint = "=" in word
        theirs[place if joint else place + 1] = f"{name}={text}" if joint else text
    return theirs, names


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
        ("--max-model-len", resolved.serving.max_model_len, "maxModelLen"),
        ("--max-num-batched-tokens", resolved.serving.max_batched_tokens, "maxBatchedTokens"),
        ("--max-num-seqs", resolved.serving.max_sequences, "maxSequences"),
    ):
        if value is not None:
            flags.append(Flag(name, (str(value),), f"spec.serving.{field}"))
    return tuple(flags)


def _operation() -> tuple[Flag, ...]:
    return (
        Flag(
            "--middleware",
            (MIDDLEWARE,),
            "what the server lacks: draining, readiness, liveness, bounds, keys, guarded vectors",
        ),
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


def _certificate(resolved: Resolution) -> tuple[Flag, ...]:
    if resolved.certificate is None:
        return ()
    return (
        Flag("--ssl-certfile", (CERTIFICATE_FILE,), "spec.exposure.tls"),
        Flag("--ssl-keyfile", (KEY_FILE,), "spec.exposure.tls"),
        Flag("--enable-ssl-refresh", (), "a renewed certificate is used without a restart"),
    )


def _workarounds(resolved: Resolution) -> tuple[Flag, ...]:
    """What the table of known problems adds, unless args of profile or service say otherwise."""
    said = {flag_of(word) for word in resolved.extra_args}
    return tuple(
        Flag(name, tuple(values), str(problem))
        for problem in resolved.problems
        for name, *values in problem.flags
        if positive(name) not in said or (values and as_object(values[0]) is not None)
    )
