"""The plain script of vLLM's guide, in a process that stays; runs beside vLLM, with its Python and nothing of ours.

Reads a line of JSON for each run, {"rows": FILE, "vectors": FILE}, and answers with {"seconds": …}; {"left": FILE,
"right": FILE} compares two files of vectors. The clock runs from opening the rows to closing the vectors; the model is
loaded before.
"""

import json
import sys
import time
from typing import Any


def main() -> None:
    settings = json.loads(sys.argv[1])
    from vllm import LLM

    model = LLM(runner="pooling", **settings)
    model.embed(["it is warm now"] * 64, use_tqdm=False)
    tell({"ready": True})
    for line in sys.stdin:
        asked = json.loads(line)
        tell(compare(**asked) if "left" in asked else embed(model, **asked))


def embed(model: Any, rows: str, vectors: str) -> dict[str, float]:
    """What the guide does, and the vectors kept."""
    import numpy

    began = time.monotonic()
    with open(rows) as file:  # noqa: PTH123
        texts = [json.loads(line)["text"] for line in file]
    outputs = model.embed(texts, use_tqdm=False)
    numpy.save(vectors, numpy.array([output.outputs.embedding for output in outputs], dtype="float32"))
    return {"seconds": time.monotonic() - began}


def compare(left: str, right: str) -> dict[str, float]:
    """The least cosine of two rows of the same number."""
    import numpy

    one, other = numpy.load(left), numpy.load(right)
    assert one.shape == other.shape, (one.shape, other.shape)
    norms = numpy.linalg.norm(one, axis=1) * numpy.linalg.norm(other, axis=1)
    return {"least": float(((one * other).sum(axis=1) / norms).min())}


def tell(what: dict[str, Any]) -> None:
    print(f"answer: {json.dumps(what)}", flush=True)


if __name__ == "__main__":
    main()
