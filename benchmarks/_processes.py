"""Contenders that are timed in turn, each in a process of its own.

In one process they would share a heap: what one of them frees, and how the C library then sees large blocks, changes
how long the others wait for memory.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing, contextmanager

from course_lib.training.memory import kept_memory

PAUSE = 0.02
"""Seconds before each call: the threads of the last process have stopped looking for work by then."""


class OwnProcess:
    """A function that lives in another process; calling it calls it there.

    Args:
        make: called in the new process, and answers the function. Both `make` and what goes in and out of the function
            must be picklable.
        keep_memory: whether that process keeps what it frees, as the Trainer does.
    """

    def __init__(self, make: Callable[[], Callable], *, keep_memory: bool = False):
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, spawn, initializer=_prepare, initargs=(make, keep_memory))

    def __call__(self, *arguments: object) -> object:
        """What the function answers, there."""
        time.sleep(PAUSE)
        return self._pool.submit(_call, *arguments).result()

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


@contextmanager
def own_processes(
    makers: Mapping[str, Callable[[], Callable]], *, keep_memory: Callable[[str], bool] = lambda name: False
) -> Iterator[dict[str, OwnProcess]]:
    """A process for each contender, by its name, until the end of the block."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(closing(OwnProcess(make, keep_memory=keep_memory(name))))
            for name, make in makers.items()
        }


class _Here:
    """What such a process holds until it ends."""

    function: Callable
    settings = ExitStack()


def _prepare(make: Callable[[], Callable], keep_memory: bool) -> None:
    if keep_memory:
        _Here.settings.enter_context(kept_memory())
    _Here.function = make()


def _call(*arguments: object) -> object:
    return _Here.function(*arguments)
