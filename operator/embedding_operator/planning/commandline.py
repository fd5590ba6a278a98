"""The words of a command line, as vLLM reads them."""

import json
from collections.abc import Sequence

from embedding_operator.api.json import JsonObject

_LONGEST = 100_000  # characters, all of them ASCII


def literal(word: str) -> str:
    """A word as it is, whatever a user wrote in it: a kubelet puts a variable of the container in for `$(NAME)`."""
    return word.replace("$", "$$")


def document(option: str, value: JsonObject) -> list[str]:
    """An option with a JSON document: in parts where it is longer than one argument may be (Linux: 128 KiB)."""
    text = json.dumps(value, sort_keys=True)
    parts = [text[at : at + _LONGEST] for at in range(0, len(text), _LONGEST)]
    return [word for part in parts for word in (option, part)]


def flag_of(word: str) -> str | None:
    """The long flag that a word gives: `--no-x`, `--x.y` and `--x_y=1` are `--x`, `--x` and `--x-y`. None for a value
    or a short flag."""
    if not word.startswith("--"):
        return None
    return positive(name_of(word).partition(".")[0])


def positive(flag: str) -> str:
    """A switch under the name that the release table knows it by: `--no-x` is `--x`."""
    return f"--{flag.removeprefix('--no-')}" if flag.startswith("--no-") else flag


def name_of(word: str) -> str:
    """What stands before `=`, with dashes: `--x_y=1` is `--x-y`."""
    return word.partition("=")[0].replace("_", "-")


def object_at(words: Sequence[str], place: int) -> JsonObject | None:
    """The JSON object that the flag at this place is given, by `=` or as the next word; None if it is given another."""
    _, equals, value = words[place].partition("=")
    return as_object(value if equals else "".join(words[place + 1 : place + 2]))


def as_object(text: str) -> JsonObject | None:
    """A flag's value that is a JSON object, or None."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
