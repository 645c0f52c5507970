"""Making a failing input smaller, so that it can be shown and followed by hand."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Set
from dataclasses import replace

from course_lib.exercises.exercise import Exercise
from course_lib.exercises.trial import Case

SMALL_SIZES = (1, 2, 3)
BUDGET_SECONDS = 10.0


def smallest(exercise: Exercise, case: Case, keep: Set[float], still_fails: Callable[[Case], bool]) -> Case:
    """The smallest case found that still fails: sizes go down one after the other, the largest first.

    A size is replaced wherever it occurs, so axes that had to agree still do. A size that the exercise relies
    on (features that the heads must divide) makes the solution fail and is left alone, and so is one that is
    found in `keep`, itself or as its root: numbers that the learner's code or the message speaks of.
    """
    started = time.monotonic()
    best = case
    if still_fails(replace(best, plain=True)):
        best = replace(best, plain=True)
    for size, to in _smaller(exercise, case):
        if best.sizes.get(size, size) <= to or _spoken_of(size, keep) or time.monotonic() - started > BUDGET_SECONDS:
            continue
        attempt = replace(best, sizes={**best.sizes, size: to})
        if still_fails(attempt):
            best = attempt
    return best


def _smaller(exercise: Exercise, case: Case) -> Iterator[tuple[int, int]]:
    """Pairs (size, smaller size): for each size the smallest first."""
    draw = case.draw()
    if exercise.inputs is not None:
        exercise.inputs(draw)
    for size in sorted(draw.sizes_used, reverse=True):
        yield from ((size, to) for to in SMALL_SIZES if to < size)


def _spoken_of(size: int, numbers: Set[float]) -> bool:
    forms = (size, math.sqrt(size), 1 / size, 1 / math.sqrt(size))
    return any(math.isclose(number, form, rel_tol=1e-3) for number in numbers for form in forms)
