"""What a process's memory is like, for tests that ask whether settings are in force there."""

from __future__ import annotations

import ctypes
from pathlib import Path

BYTES = 24 * 2**20  # above what glibc takes from a heap by itself
LARGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


class Counts(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", *"abcde"))


def keeps_heap() -> bool:
    """Whether this process takes a large piece of memory from a heap, where it stays, and not from the system."""
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Counts
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    before = libc.mallinfo2().hblks
    piece = libc.malloc(BYTES)
    mapped = libc.mallinfo2().hblks - before
    libc.free(piece)
    return bool(mapped == 0)


def has_large_pages(process: int) -> bool:
    """Whether its heap asks for them, where the system leaves that to processes."""
    if "[madvise]" not in LARGE_PAGES.read_text():
        return b"glibc.malloc.hugetlb=1" in Path(f"/proc/{process}/environ").read_bytes()
    heap = Path(f"/proc/{process}/smaps").read_text().partition("[heap]")[2].partition("VmFlags:")[2]
    return "hg" in heap.partition("\n")[0].split()
