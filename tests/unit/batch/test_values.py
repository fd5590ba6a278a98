"""What becomes of a row's values: a row, or a bad one with a reason."""

import base64
import json
from typing import Any

import pytest

from embedding_operator.batch.errors import BatchError
from embedding_operator.batch.rows import BadRow, Row

from .given import Volume, rows_of

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
PNG_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


def one(volume: Volume, line: bytes | dict[str, Any], **fields: Any) -> Row | BadRow:
    """What becomes of the only line of a file."""
    data = line if isinstance(line, bytes) else json.dumps(line).encode()
    volume.write("a.jsonl", data + b"\n")
    job = volume.job(**{"idField": "id"} | fields)
    (row,) = rows_of(job, volume.shards(job))
    return row


@pytest.mark.parametrize(
    ("line", "reason", "message"),
    [
        (b"{", "InvalidJSON", "the line is no JSON object"),
        (b"[1]", "InvalidJSON", "the line is no JSON object"),
        (b'{"id": "a", "text": "\\ud800"}', "InvalidJSON", "the line is no JSON object"),
        (b'{"id": "a", "text": "\xff"}', "InvalidJSON", "the line is no JSON object"),
        (b"[" * 100_000, "InvalidJSON", "the line is no JSON object"),
        (b'{"id": "a"}', "MissingField", "no 'text'"),
        (b'{"id": "a", "text": null}', "MissingField", "'text' is null"),
        (b'{"text": "x"}', "MissingField", "no 'id', which is the id"),
        (b'{"id": "a", "text": ""}', "EmptyText", "'text' is empty"),
        (b'{"id": "a", "text": " \\n\\t"}', "EmptyText", "'text' is empty"),
        (b'{"id": "a", "text": 1}', "NotText", "'text' is no text"),
        (b'{"id": 1.5, "text": "x"}', "BadID", "'id' must be a text of 1 to 4096 characters"),
        (b'{"id": true, "text": "x"}', "BadID", "'id' must be"),
        (b'{"id": "", "text": "x"}', "BadID", "'id' must be"),
        (b'{"id": 9223372036854775808, "text": "x"}', "BadID", "'id' must be"),
    ],
)
def test_a_bad_row_says_what_is_wrong(volume: Volume, line: bytes, reason: str, message: str) -> None:
    row = one(volume, line)

    assert isinstance(row, BadRow)
    assert (row.reason, row.number) == (reason, 0)
    assert row.message.startswith(message)
    assert len(row.message) <= 300


def test_fields_that_nobody_reads_do_not_matter(volume: Volume) -> None:
    row = one(volume, b'{"x": {"deep": [1e999, "y"]}, "id": 7, "body": "t", "text": 1}', textField="body")

    assert row == Row(0, 7, text="t")


def test_one_field_may_be_id_and_text(volume: Volume) -> None:
    assert one(volume, {"id": "t"}, textField="id") == Row(0, "t", text="t")


def test_rows_without_ids_are_named_by_file_and_row(volume: Volume) -> None:
    volume.write("wiki/a.jsonl", b"\xef\xbb\xbf" + b'{"text": "x"}\n\nbad\n' + b'{"text": "x"}\n' * 3)
    job = volume.job(shard_bytes=11)

    rows = rows_of(job, volume.shards(job))

    assert [row.id for row in rows] == [f"wiki/a.jsonl:{number}" for number in range(1, 6)]
    assert isinstance(rows[1], BadRow)


def test_each_line_of_a_text_is_a_row(volume: Volume) -> None:
    volume.write("a.txt", "\ufeffone\r\n\n zwei \nü".encode() + b"\n\xff\n")
    job = volume.job(format="Text", textField=None, shard_bytes=7)

    rows = rows_of(job, volume.shards(job))

    assert [row.id for row in rows] == [f"a.txt:{number}" for number in range(1, 6)]
    assert [row.text if isinstance(row, Row) else row.reason for row in rows] == [
        "one",
        "EmptyText",
        " zwei ",
        "ü",
        "NotText",
    ]


