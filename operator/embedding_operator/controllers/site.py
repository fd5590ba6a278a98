"""What the site's files say of RuntimeProfiles, as last read, and what was told of them. No behaviour."""

from collections.abc import Mapping
from typing import NamedTuple

from embedding_operator.api.json import JsonObject


class Wish(NamedTuple):
    """A profile as a file wants it."""

    where: str
    profile: JsonObject


class Site:
    """The last look at the files."""

    def __init__(self) -> None:
        self.files: Mapping[str, bytes] = {}
        self.wishes: Mapping[str, Wish] = {}
        self._told: dict[str, str] = {}

    def is_news(self, about: str, problem: str) -> bool:
        """Whether this is not what was last told of it."""
        if self._told.get(about) == problem:
            return False
        self._told[about] = problem
        return True

    def settled(self, about: str) -> None:
        """There is nothing wrong with it now: the same problem would be news again."""
        self._told.pop(about, None)
