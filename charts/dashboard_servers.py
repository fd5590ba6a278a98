"""The dashboard of the servers: what clients get, how busy the engines are, and the NPUs under them.

Series of vLLM have the labels namespace, service and pod that the operator's PodMonitor gives them; those of
npu-exporter name the pod that has the NPU.
"""

from typing import Any

from charts.dashboards import CHOSEN, RATE, Panel, Query, Row, dashboard, one_of_each, quantiles, variable

_SERVED = f"last_over_time(vllm:num_requests_running{{{CHOSEN}}}[1h])"
_SERVICE = "{{namespace}}/{{service}}"


def _rate(metric: str, by: str = "namespace, service", more: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{CHOSEN}{more}}}{RATE}))"


def _of_pods(value: str) -> str:
    """Of the NPUs of pods whose servers told of themselves within an hour: by the pod, as the label `namespace` may be
    npu-exporter's own. One whose NPU failed may tell nothing any more."""
    return f'(label_replace({value}, "pod", "$1", "pod_name", "(.+)") and on (pod) {_SERVED})'


def _npu(metric: str) -> str:
    return _of_pods(f"npu_chip_info_{metric}")


def _quantiles(metric: str) -> tuple[Query, ...]:
    return quantiles(_rate(f"vllm:{metric}_bucket", "namespace, service, le"), f"{_SERVICE} ", 50, 95, 99)


_FAILED = _rate("http_requests_total", more=',status="5xx"')

CLIENTS = Row(
    "What clients get",
    (
        Panel(
            "Texts and images",
            "Inputs that were answered, a second. A request may have many.",
            "ops",
            (Query(_rate("vllm:request_success_total"), _SERVICE),),
            stacked=True,
        ),
        Panel("Tokens", "A second.", "ops", (Query(_rate("vllm:prompt_tokens_total"), _SERVICE),), stacked=True),
        Panel(
            "HTTP requests",
            "A second, by status.",
            "reqps",
            (Query(_rate("http_requests_total", "status"), "{{status}}"),),
            stacked=True,
        ),
        Panel(
            "Latency", "Of an input, from its arrival to its vector.", "s", _quantiles("e2e_request_latency_seconds")
        ),
        Panel("Time in the queue", "Before an engine takes an input.", "s", _quantiles("request_queue_time_seconds")),
        Panel(
            "Share of failed requests",
            "HTTP requests that were answered with 5xx.",
            "percentunit",
            (
                Query(
                    f"({_FAILED} or 0 * {_rate('http_requests_total')}) / {_rate('http_requests_total')}",
                    _SERVICE,
                ),
            ),
            thresholds=(0.001, 0.01),
            most=1,
        ),
    ),
)
ENGINES = Row(
    "Engines",
    (
        Panel(
            "Waiting",
            "Inputs that wait for an engine. Those of a big request do; it is time in the queue that hurts.",
            "none",
            (Query(f"sum by (namespace, service) (vllm:num_requests_waiting{{{CHOSEN}}})", _SERVICE),),
        ),
        Panel(
            "Running",
            "Inputs that engines are at.",
            "none",
            (Query(f"sum by (namespace, service) (vllm:num_requests_running{{{CHOSEN}}})", _SERVICE),),
        ),
        Panel("Time in the engine", "Of an input.", "s", _quantiles("request_inference_time_seconds")),
        Panel(
            "Tokens in a step",
            "How full batches are: compare with maxBatchedTokens.",
            "none",
            (
                Query(
                    f"{_rate('vllm:iteration_tokens_total_sum')} / {_rate('vllm:iteration_tokens_total_count')}",
                    _SERVICE,
                ),
            ),
        ),
        Panel(
            "Prefix cache",
            "Tokens that were in the cache already. Encoders, such as those of the BERT family, have no such cache.",
            "percentunit",
            (
                Query(
                    f"{_rate('vllm:prefix_cache_hits_total')} / {_rate('vllm:prefix_cache_queries_total')}",
                    _SERVICE,
                ),
            ),
            most=1,
        ),
        Panel(
            "KV cache",
            "How full it is, of the fullest pod.",
            "percentunit",
            (Query(f"max by (namespace, service) (vllm:kv_cache_usage_perc{{{CHOSEN}}})", _SERVICE),),
            thresholds=(0.8, 0.95),
            most=1,
        ),
    ),
)
PODS = Row(
    "Pods",
    (
        Panel(
            "Inputs by pod",
            "A second: are pods equally busy?",
            "ops",
            (Query(_rate("vllm:request_success_total", "pod"), "{{pod}}"),),
        ),
        Panel(
            "Waiting by pod",
            "Inputs in the queue.",
            "none",
            (Query(f"sum by (pod) (vllm:num_requests_waiting{{{CHOSEN}}})", "{{pod}}"),),
        ),
        Panel(
            "Replicas",
            "Asked for, and ready, as the operator says.",
            "none",
            (
                Query(one_of_each("service_replicas", CHOSEN), f"{_SERVICE} wanted"),
                Query(one_of_each("service_ready_replicas", CHOSEN), f"{_SERVICE} ready"),
            ),
        ),
    ),
)
NPUS = Row(
    "NPUs (npu-exporter)",
    (
        Panel(
            "Utilization of AI cores",
            "By NPU.",
            "percent",
            (Query(_npu("utilization"), "{{pod_name}} {{id}}"),),
            most=100,
        ),
        Panel(
            "Memory in use",
            "HBM, by NPU.",
            "percentunit",
            (Query(_of_pods("npu_chip_info_hbm_used_memory / npu_chip_info_hbm_total_memory"), "{{pod_name}} {{id}}"),),
            thresholds=(0.95, 0.99),
            most=1,
        ),
        Panel(
            "NPUs that are not healthy",
            "Of those that pods have, or had within the hour.",
            "none",
            (Query(f"count({_npu('health_status')} != 1) or vector(0)", "unhealthy"),),
            thresholds=(1,),
        ),
        Panel(
            "Temperature",
            "By NPU.",
            "celsius",
            (Query(_npu("temperature"), "{{pod_name}} {{id}}"),),
            thresholds=(80, 95),
        ),
        Panel("Power", "By NPU.", "watt", (Query(_npu("power"), "{{pod_name}} {{id}}"),)),
        Panel(
            "Inputs per watt",
            "What an NPU's power is spent on.",
            "none",
            (
                Query(
                    f"sum(rate(vllm:request_success_total{{{CHOSEN}}}{RATE})) / sum({_npu('power')})",
                    "inputs per watt second",
                ),
            ),
        ),
    ),
)


def servers() -> dict[str, Any]:
    """The dashboard."""
    return dashboard(
        "embedding-servers",
        "Embeddings / servers",
        "The vLLM servers of EmbeddingServices, and the NPUs that they run on.",
        [
            variable("namespace", "Namespace", "label_values(vllm:num_requests_running, namespace)"),
            variable("service", "Service", 'label_values(vllm:num_requests_running{namespace=~"$namespace"}, service)'),
        ],
        (CLIENTS, ENGINES, PODS, NPUS),
    )
