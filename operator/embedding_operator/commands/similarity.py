"""How near vectors are to each other, and how that looks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from embedding_operator.commands.terminal import DIM, GREEN, Screen, cut, harmless

Vector = Sequence[float]
_CELL = 6  # columns of a number


def cosine(one: Vector, other: Vector) -> float:
    """1 for the same direction; 0 where one of them has none."""
    lengths = math.sqrt(sum(x * x for x in one)) * math.sqrt(sum(x * x for x in other))
    return sum(x * y for x, y in zip(one, other, strict=True)) / lengths if lengths else 0.0


def matrix(vectors: Sequence[Vector]) -> list[list[float]]:
    """Each against each."""
    return [[cosine(one, other) for other in vectors] for one in vectors]


def drawn(labels: Sequence[str], similarities: Sequence[Sequence[float]], screen: Screen) -> list[str]:
    """The matrix, the nearest other of each text in green, and the texts beside it as far as there is room."""
    lines = [screen.paint(DIM, " " * 4 + "".join(f"{number:>{_CELL + 1}}" for number in range(1, len(labels) + 1)))]
    for row, (label, values) in enumerate(zip(labels, similarities, strict=True)):
        others = [value for column, value in enumerate(values) if column != row]
        cells = [
            screen.paint(
                DIM if column == row else GREEN if value == max(others, default=None) else "", f"{value:{_CELL}.3f}"
            )
            for column, value in enumerate(values)
        ]
        text = " ".join(harmless(label).split())
        lines.append(cut(f"{row + 1:>4} {' '.join(cells)}   {text}", screen.width))
    return lines


def head(vector: Vector, count: int = 6) -> str:
    """How it begins."""
    return "[" + ", ".join(f"{value:.4f}" for value in vector[:count]) + (", …]" if len(vector) > count else "]")
