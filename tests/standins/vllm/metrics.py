"""The double's /metrics: the names and labels of vLLM that the operator and autoscalers read."""

from collections import Counter

from tests.standins.vllm.engine import Engine

NOT_COUNTED = frozenset({"/metrics", "/health", "/load", "/ping", "/version"})


def text(engine: Engine, model_name: str, http: Counter[tuple[str, str, str]]) -> str:
    """Prometheus' text format. `http` counts (handler, method, status class)."""
    labels = f'engine="0",model_name="{model_name}"'
    lines = [
        "# HELP vllm:num_requests_running Number of requests in model execution batches.",
        "# TYPE vllm:num_requests_running gauge",
        f"vllm:num_requests_running{{{labels}}} {float(engine.running)}",
        "# HELP vllm:num_requests_waiting Number of requests waiting to be processed.",
        "# TYPE vllm:num_requests_waiting gauge",
        f"vllm:num_requests_waiting{{{labels}}} {float(engine.waiting)}",
        "# HELP vllm:prompt_tokens_total Number of prefill tokens processed.",
        "# TYPE vllm:prompt_tokens_total counter",
        f"vllm:prompt_tokens_total{{{labels}}} {float(engine.counts['prompt_tokens'])}",
        "# HELP vllm:request_success_total Count of successfully processed requests.",
        "# TYPE vllm:request_success_total counter",
        f'vllm:request_success_total{{{labels},finished_reason="stop"}} {float(engine.counts["success"])}',
        "# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.",
        "# TYPE vllm:kv_cache_usage_perc gauge",
        f"vllm:kv_cache_usage_perc{{{labels}}} 0.0",
        "# HELP vllm:prefix_cache_queries_total Prefix cache queries, in terms of number of queried tokens.",
        "# TYPE vllm:prefix_cache_queries_total counter",
        f"vllm:prefix_cache_queries_total{{{labels}}} {float(engine.counts['prompt_tokens'])}",
        "# HELP vllm:prefix_cache_hits_total Prefix cache hits, in terms of number of cached tokens.",
        "# TYPE vllm:prefix_cache_hits_total counter",
        f"vllm:prefix_cache_hits_total{{{labels}}} 0.0",
        "# HELP http_requests_total Total number of requests by method, status and handler.",
        "# TYPE http_requests_total counter",
    ]
    for (handler, method, status), count in sorted(http.items()):
        lines.append(f'http_requests_total{{handler="{handler}",method="{method}",status="{status}"}} {float(count)}')
    for name, measured in engine.latencies.items():
        lines += measured.lines(f"vllm:{name}_seconds", labels, "Histogram of a request's time in seconds.")
    lines += engine.step_tokens.lines("vllm:iteration_tokens_total", labels, "Histogram of number of tokens per step.")
    return "\n".join(lines) + "\n"
