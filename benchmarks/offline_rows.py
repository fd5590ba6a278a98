"""The rows that are embedded: made of words, the same on every machine."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

_TEXT = """
the of and to in is that it was for on are with as his they at be this from have or by one had not but what
all were when we there can an your which their said if do will each about how up out them then she many some
so these would other into has more her two like him see time could no make than first been its who now people
my made over did down only way find use may water long little very after words called just where most know
river mountain ship harbour winter garden engine paper window market island bridge forest music letter silver
teacher doctor village
"""
WORDS = _TEXT.split()


@dataclass(frozen=True)
class DataSet:
    """So many rows, and how many words a row has: a range of the short ones, and one of the long."""

    name: str
    rows: int
    short: tuple[int, int]
    long: tuple[int, int]
    share: float
    """Of long rows."""

    def texts(self) -> list[str]:
        dice = random.Random(self.name)  # noqa: S311 - makes rows, guards nothing
        return [
            " ".join(dice.choices(WORDS, k=dice.randint(*(self.long if dice.random() < self.share else self.short))))
            for _ in range(self.rows)
        ]


def data_sets(scale: float = 1.0) -> list[DataSet]:
    """Short ones are titles and queries, long ones as much as the model takes."""
    short, long = (4, 14), (150, 220)
    return [
        DataSet("short", int(4000 * scale), short, long, 0.0),
        DataSet("long", int(400 * scale), short, long, 1.0),
        DataSet("mixed", int(1500 * scale), short, long, 0.2),
    ]


def write_rows(path: Path, texts: list[str]) -> None:
    """As a job reads them."""
    with path.open("w") as file:
        for number, text in enumerate(texts):
            file.write(json.dumps({"id": number, "text": text}) + "\n")


def write_requests(path: Path, texts: list[str], model: str) -> None:
    """As `vllm run-batch` reads them: a request each."""
    with path.open("w") as file:
        for number, text in enumerate(texts):
            body = {"model": model, "input": text}
            line = {"custom_id": str(number), "method": "POST", "url": "/v1/embeddings", "body": body}
            file.write(json.dumps(line) + "\n")
