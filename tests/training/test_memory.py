"""Memory that is kept from step to step, on Linux."""

import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import torch
from course_lib.training.memory import kept_memory

def pages_fetched():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(10_000_000)  # 40 MB, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

before = pages_fetched()
with kept_memory():
    torch.ones(10_000_000)
    kept = pages_fetched()
    held = resident()
print(before, kept, held - resident())
"""


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="there is another C library than glibc"
)
def test_freed_blocks_are_used_again_and_go_back_in_the_end():
    """In a process of its own: the C library keeps the settings."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    before, kept, given_back = map(int, done.stdout.split())
    # Few, not none: a small block may be cut from a large one that was freed, and the next large one needs a new place.
    assert kept < before / 4, done.stderr
    assert given_back > 35e6
