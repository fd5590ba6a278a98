"""Which files are input."""

import os

import pytest

from embedding_operator.batch.errors import BatchError
from embedding_operator.batch.globs import Glob
from embedding_operator.batch.listing import listed

from .given import Volume


@pytest.mark.parametrize(
    ("glob", "path", "meant"),
    [
        ("*.jsonl", "a.jsonl", True),
        ("*.jsonl", "wiki/a.jsonl", False),
        ("wiki/*.jsonl", "wiki/a.jsonl", True),
        ("wiki/**", "wiki/de/a.jsonl", True),
        ("**", "wiki/de/a.jsonl", True),
        ("**/*.jsonl", "a.jsonl", True),
        ("**/*.jsonl", "wiki/de/a.jsonl", True),
        ("wiki/**/a.jsonl", "wiki/a.jsonl", True),
        ("wiki/**/a.jsonl", "wikipedia/a.jsonl", False),
        ("part-?.jsonl", "part-1.jsonl", True),
        ("part-?.jsonl", "part-12.jsonl", False),
        ("part-[0-3].jsonl", "part-2.jsonl", True),
        ("part-[!0-3].jsonl", "part-2.jsonl", False),
        ("part-[!0-3].jsonl", "part-7.jsonl", True),
        ("a[", "a[", True),
        ("a.jsonl", "aXjsonl", False),
        ("*", ".hidden", False),
        (".hidden", ".hidden", False),
        ("**", "a/.b/c", False),
        ("*", "_SUCCESS", False),
        ("**", "_temporary/0/part-0", False),
        ("_mine/*", "_mine/a", True),
        ("*", "a.jsonl.tmp", False),
        ("*", "a.jsonl~", False),
        ("*", "a.jsonl.part", False),
    ],
)
def test_a_glob_means_what_a_shell_means(glob: str, path: str, meant: bool) -> None:
    assert Glob(glob).matches(path) is meant


@pytest.mark.parametrize("glob", ["/etc/passwd", "../a", "a/../b", "", "a//b", "wiki/"])
def test_a_glob_that_leads_out_is_refused(glob: str) -> None:
    with pytest.raises(BatchError, match="is no path below the input"):
        Glob(glob)


def test_files_are_sorted_and_each_is_there_once(volume: Volume) -> None:
    for path in ("b.jsonl", "a/z.jsonl", "a/b.jsonl", "c.txt"):
        volume.write(path, b"x")

    found = listed(volume.input, ["*.jsonl", "**/*.jsonl"])

    assert [file.path for file in found] == ["a/b.jsonl", "a/z.jsonl", "b.jsonl"]
    assert found[0].size == 1
    assert found[0].version == str((volume.input / "a/b.jsonl").stat().st_mtime_ns)


def test_a_link_within_the_root_is_followed_and_none_out_of_it(volume: Volume) -> None:
    place = volume.write("blobs/1", b"x")
    (volume.root / "secret").write_text("x")
    (volume.root / "secrets").mkdir()
    (volume.root / "secrets/c.jsonl").write_text("x")
    (volume.input / "a.jsonl").symlink_to(place)
    (volume.input / "b.jsonl").symlink_to(volume.root / "secret")
    (volume.input / "gone.jsonl").symlink_to("nowhere")
    (volume.input / "out").symlink_to(volume.root / "secrets")
    (volume.input / "round").symlink_to(".")
    os.mkfifo(volume.input / "pipe.jsonl")

    assert [file.path for file in listed(volume.input, ["**/*.jsonl"])] == ["a.jsonl"]


def test_the_output_of_a_job_is_never_input(volume: Volume) -> None:
    volume.write("a.jsonl", b"x")
    volume.write("vectors/a-00000-01234567.jsonl", b"x")
    volume.write("vectors/.embedding-job/key/shard.json", b"x")

    assert [file.path for file in listed(volume.input, ["**"])] == ["a.jsonl"]


def test_the_output_of_a_job_is_never_input_though_the_glob_names_its_folder(volume: Volume) -> None:
    volume.write("vectors/errors.jsonl", b"x")
    volume.write("vectors/.embedding-job/key/shard.json", b"x")

    for glob in ("vectors/*.jsonl", "vectors/errors.jsonl", "vectors/**"):
        with pytest.raises(BatchError, match="a folder that jobs write to"):
            listed(volume.input, [glob])


def test_a_glob_that_matches_nothing_is_named(volume: Volume) -> None:
    volume.write("a.jsonl", b"x")

    with pytest.raises(BatchError, match=r"nothing below the input matches 'wiki/\*.jsonl'") as caught:
        listed(volume.input, ["*.jsonl", "wiki/*.jsonl"])
    assert caught.value.exit_code == 3


def test_packed_files_are_refused(volume: Volume) -> None:
    volume.write("a.jsonl.gz", b"x")

    with pytest.raises(BatchError, match=r"a\.jsonl\.gz is packed: unpack it"):
        listed(volume.input, ["*"])
