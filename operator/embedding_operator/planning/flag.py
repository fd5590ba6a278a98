"""One flag of a command line, and why it is there."""

import json
from dataclasses import dataclass

from embedding_operator.planning.commandline import as_object


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag with its values, and why it is there."""

    name: str
    values: tuple[str, ...]
    why: str
    needs: str = ""  # a word of `releases` beside the flag's own name

    @property
    def words(self) -> tuple[str, ...]:
        """As they stand on the command line."""
        return (self.name, *self.values)


def joined(first: Flag, second: Flag) -> Flag:
    """Two wishes for one flag: JSON objects are merged, of anything else the first is taken."""
    one, other = (as_object(flag.values[0]) if flag.values else None for flag in (first, second))
    if one is None or other is None:
        return first
    return Flag(first.name, (json.dumps(other | one),), f"{first.why}; {second.why}")
