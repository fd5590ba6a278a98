"""The flags of `vllm serve`, by release: a flag that the release does not know ends the start, as in vLLM.

Extracted from the releases' own parsers, for those flags that an embedding server may see. It must never
accept a flag silently that would change what a client meets (keys, another socket): those are refused.
"""

import argparse
import json
from typing import Any

Version = tuple[int, int]
KNOWN_RELEASES: tuple[Version, ...] = ((0, 18), (0, 23), (0, 32), (0, 33))


def words(text: str) -> list[str]:
    return text.split()


INT = words("""port max-num-seqs max-num-batched-tokens tensor-parallel-size pipeline-parallel-size
 data-parallel-size data-parallel-size-local data-parallel-start-rank data-parallel-rpc-port
 data-parallel-rank kv-cache-memory-bytes num-gpu-blocks-override block-size seed api-server-count
 ssl-cert-reqs nnodes node-rank master-port shutdown-timeout renderer-num-workers
 safetensors-prefetch-num-threads safetensors-prefetch-block-size max-num-queued-reqs
 max-num-queued-tokens""")
FLOAT = words("gpu-memory-utilization mm-processor-cache-gb")
TEXT = words("""host data-parallel-address data-parallel-backend distributed-executor-backend load-format
 kv-cache-dtype quantization revision tokenizer allowed-local-media-path hf-config-path chat-template
 uvicorn-log-level ssl-keyfile ssl-certfile ssl-ca-certs root-path uds master-addr
 disable-access-log-for-endpoints performance-mode log-level""")
JSON = words("""pooler-config hf-overrides model-loader-extra-config limit-mm-per-prompt
 mm-processor-kwargs media-io-kwargs compilation-config additional-config""")
SWITCH = words("""trust-remote-code enforce-eager enable-prefix-caching enable-chunked-prefill async-scheduling
 enable-server-load-tracking enable-request-id-headers enable-log-requests
 disable-uvicorn-access-log skip-mm-profiling enable-ssl-refresh trust-request-chat-template
 data-parallel-external-lb data-parallel-hybrid-lb""")
PLAIN_SWITCH = ["disable-log-stats", "headless"]
LIST = ["served-model-name", "allowed-media-domains"]
REPEATED = ["middleware", "api-key"]
CHOICE = {
    "runner": ["auto", "generate", "pooling", "draft"],
    "convert": ["auto", "none", "embed", "classify"],
    "dtype": ["auto", "half", "float16", "bfloat16", "float", "float32"],
    "mm-processor-cache-type": ["lru", "shm"],
    "mm-encoder-tp-mode": ["weights", "data"],
    "chat-template-content-format": ["auto", "string", "openai"],
    "safetensors-load-strategy": ["lazy", "eager", "prefetch", "torchao"],
}
SINCE: dict[str, Version] = {
    "renderer-num-workers": (0, 23),
    "safetensors-prefetch-num-threads": (0, 23),
    "safetensors-prefetch-block-size": (0, 23),
    "trust-request-mm-kwargs": (0, 32),
    "max-num-queued-reqs": (0, 32),
    "max-num-queued-tokens": (0, 32),
    "log-level": (0, 32),
}
BEFORE: dict[str, Version] = {"disable-frontend-multiprocessing": (0, 23)}
SHORT = {
    "tensor-parallel-size": "-tp",
    "pipeline-parallel-size": "-pp",
    "data-parallel-size": "-dp",
    "api-server-count": "-asc",
}
NOT_IMPLEMENTED = words("""api-key ssl-ca-certs root-path uds headless nnodes data-parallel-rank
 api-server-count""")


def release(version: str) -> Version:
    """The newest known release that is not newer than `version`."""
    major, minor = (int(part) for part in version.split(".")[:2])
    older = [known for known in KNOWN_RELEASES if known <= (major, minor)]
    if not older:
        raise SystemExit(f"vllm double: no flags are known for version {version}; 0.18 is the oldest")
    return older[-1]


def human_int(text: str) -> int:
    """8192, 8k (thousands) or 8K (1024s), as vLLM reads lengths."""
    units = {"k": 1000, "K": 1024, "m": 1000**2, "M": 1024**2}
    return int(float(text[:-1]) * units[text[-1]]) if text[-1:] in units else int(text)


def parser(version: str) -> argparse.ArgumentParser:
    """The parser of `vllm serve` in this release."""
    made = argparse.ArgumentParser(prog="vllm serve", usage="vllm serve MODEL [flags]", allow_abbrev=False)
    made.add_argument("model_tag", nargs="?", default="")
    made.add_argument("--max-model-len", type=human_int)

    def add(name: str, **settings: Any) -> None:
        names = [f"--{name}", *([SHORT[name]] if name in SHORT else [])]
        known = release(version)
        if SINCE.get(name, known) <= known and (name not in BEFORE or known < BEFORE[name]):
            made.add_argument(*names, **settings)

    for name in INT:
        add(name, type=int)
    for name in FLOAT:
        add(name, type=float)
    for name in TEXT:
        add(name)
    for name in JSON:
        add(name, type=json.loads)
    for name in [*SWITCH, "trust-request-mm-kwargs", "disable-frontend-multiprocessing"]:
        add(name, action=argparse.BooleanOptionalAction)
    for name in PLAIN_SWITCH:
        add(name, action="store_true")
    for name in LIST:
        add(name, nargs="+")
    for name in REPEATED:
        add(name, action="append")
    for name, choices in CHOICE.items():
        add(name, choices=choices)
    return made


def with_dashes(arguments: list[str]) -> list[str]:
    """`--hf_overrides=x` is `--hf-overrides=x` to vLLM."""
    changed = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        changed.append(flag.replace("_", "-") + equals + value if flag.startswith("--") else argument)
    return changed


def parse(arguments: list[str], version: str) -> argparse.Namespace:
    """The settings, or exit status 2 with argparse's message."""
    made = parser(version)
    options = made.parse_args(with_dashes(arguments))
    for name in NOT_IMPLEMENTED:
        if getattr(options, name.replace("-", "_")) not in (None, False, 1):
            made.error(f"--{name} is vLLM's, but the double does not implement it")
    if not options.model_tag:
        made.error("the double needs the model's directory after `serve`")
    return options
