"""The text format; tests/integration/test_monitoring.py has a real Prometheus read it."""

from embedding_operator.metrics.histogram import Histogram
from embedding_operator.metrics.text import Family, Metric, Sample, render

GAUGE = Metric("x_replicas", "gauge", "How many.", ("namespace", "service"))


def written(metric: Metric, *samples: Sample) -> list[str]:
    return b"".join(render([Family(metric, samples)])).decode().splitlines()


def test_a_metric_is_told_with_its_type_and_each_sample_with_its_labels() -> None:
    assert written(GAUGE, (("search", "qwen"), 4), (("search", "bge"), 0)) == [
        "# HELP x_replicas How many.",
        "# TYPE x_replicas gauge",
        'x_replicas{namespace="search",service="qwen"} 4',
        'x_replicas{namespace="search",service="bge"} 0',
    ]


def test_a_metric_without_samples_is_told_all_the_same() -> None:
    assert written(Metric("x_total", "counter", "None yet.")) == ["# HELP x_total None yet.", "# TYPE x_total counter"]


def test_what_would_end_a_label_is_escaped() -> None:
    assert written(GAUGE, (('a"b', "c\\d\ne"), 1))[2] == r'x_replicas{namespace="a\"b",service="c\\d\ne"} 1'


def test_a_histogram_counts_upwards_and_ends_with_all() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.1, 0.5, 7):
        histogram.observe(seconds)
    assert written(Metric("x_seconds", "histogram", "How long.", ("kind",)), (("a",), histogram))[2:] == [
        'x_seconds_bucket{kind="a",le="0.1"} 1',
        'x_seconds_bucket{kind="a",le="1.0"} 2',
        'x_seconds_bucket{kind="a",le="+Inf"} 3',
        'x_seconds_sum{kind="a"} 7.6',
        'x_seconds_count{kind="a"} 3',
    ]


def test_many_samples_come_in_pieces_and_none_is_lost() -> None:
    pieces = list(render([Family(GAUGE, ((("n", str(at)), at) for at in range(2000)))]))
    assert len(pieces) > 2
    assert b"".join(pieces).count(b"\nx_replicas{") == 2000