def test_a_line_that_is_too_long_is_a_bad_row(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedding_operator.batch.reading.LIMIT", 100)
    volume.write("a.jsonl", b'{"id": 1, "text": "%s"}\n' % (b"x" * 200) + b'{"id": 2, "text": "y"}\n')
    job = volume.job(idField="id")

    bad, good = rows_of(job, volume.shards(job))

    assert isinstance(bad, BadRow)
    assert (bad.reason, good.id) == ("LineTooLong", 2)


def test_a_pair_has_a_query_and_a_document(volume: Volume) -> None:
    names = {"task": "Rerank", "queryField": "q", "documentField": "d"}

    assert one(volume, {"id": 1, "q": "a", "d": "b"}, **names) == Row(0, 1, query="a", document="b")
    assert one(volume, {"id": 1, "query": "a", "document": "b"}, task="Rerank") == Row(0, 1, query="a", document="b")
    bad = one(volume, {"id": 1, "q": "a"}, **names)
    assert isinstance(bad, BadRow)
    assert (bad.reason, bad.message) == ("MissingField", "no 'd'")


class TestImages:
    def test_a_data_url_is_passed_on(self, volume: Volume) -> None:
        assert one(volume, {"id": 1, "image": PNG_URL}, textField=None, imageField="image") == Row(0, 1, image=PNG_URL)

    def test_a_path_is_read_below_the_input(self, volume: Volume) -> None:
        volume.write("pictures/a.jpg", PNG)

        row = one(volume, {"id": 1, "image": "pictures/a.jpg"}, files=["*.jsonl"], imageField="image")

        assert row == Row(0, 1, image=PNG_URL)

    def test_a_row_may_have_text_image_or_both(self, volume: Volume) -> None:
        fields = {"textField": "text", "imageField": "image"}

        assert one(volume, {"id": 1, "text": "t", "image": PNG_URL}, **fields) == Row(0, 1, text="t", image=PNG_URL)
        assert one(volume, {"id": 1, "text": "t", "image": None}, **fields) == Row(0, 1, text="t")
        assert one(volume, {"id": 1, "text": "", "image": PNG_URL}, **fields) == Row(0, 1, image=PNG_URL)
        bad = one(volume, {"id": 1}, **fields)
        assert isinstance(bad, BadRow)
        assert bad.reason == "MissingField"

    @pytest.mark.parametrize(
        ("image", "message"),
        [
            ("data:image/png;base64,????", "its data URL is no base64"),
            ("data:image/png;base64,aGVsbG8=", "its data URL is no image that is known"),
            ("https://example.com/a.png", "it is neither a data URL"),
            ("file:///etc/passwd", "it is neither a data URL"),
            ("../secret.png", "../secret.png leads out of the input"),
            ("/etc/hostname", "/etc/hostname leads out of the input"),
            ("link.png", "link.png leads out of the input"),
            ("none.png", "none.png: No such file"),
            ("a\0b", "its path holds a NUL"),
            ("text.png", "text.png is no image that is known"),
            ("big.png", "big.png is bigger than 32 MiB"),
            (".", ".: Is a directory"),
            (7, "'image' is neither a data URL nor a path"),
        ],
    )
    def test_what_is_no_image_is_a_bad_row(self, volume: Volume, image: object, message: str) -> None:
        (volume.root / "secret.png").write_bytes(PNG)
        (volume.input / "link.png").symlink_to(volume.root / "secret.png")
        volume.write("text.png", b"hello")
        with volume.write("big.png", PNG).open("ab") as stream:
            stream.truncate((32 << 20) + 1)

        row = one(volume, {"id": 1, "image": image}, files=["*.jsonl"], textField=None, imageField="image")

        assert isinstance(row, BadRow)
        assert row.reason == "BrokenImage"
        assert message in row.message

    def test_a_job_of_images_alone_needs_one_in_each_row(self, volume: Volume) -> None:
        row = one(volume, {"id": 1}, textField=None, imageField="image")

        assert isinstance(row, BadRow)
        assert (row.reason, row.message) == ("MissingField", "no 'image'")


def test_rows_that_were_not_counted_and_have_no_ids_are_an_error(volume: Volume) -> None:
    from dataclasses import replace

    volume.write("a.jsonl", b"{}\n")
    job = volume.job()
    (shard,) = volume.shards(job)

    with pytest.raises(BatchError, match="were not counted"):
        rows_of(job, [replace(shard, first_row=None)])
