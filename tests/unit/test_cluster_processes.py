"""A program counts as ended when nothing of it is left that could hold a port."""

import sys
from pathlib import Path

from tests.cluster import processes
from tests.cluster.waiting import wait_until

_FIRST_THREAD_ENDS = (
    "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(60,)).start(); "
    "ctypes.CDLL(None).pthread_exit(None)"
)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_it_has_not_ended_while_one_of_its_threads_has_not(tmp_path: Path) -> None:
    program = processes.start("threads", [sys.executable, "-c", _FIRST_THREAD_ENDS], tmp_path / "log")
    wait_until("its first thread is a zombie", lambda: state(program.pid) == "Z")
    assert program.alive()
    processes.stop([program])
    assert not program.alive()
    assert not Path(f"/proc/{program.pid}").exists()
