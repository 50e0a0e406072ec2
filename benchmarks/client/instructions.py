"""Instructions of one call, counted by valgrind in a process for each contender.

Valgrind counts from the first of the measured calls to the last. A program asks for that by instructions which do
nothing elsewhere; they are those of x86-64, so instructions are counted on no other processor.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

CALLS = 200
VALGRIND = ("valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=/dev/null", "--")
# A function of one argument: move it to rax, zero rdx, valgrind's own sequence, and return what is in rdx then.
REQUEST = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
START, STOP = 0x43540004, 0x43540005  # CALLGRIND_START_INSTRUMENTATION and CALLGRIND_STOP_INSTRUMENTATION
PATIENCE = 600


def can_be_counted() -> bool:
    return platform.machine() == "x86_64" and shutil.which("valgrind") is not None


def counted(command: list[str], places: int) -> float | None:
    """Return the instructions of each request of a worker; None if it has ended too early."""
    count = max(2, CALLS // places)
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(
            [*VALGRIND, *command, str(count)],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return None
    found = re.search(r"Collected *: *(\d+)", done.stderr)
    if done.returncode or not found or not int(found[1]):
        print(f"not counted: {command[-4:]}: {done.stderr[-500:]}", file=sys.stderr)
        return None
    return int(found[1]) / (count * places)


@contextmanager
def counting() -> Iterator[None]:
    """Let valgrind count within the context."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(REQUEST)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    ask = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(address)
    start, stop = ((ctypes.c_uint64 * 6)(request) for request in (START, STOP))
    ask(ctypes.addressof(start))
    yield
    ask(ctypes.addressof(stop))
