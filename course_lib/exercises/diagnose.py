"""Saying what is wrong with an answer that matches no known misconception."""

from __future__ import annotations

from typing import Any

from course_lib.exercises.exercise import Exercise
from course_lib.exercises.runner import OutOfTime, own_lines
from course_lib.exercises.trial import Case, Outcome
from course_lib.exercises.values import describe, is_array


def error_message(exercise: Exercise, error: BaseException) -> str:
    """The learner's own lines that led to the error, and the error."""
    if isinstance(error, OutOfTime):
        return (
            f"Your function had not finished after {exercise.seconds:g} seconds and was stopped. "
            "Is there a loop that never ends?"
        )
    said = str(error).strip().split("\n")[0][:300]
    return "\n".join([*own_lines(error), f"{type(error).__name__}: {said}" if said else type(error).__name__])


def diagnose(exercise: Exercise, answer: Any, case: Case, got: Outcome, expected: Outcome) -> str:
    """What is wrong, in a sentence or two."""
    if got.complaints:
        return got.complaints[0]
    return f"You return {describe(got.value)}, expected {describe(expected.value)}."
