"""One run of an answer on one random case, and when the outcome counts as right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from course_lib.exercises.draw import Draw
from course_lib.exercises.exercise import Exercise
from course_lib.exercises.runner import call
from course_lib.exercises.values import is_array, is_number, same


@dataclass(frozen=True)
class Case:
    """A random input that can be made again: its seed, the sizes made smaller, and whether numbers are rounded."""

    seed: int
    sizes: Mapping[int, int] = field(default_factory=dict)
    plain: bool = False

    def draw(self) -> Draw:
        """A fresh source of this case's random values."""
        return Draw(self.seed, self.sizes, self.plain)

    def inputs(self, exercise: Exercise) -> tuple[Any, ...]:
        """The arguments of the call; empty for an exercise that has only checks."""
        if exercise.inputs is None:
            return ()
        made = exercise.inputs(self.draw())
        return made if isinstance(made, tuple) else (made,)


@dataclass(frozen=True)
class Outcome:
    """What an answer did with one case: its value or its error, what the checks said, what it changed."""

    value: Any = None
    error: BaseException | None = None
    complaints: tuple[str, ...] = ()
    changed_inputs: tuple[int, ...] = ()
    printed: bool = False


def run(exercise: Exercise, answer: Any, case: Case) -> Outcome:
    """Build what is to be called, call it on the case's inputs, and put it through the exercise's checks."""
    made = built(exercise, answer, case)
    if made.error is not None:
        return made
    function, value, changed, printed = made.value, None, (), made.printed
    if exercise.inputs is not None:
        before = case.inputs(exercise)
        done = call(function, before, case.seed, exercise.seconds)
        if done.error is not None:
            return Outcome(error=done.error, printed=done.printed)
        value, printed = done.value, printed or done.printed
        if exercise.mutates:
            value = done.inputs_after
        else:
            pairs = zip(before, done.inputs_after, strict=True)
            changed = tuple(index for index, pair in enumerate(pairs) if _changed(*pair))
    complaints = []
    for one in exercise.checks:
        checked = call(one, (function, case.draw()), case.seed, exercise.seconds)
        if checked.error is not None:
            return Outcome(value, checked.error, printed=checked.printed)
        if checked.value is not None:
            complaints.append(str(checked.value))
    return Outcome(value, None, tuple(complaints), changed, printed)


def built(exercise: Exercise, answer: Any, case: Case) -> Outcome:
    """What is to be called, made out of what was handed in."""
    if exercise.build is None:
        return Outcome(answer)
    done = call(exercise.build, (answer, case.draw()), case.seed, exercise.seconds)
    return Outcome(done.value, done.error, printed=done.printed)


def is_right(exercise: Exercise, got: Outcome, expected: Outcome) -> bool:
    """Whether the outcome passes: no complaint where there are checks, else the value of the solution."""
    if got.error is not None or got.complaints:
        return False
    if exercise.checks:
        return True
    return equal_values(exercise, got.value, expected.value) and not got.changed_inputs


def equal_values(exercise: Exercise, got: Any, expected: Any) -> bool:
    """Equality of two return values, by the exercise's own comparison if it has one."""
    if exercise.compare is not None:
        try:
            return bool(exercise.compare(got, expected))
        except Exception:  # a comparison written for right answers may stumble over a wrong one
            return False
    return same(got, expected, exercise.tolerance, exercise.any_array)


def alike(exercise: Exercise, one: Outcome, other: Outcome) -> bool:
    """Whether two answers did the same thing, the same error included."""
    if one.error is not None or other.error is not None:
        return type(one.error) is type(other.error) and str(one.error) == str(other.error)
    return (
        equal_values(exercise, one.value, other.value)
        and one.complaints == other.complaints
        and one.changed_inputs == other.changed_inputs
    )


def _changed(before: Any, after: Any) -> bool:
    """Whether an argument was altered; objects that are no data (models, functions) are not looked into."""
    if isinstance(before, list | tuple):
        return len(before) != len(after) or any(map(_changed, before, after))
    if isinstance(before, dict):
        return before.keys() != after.keys() or any(_changed(before[key], after[key]) for key in before)
    if isinstance(before, set):
        return before != after
    return (is_array(before) or is_number(before)) and not same(after, before, 0.0)
