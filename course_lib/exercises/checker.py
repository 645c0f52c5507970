"""check, hint, solution, progress: what a learner calls."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from course_lib.exercises import record
from course_lib.exercises.catalogue import exercises_of, find, lessons
from course_lib.exercises.diagnose import diagnose, error_message
from course_lib.exercises.exercise import Exercise
from course_lib.exercises.result import Panel, Result
from course_lib.exercises.source import solution_source
from course_lib.exercises.starter import is_blank, is_unsolved
from course_lib.exercises.trial import Case, Outcome, alike, is_right, run
from course_lib.exercises.values import same_value, show

FIXED_SEEDS = (1, 2, 3)
"""Tried first, so that the same wrong answer is shown the same example each time."""
FRESH_DRAWS = 3

_hints_given: dict[str, int] = {}


def check(id: str, answer: Any) -> Result:
    """Check an answer (a function, a class or a value) and say what is wrong with it, if anything.

    The function is run on random inputs, on copies of them, each call for at most the exercise's time limit
    (where the platform has timers: not on Windows, and only in the main thread). What it prints is not shown
    here: call it yourself to see that. Nothing is raised, whatever the answer does.
    """
    try:
        exercise = find(id)
    except ValueError as problem:
        return Result(str(id)[:40], "", "error", str(problem))
    try:
        result = examine(exercise, answer)
    except Exception as problem:
        text = f"The checker itself failed ({type(problem).__name__}: {problem}). This is not your mistake."
        return Result(exercise.id, exercise.title, "error", text[:300])
    if result.status != "not started":
        note = record.update(exercise.id, status="right" if result.passed else "tried")
        result = replace(result, details=(*result.details, note)) if note else result
    return result


def examine(exercise: Exercise, answer: Any) -> Result:
    """The verdict on an answer to this exercise; records nothing."""
    if is_blank(answer):
        return _result(exercise, "not started")
    return _examine_value(exercise, answer) if exercise.is_value else _examine_function(exercise, answer)


def hint(id: str, step: int | None = None) -> Panel:
    """The next of three hints, or the one asked for."""
    try:
        exercise = find(id)
    except ValueError as problem:
        return Panel(f"! {str(id)[:40]}", str(problem))
    step = min(max(step or _hints_given.get(exercise.id, 0) + 1, 1), 3)
    _hints_given[exercise.id] = step
    note = record.update(exercise.id, hints=step)
    return Panel(f"{exercise.id} hint {step}/3 · {exercise.title}", f"{exercise.hints[step - 1]} {note}".strip())


def solution(id: str) -> Panel:
    """The code of a right answer, and why it is right. That it was looked at is remembered."""
    try:
        exercise = find(id)
    except ValueError as problem:
        return Panel(f"! {str(id)[:40]}", str(problem))
    note = record.update(exercise.id, solution_seen=True)
    return Panel(
        f"{exercise.id} solution · {exercise.title}", f"{exercise.why} {note}".strip(), solution_source(exercise)
    )


def progress() -> Panel:
    """A small table: for each lesson, how many exercises are right, tried and not started."""
    entries, note = record.load()
    lines = ["lesson  right  tried  not started"]
    for lesson in lessons():
        statuses = [entries.get(exercise.id, {}).get("status") for exercise in exercises_of(lesson)]
        right, tried = statuses.count("right"), statuses.count("tried")
        lines.append(f"{lesson:>6}  {right:5d}  {tried:5d}  {len(statuses) - right - tried:11d}")
    return Panel("Your progress", note, "\n".join(lines))


def _examine_value(exercise: Exercise, answer: Any) -> Result:
    if any(same_value(answer, right, exercise.tolerance) for right in (exercise.solution, *exercise.also_right)):
        return _result(exercise, "right", exercise.why)
    for wrong in exercise.misconceptions:
        if same_value(answer, wrong.answer, exercise.tolerance):
            return _result(exercise, "wrong", wrong.message)
    return _result(exercise, "wrong", f"{show(answer, 60)} is not it. `hint({exercise.id!r})` helps.")


def _examine_function(exercise: Exercise, answer: Any) -> Result:
    if not callable(answer):
        name = type(answer).__name__
        return _result(exercise, "wrong", f"Hand in the function itself, without calling it: this is a value ({name}).")
    fresh = [int.from_bytes(os.urandom(4), "big") for _ in range(FRESH_DRAWS)]
    cases = [Case(seed) for seed in (*FIXED_SEEDS, *fresh)]
    outcomes: list[Outcome] = []
    failed: tuple[Case, Outcome, Outcome] | None = None
    for case in cases:
        got, expected = run(exercise, answer, case), run(exercise, exercise.solution, case)
        if expected.error is not None:
            raise RuntimeError(f"the solution fails: {expected.error!r}")
        if not outcomes and is_unsolved(exercise, answer, got):
            return _result(exercise, "not started")
        outcomes.append(got)
        if failed is None and not is_right(exercise, got, expected):
            failed = case, got, expected
    if failed is None:
        return _result(exercise, "right", exercise.why)
    see = (f"Read again: {exercise.see}",) if exercise.see else ()
    for wrong in exercise.misconceptions:
        if all(
            alike(exercise, got, run(exercise, wrong.answer, case)) for case, got in zip(cases, outcomes, strict=True)
        ):
            return _result(exercise, "wrong", wrong.message, *see)
    case, got, expected = failed
    if got.error is not None:
        return _result(exercise, "error", error_message(exercise, got.error), *see)
    return _result(exercise, "wrong", diagnose(exercise, answer, case, got, expected), *see)


def _result(exercise: Exercise, status: Any, message: str = "", *details: str) -> Result:
    return Result(exercise.id, exercise.title, status, message, details)
