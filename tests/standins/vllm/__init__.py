"""A fast stand-in of a vLLM pooling server: same command line, same HTTP API, made-up vectors.

It must behave like vLLM where the operator relies on it, the bad manners included (it drops requests on
SIGTERM); tests/contract holds it against the real one. Stdlib only, so that it runs in a bare Python image.
Settings in the environment: VLLM_DOUBLE_START_SECONDS (until it listens), VLLM_DOUBLE_LATENCY_MS (per input),
VLLM_DOUBLE_LATENCY_MS_PER_TOKEN (and so much for each token of it), VLLM_DOUBLE_VERSION (whose flags it knows),
VLLM_DOUBLE_SEED (another one gives other vectors), VLLM_DOUBLE_HANGS_AFTER (so many inputs), VLLM_DOUBLE_DIES_AT (a
text at which its process ends), VLLM_DOUBLE_FAILS (a way not to start, of failures.py).
"""
