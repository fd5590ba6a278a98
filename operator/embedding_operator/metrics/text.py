"""Prometheus' text format 0.0.4, written in pieces, so that ten thousand services are never one string."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from embedding_operator.metrics.histogram import Histogram

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_PIECE: Final = 500  # lines

Value: TypeAlias = float | Histogram
Sample: TypeAlias = tuple[tuple[str, ...], Value]
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric and what it means. Every one is in the table of docs/monitoring.md."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


class Family(NamedTuple):
    """A metric with its samples: the labels' values in the metric's order, and a number."""

    metric: Metric
    samples: Iterable[Sample]


def render(families: Iterable[Family]) -> Iterator[bytes]:
    """The whole exposition, some hundred lines at a time; between two of them others may have their turn."""
    lines: list[str] = []
    for metric, samples in families:
        lines.append(f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.type}\n")
        for values, value in samples:
            lines += _lines(metric, values, value)
            if len(lines) >= _PIECE:
                yield "".join(lines).encode()
                lines.clear()
    yield "".join(lines).encode()


def _lines(metric: Metric, values: tuple[str, ...], value: Value) -> Iterator[str]:
    labels = [f'{name}="{_escaped(text)}"' for name, text in zip(metric.labels, values, strict=True)]
    if not isinstance(value, Histogram):
        yield f"{metric.name}{_braces(labels)} {value}\n"
        return
    for bound, count in value.cumulated():
        at_most = f'le="{bound}"'
        yield f"{metric.name}_bucket{_braces([*labels, at_most])} {count}\n"
    yield f"{metric.name}_sum{_braces(labels)} {value.sum}\n"
    yield f"{metric.name}_count{_braces(labels)} {value.count}\n"


def _braces(labels: list[str]) -> str:
    return f"{{{','.join(labels)}}}" if labels else ""


def _escaped(text: str) -> str:
    return text if text.isalnum() else text.translate(_ESCAPES)
