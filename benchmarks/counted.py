"""`python -m benchmarks.counted FILE run ...`: the operator, with the bytes that it receives counted in FILE.

As they come from the wire, decrypted but not decompressed: what it lists, what its watches tell, all other answers.
"""

from __future__ import annotations

import mmap
import struct
import sys
from pathlib import Path
from typing import Final

from aiohttp.client_proto import ResponseHandler

from embedding_operator.cli import main

_NUMBER: Final = struct.Struct("<Q")


def count(path: Path) -> None:
    """From now on, keep the sum in this file."""
    path.write_bytes(bytes(_NUMBER.size))
    with path.open("r+b") as file:
        memory = mmap.mmap(file.fileno(), _NUMBER.size)
    take, total = ResponseHandler.data_received, 0

    def counted(self: ResponseHandler, data: bytes) -> None:
        nonlocal total
        total += len(data)
        _NUMBER.pack_into(memory, 0, total)
        take(self, data)

    ResponseHandler.data_received = counted  # type: ignore[method-assign]


def received(path: Path) -> int:
    """How many it was by now."""
    number: int = _NUMBER.unpack(path.read_bytes())[0]
    return number


if __name__ == "__main__":
    count(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
