"""Memory of a training run: kept from step to step, and what to do when it runs out."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""What `mallopt` calls the size of free memory, and of a block, from which on it goes back to the system."""

MIB = 2**20


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep what is freed meanwhile in the process, for whoever asks next.

    Each step of a training run frees what the next one needs again. On Linux the C library gives large blocks back to
    the system; their pages are then fetched anew one by one and filled with zeros, which can take a sixth of a step.
    Afterwards they go back. On other systems nothing is changed.

    Source: mallopt(3); the thresholds afterwards are where the library's own adjusting ends.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(libc, "mallopt"):  # another C library than glibc
        yield
        return
    libc.mallopt(MMAP_THRESHOLD, 1024 * MIB)
    libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        libc.mallopt(MMAP_THRESHOLD, 32 * MIB)
        libc.mallopt(TRIM_THRESHOLD, 64 * MIB)
        libc.malloc_trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or this machine, has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = str(error)
    return isinstance(error, RuntimeError) and ("out of memory" in words or "can't allocate memory" in words)


def release_memory() -> None:
    """Give back what is no longer used: first Python's objects, then what torch keeps for later."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
