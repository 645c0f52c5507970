"""Running a learner's function safely: time limit, private copies of the inputs, no trace left on random numbers."""

from __future__ import annotations

import contextlib
import copy
import io
import random
import signal
import sys
import sysconfig
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

NOT_THE_LEARNERS = (str(Path(__file__).parents[1]), sysconfig.get_paths()["stdlib"])


class OutOfTime(BaseException):
    """Raised inside the learner's function; not an `Exception`, so that `except Exception` does not swallow it."""


@dataclass(frozen=True)
class Called:
    """What one call did."""

    value: Any
    error: BaseException | None
    inputs_after: tuple[Any, ...]
    printed: bool


def call(function: Callable[..., Any], inputs: tuple[Any, ...], seed: int, seconds: float) -> Called:
    """Call the function on a copy of the inputs, with the random number generators (of the CPU) set to `seed`.

    What it prints is caught, warnings are silenced, and the generators are put back as they were, so that
    checking an answer does not change what later cells draw.
    """
    given = tuple(_copied(item) for item in inputs)
    value, error = None, None
    printed = io.StringIO()
    with _seeded(seed), warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.simplefilter("ignore")
        try:
            with time_limit(seconds):
                value = function(*given)
        except (Exception, SystemExit, OutOfTime) as problem:
            error = problem
    return Called(value, error, given, bool(printed.getvalue()))


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the body after so many seconds, again and again until it gives up.

    It needs a POSIX timer and the main thread. On Windows, or in another thread, there is no limit: an endless
    loop is then ended as any other, with the stop button.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    before = signal.signal(signal.SIGALRM, _out_of_time)
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 0.2)
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
        if remaining:
            signal.setitimer(signal.ITIMER_REAL, remaining, interval)


def _out_of_time(*_: object) -> None:
    raise OutOfTime


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    torch = sys.modules.get("torch")
    python_state, numpy_state = random.getstate(), np.random.get_state()
    torch_state = torch.get_rng_state() if torch else None
    random.seed(seed)
    np.random.seed(seed % 2**32)
    if torch:
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reset the accelerators' generators too
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        if torch:
            torch.set_rng_state(torch_state)


def _copied(item: Any) -> Any:
    try:
        return copy.deepcopy(item)
    except Exception:  # what cannot be copied (a tensor inside a graph, a generator) is handed over as it is
        return item


def own_lines(error: BaseException, most: int = 2) -> list[str]:
    """Where in the learner's own code it happened: "line 3, in attention:  scores = q @ k", innermost last."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _foreign(frame.filename)]
    return [f"line {frame.lineno}, in {frame.name}:  {frame.line}" for frame in frames[-most:]]


def _foreign(filename: str) -> bool:
    """Whether a file belongs to this library, to Python or to an installed package."""
    return filename.startswith((*NOT_THE_LEARNERS, "<frozen")) or bool(
        {"site-packages", "dist-packages"} & set(Path(filename).parts)
    )
