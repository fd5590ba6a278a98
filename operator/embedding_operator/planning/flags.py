"""The command line of the vLLM server: `vllm serve ... --runner pooling`, from what was resolved.

Only flags that the release understands. `args` of the profile and of the service come last, so that they win:
argparse takes the last value of a flag.
"""

from embedding_operator.planning.resolve import Resolution

SERVER_PORT = 8000
MIDDLEWARE = "embedding_operator_middleware.DrainMiddleware"
QUIET_PATHS = "/health,/metrics,/ping,/-/ready,/-/inflight"


def serve_args(resolved: Resolution, model_path: str) -> list[str]:
    """`vllm serve` and its flags for a model directory mounted at `model_path`."""
    release = resolved.release
    args = ["vllm", "serve", model_path, "--served-model-name", *resolved.served_names]
    args += ["--runner", "pooling", "--port", str(SERVER_PORT), "--dtype", resolved.dtype]
    if resolved.tensor_parallel > 1:
        args += ["--tensor-parallel-size", str(resolved.tensor_parallel)]
    for flag, value in (
        ("--max-model-len", resolved.max_model_len),
        ("--max-num-batched-tokens", resolved.max_batched_tokens),
        ("--max-num-seqs", resolved.max_sequences),
    ):
        if value is not None:
            args += [flag, str(value)]
    args += ["--middleware", MIDDLEWARE]
    if release.prefetch:
        # lazy mmap over a shared file system reads in random order; vLLM recognises NFS and Lustre only
        args += ["--safetensors-load-strategy", "prefetch"]
    if release.shutdown_timeout:
        # what is still there after the drain fails at once instead of hanging until SIGKILL
        args += ["--shutdown-timeout", "5"]
    if release.quiet_endpoints:
        args += ["--disable-access-log-for-endpoints", QUIET_PATHS]
    return args + list(resolved.extra_args)
