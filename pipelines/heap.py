"""A worker keeps the memory that it has had: the same pictures need the same again.

The C library gives back to the system what is free at the end of a heap, and asks for it anew a moment later. A model
outside of a process's main thread has heaps of 64 MiB, one after another: where its memory happens to cross from one
to the next, thousands of pages a picture are given back and fetched, cleared by the system each time.
"""

from __future__ import annotations

import ctypes
import sys

MIB = 2**20
HEAP = 64 * MIB  # of a thread beside the main one, in glibc on 64 bits; half of it is the most that MMAP takes
# Numbers of malloc.h. A heap is given up where less than TOP_PAD would then be free in the one before it.
SETTINGS = {
    "M_TRIM_THRESHOLD": (-1, 512 * MIB),
    "M_TOP_PAD": (-2, HEAP),
    "M_MMAP_THRESHOLD": (-3, HEAP // 2),
}


def keep_heap() -> bool:
    """For the whole process, from now on; whether the C library has such settings. Any number of calls is as one."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return False
    return all(mallopt(number, value) for number, value in SETTINGS.values())
