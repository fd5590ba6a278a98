"""What a text takes on a terminal, and what of it is safe to show there."""

import pytest

from embedding_operator.commands.terminal import cut, duration, harmless, measure, padded


@pytest.mark.parametrize(
    ("text", "columns"), [("abc", 3), ("\x1b[32mabc\x1b[0m", 3), ("向量", 4), ("e\u0301", 1), ("", 0)]
)
def test_columns_are_counted_as_a_terminal_does(text: str, columns: int) -> None:
    assert measure(text) == columns
    assert measure(padded(text, 10)) == 10


@pytest.mark.parametrize(
    ("text", "width", "left"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 4, "abc…"),
        ("\x1b[32mabcdef\x1b[0m", 4, "\x1b[32mabc…\x1b[0m"),
        ("向量模型", 6, "向量…"),
        ("abcdef", None, "abcdef"),
    ],
)
def test_what_has_no_room_is_cut(text: str, width: int | None, left: str) -> None:
    assert cut(text, width) == left


def test_a_log_cannot_do_anything_to_a_terminal_but_colour_it() -> None:
    assert (
        harmless("\x1b[31mred\x1b[0m \x1b[2Jgone\x07 \x1b]0;title\x07\ttab")
        == "\x1b[31mred\x1b[0m [2Jgone ]0;title\ttab"
    )


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "0 s"), (99, "99 s"), (100, "2 min"), (5940, "99 min"), (5941, "1 h 40 min")]
)
def test_time_is_told_as_people_say_it(seconds: int, told: str) -> None:
    assert duration(seconds) == told
