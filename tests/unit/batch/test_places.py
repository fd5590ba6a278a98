"""Where an output may be: not among what is read, and where files can be written."""

import pytest

from embedding_operator.batch.errors import BatchError
from embedding_operator.batch.progress import Progress
from embedding_operator.batch.split import split

from .given import Volume
from .phases import lines, whole


@pytest.mark.parametrize(
    ("folder", "glob", "where"),
    [
        ("", "*/*.jsonl", "the output is the input,"),
        ("wiki", "wiki/*.jsonl", "the output is wiki of the input,"),
        ("wiki", "**/*.jsonl", "the output is wiki of the input,"),
    ],
)
async def test_an_output_in_a_folder_with_input_is_refused(volume: Volume, folder: str, glob: str, where: str) -> None:
    volume.write("wiki/a.jsonl", lines("a"))
    job = volume.job(files=[glob], output={"root": str(volume.input / folder)})

    words = rf"{where}.*give the output a folder of its own, by output\.path"
    for _ in range(2):  # also when it is tried again
        with pytest.raises(BatchError, match=words) as caught:
            await split(job, Progress("Splitting"))
        assert (caught.value.reason, caught.value.exit_code) == ("InvalidSpec", 3)


async def test_an_output_below_the_input_is_not_read_by_the_next_job(volume: Volume) -> None:
    volume.write("wiki/a.jsonl", lines("a", ""))
    job = volume.job(
        idField="id", files=["**/*.jsonl"], output={"root": str(volume.input / "vectors")}, maxErrors={"count": 1}
    )
    first = await whole(job)

    assert await whole(job) == first | {"reused": 1}


async def test_an_output_that_cannot_be_written_is_told_before_any_work(volume: Volume) -> None:
    volume.write("a.jsonl", lines("a"))
    (volume.root / "file").write_text("x")

    with pytest.raises(BatchError, match="file"):
        await split(volume.job(output={"root": str(volume.root / "file")}), Progress("Splitting"))
