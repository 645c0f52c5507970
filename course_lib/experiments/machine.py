"""How fast this machine multiplies and how fast it reads: the two numbers of its roofline (lesson 11)."""

import time
from collections.abc import Callable

import torch

TIMED_FOR = 0.04  # seconds: shorter work is repeated until this has passed
ROUNDS = 3


def seconds_of(work: Callable[[], object]) -> float:
    """Time of one call of `work`: the best of three rounds, each of as many calls as fill 40 milliseconds.

    The best, because whatever else runs on the machine can only add to the time. A first call is not counted: it
    makes room and prepares.
    """
    work()
    _wait()
    return min(_round(work) for _ in range(ROUNDS))


def _round(work: Callable[[], object]) -> float:
    calls, start = 0, time.perf_counter()
    while calls == 0 or time.perf_counter() - start < TIMED_FOR:
        work()
        _wait()
        calls += 1
    return (time.perf_counter() - start) / calls


def _wait() -> None:
    """A GPU is only told what to do, and goes on by itself: wait until it is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
