"""An engine of a real vLLM that does not start: the reason is in the termination message."""

import json
import shutil
import struct
from pathlib import Path

import pytest

from embedding_operator.planning.causes import first_of
from embedding_operator.planning.crashes import CRASHES
from images import build
from images.vllm_cpu import recipe
from tests.contract.conftest import vllm_executable
from tests.standins.vllm.process import ServerProcess

pytestmark = pytest.mark.vllm


def test_what_a_worker_did_not_like_is_kept_though_the_log_ends_with_another_traceback(tmp_path: Path) -> None:
    model, words = tmp_path / "model", tmp_path / "last-words"
    shutil.copytree(build.minilm_model(), model)
    header = json.dumps({"nothing.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (model / "model.safetensors").unlink()
    (model / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    words.touch()
    server = ServerProcess(
        tmp_path / "server",
        model,
        ["tiny"],
        vllm=vllm_executable(),
        flags=["--enforce-eager", "--dtype", "float32"],
        environment={
            **recipe.SERVER_ENV,
            "HOME": str(tmp_path),
            "EMBEDDING_OPERATOR_TERMINATION_LOG": str(words),
        },
        start_timeout=300,
    )
    with pytest.raises(RuntimeError, match="Engine core initialization failed"), server:
        pass
    assert "no module or parameter" not in server.log.read_text(errors="replace")[-2048:]
    found = first_of(CRASHES, words.read_text(), "weights")
    assert found is not None
    assert found.name == "WeightsDoNotFit"
