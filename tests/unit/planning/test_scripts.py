"""Script ConfigMaps: named by their content, and kept for as long as anything in the namespace may need them."""

import itertools
from collections.abc import Iterator

import pytest

from embedding_operator.planning.scripts import config_map_name, unused


def test_script_config_maps_are_named_by_their_content() -> None:
    assert config_map_name({"a": "1", "b": "2"}) == config_map_name({"b": "2", "a": "1"})
    contents = [{"a": "1"}, {"a": "2"}, {"b": "1"}, {"a": "1", "b": ""}]
    assert all(config_map_name(x) != config_map_name(y) for x, y in itertools.combinations(contents, 2))


@pytest.mark.parametrize(
    ("existing", "referred", "has_services", "gone"),
    [
        (["now", "old"], ["old"], True, []),
        (["now", "old", "older"], ["old"], True, ["older"]),
        (["now", "old"], [], True, ["old"]),  # the current one: a revision that names it may be about to be made
        (["now", "old"], ["old"], False, ["now"]),  # revisions outlive their service until they are collected
        (["now", "old"], [], False, ["now", "old"]),
        ([], ["old"], True, []),
    ],
)
def test_scripts_go_with_the_last_revision_that_names_them(
    existing: list[str], referred: list[str], has_services: bool, gone: list[str]
) -> None:
    assert unused(existing, "now", referred=referred, has_services=has_services) == gone


def test_where_the_current_one_is_all_that_there_is_no_revision_is_read() -> None:
    def referred() -> Iterator[str]:
        pytest.fail("thousands of revisions were read")
        yield ""

    assert unused(["now"], "now", referred=referred(), has_services=True) == []
