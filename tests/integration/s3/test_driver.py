"""The driver itself between a bucket and a bucket: two at once, one of which ends in the middle, and no row is lost."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
import pytest
from pyarrow import parquet

from embedding_operator.batch.finish import finish
from embedding_operator.batch.progress import Progress
from embedding_operator.batch.records import read_shards
from embedding_operator.batch.split import split
from embedding_operator.batch.work import Task, work
from tests.unit.batch.serving import QUICK, serving

from .support import Server
from .test_jobs import bucket, job_of

pytestmark = pytest.mark.usefixtures("keys")
ROWS = 4000


async def test_parquet_of_a_bucket_goes_through_drivers_into_a_bucket(server: Server, tmp_path: Path) -> None:
    for part in range(2):
        ids = [f"id-{part}-{number}" for number in range(ROWS)]
        parquet.write_table(
            pa.table({"id": ids, "text": [f"text of {one}" for one in ids]}), tmp_path / "rows", row_group_size=500
        )
        server.put(f"corpus/wiki/part-{part}.parquet", (tmp_path / "rows").read_bytes())
    async with serving(tmp_path) as double:
        job = job_of(
            server,
            tmp_path,
            shard_bytes=1,
            files=["wiki/*.parquet"],
            format="Parquet",
            output={"format": "Parquet", "dtype": "Float16", "dimensions": 8},
        )
        job = job.model_copy(update={"model": job.model.model_copy(update={"served_name": "tiny"})})
        assert (await split(job, Progress("Splitting")))["shards"] == 16

        tasks = [Task(index=index, indexes=2, server=double.url, patience=QUICK) for index in range(2)]
        shown = [Progress("Embedding") for _ in tasks]
        first, second = (
            asyncio.create_task(work(job, task, progress)) for task, progress in zip(tasks, shown, strict=True)
        )
        while shown[1].shards_done < 2:  # then it is told to end, wherever it is
            assert not second.done()
            await asyncio.sleep(0.01)
        second.cancel()
        with suppress(asyncio.CancelledError):
            await second
        assert (await first)["rows"] == ROWS
        told = await work(job, tasks[1], Progress("Embedding"))
        assert 0 < told["rows"] <= ROWS - 2 * 500  # what was finished is not done again
        end = await finish(job, Progress("Finishing"))
        assert (end["rows"], end["errors"], end["shards"]) == (2 * ROWS, 0, 16)
        assert {shard.file for shard in read_shards(job)} == {f"wiki/part-{part}.parquet" for part in range(2)}

        place = tmp_path / "read"
        there = bucket(server, "vectors")
        answer = there.read("manifest.json", 0, 1 << 20)
        assert answer is not None
        files = [output["path"] for file in json.loads(answer.body)["files"] for output in file["outputs"]]
        for path in files:
            found = there.read(path, 0, 1 << 24)
            assert found is not None
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(found.body)
        rows = pyarrow.dataset.dataset(
            [str(place / path) for path in files]
        ).to_table()  # as docs/offline-files.md reads
        assert rows["id"].to_pylist() == [f"id-{part}-{number}" for part in range(2) for number in range(ROWS)]
        assert (rows["vector"].type.list_size, rows["vector"].type.value_type) == (8, pa.float16())
        text = "text of id-1-3999"
        expected = double.model.embed(double.model.tokenize(text), dimensions=8)
        assert rows["vector"][-1].as_py() == pytest.approx(expected, abs=2e-3)
