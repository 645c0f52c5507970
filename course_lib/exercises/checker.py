"""check, hint, solution, progress: what a learner calls."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from course_lib.exercises import record
from course_lib.exercises.catalogue import UnknownExercise, exercises_of, find, lessons
from course_lib.exercises.code import numbers_written
from course_lib.exercises.diagnose import Diagnosis, called_with, diagnose, error_message, example
from course_lib.exercises.exercise import Exercise, Misconception
from course_lib.exercises.result import Panel, Result
from course_lib.exercises.runner import OutOfTime
from course_lib.exercises.shrink import smallest
from course_lib.exercises.source import solution_source
from course_lib.exercises.starter import is_blank, is_unsolved
from course_lib.exercises.trial import Case, Outcome, alike, is_right, run
from course_lib.exercises.values import describe, equal_shapes, same_value, show


@dataclass(frozen=True)
class Trial:
    """One random case, what the learner's answer did with it and what the solution did."""

    case: Case
    got: Outcome
    expected: Outcome


_hints_given: dict[str, int] = {}


def check(id: str, answer: Any) -> Result:
    """Check an answer (a function, a class or a value) and say what is wrong with it, if anything.

    The function is run on random inputs, on copies of them, each call for at most the exercise's time limit
    (where the platform has timers: not on Windows, and only in the main thread). What it prints is not shown
    here: call it yourself to see that. Nothing is raised, whatever the answer does.
    """
    try:
        exercise = find(id)
        result = examine(exercise, answer)
    except UnknownExercise as problem:
        return Result(str(id)[:40], "", "error", str(problem))
    except Exception as problem:
        text = f"The checker itself failed ({type(problem).__name__}: {problem}). This is not your mistake."
        return Result(str(id)[:40], "", "error", text[:300])
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
        code = solution_source(exercise)
    except ValueError as problem:
        return Panel(f"! {str(id)[:40]}", str(problem))
    note = record.update(exercise.id, solution_seen=True)
    return Panel(f"{exercise.id} solution · {exercise.title}", f"{exercise.why} {note}".strip(), code)


def progress() -> Panel:
    """A small table: for each lesson, how many exercises are right, tried and not started."""
    entries, note = record.load()
    rows = []
    for lesson in lessons():
        statuses = [entries.get(exercise.id, {}).get("status") for exercise in exercises_of(lesson)]
        rows.append((lesson, *(statuses.count(kind) for kind in ("right", "tried", None))))
    totals = (sum(row[column] for row in rows) for column in (1, 2, 3))
    table = [("lesson", "right", "tried", "not started"), *rows, ("all", *totals)]
    lines = ["{:>6}  {:>5}  {:>5}  {:>11}".format(*row) for row in table]
    if seen := sorted(id for id, entry in entries.items() if entry["solution_seen"]):
        lines.append(f"Solutions looked at: {', '.join(seen)}")
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
        message = f"Hand in the function itself, not what it returns: this is {describe(answer)}."
        return _result(exercise, "wrong", message)
    fixed = fixed_cases(exercise)
    fresh = [Case(int.from_bytes(os.urandom(4), "big")) for _ in range(exercise.draws - len(fixed))]
    trials: list[Trial] = []
    for case in (*fixed, *fresh):
        trials.append(Trial(case, run(exercise, answer, case), _expected(exercise, case)))
        if len(trials) == 1 and is_unsolved(exercise, answer, trials[0].got):
            return _result(exercise, "not started")
        if isinstance(trials[-1].got.error, OutOfTime):
            break
    failed = [trial for trial in trials if not is_right(exercise, trial.got, trial.expected)]
    if not failed:
        return _result(exercise, "right", exercise.why)
    for wrong in exercise.misconceptions:
        if all(alike(exercise, trial.got, run(exercise, wrong.answer, trial.case)) for trial in trials):
            return _recognised(exercise, answer, failed[0], wrong)
    return _explained(exercise, answer, failed[0])


def fixed_cases(exercise: Exercise) -> list[Case]:
    """Half of an exercise's draws, the same in every check, and tried first.

    So the same wrong answer is shown the same example each time, and each misconception is told from the others by
    these alone: its message does not hang on luck.
    """
    return [Case(seed) for seed in range(1, exercise.draws // 2 + 1)]


def _expected(exercise: Exercise, case: Case) -> Outcome:
    expected = run(exercise, exercise.solution, case)
    if expected.error is not None or expected.complaints:
        raise RuntimeError(f"the solution of {exercise.id} fails: {expected.error or expected.complaints[0]}")
    return expected


def _recognised(exercise: Exercise, answer: Any, failed: Trial, wrong: Misconception) -> Result:
    """The verdict on a known mistake, with the smallest input that shows it."""

    def still_fails(trial: Trial) -> bool:
        return alike(exercise, trial.got, run(exercise, wrong.answer, trial.case))

    shown: list[str] = []
    if failed.got.error is None and not exercise.checks and equal_shapes(failed.got.value, failed.expected.value):
        small = _smallest(exercise, answer, failed, wrong.message, still_fails)
        shown = example(exercise, small.case, small.got, small.expected)
    return _result(exercise, "wrong", wrong.message, *shown, *_see(exercise))


def _explained(exercise: Exercise, answer: Any, failed: Trial) -> Result:
    """The verdict on an answer that fails in no known way."""
    shown = ["What it prints is not shown here; call it yourself to see that."] if failed.got.printed else []
    if failed.got.error is not None:
        message = error_message(exercise, failed.got.error)
        return _result(exercise, "error", message, called_with(exercise, failed.case), *shown)

    def diagnosis(trial: Trial) -> Diagnosis:
        return diagnose(exercise, answer, trial.case, trial.got, trial.expected)

    found = diagnosis(failed)
    if not found.speaks_for_itself:
        small = _smallest(exercise, answer, failed, found.constant, lambda trial: diagnosis(trial).is_like(found))
        found = diagnosis(small)
        shown = [*example(exercise, small.case, small.got, small.expected), *shown]
    return _result(exercise, "wrong", found.message, *shown, *_see(exercise))


def _smallest(
    exercise: Exercise, answer: Any, failed: Trial, message: str, same_failure: Callable[[Trial], bool]
) -> Trial:
    """The smallest trial that fails in the same way; sizes that the message or the answer names stay."""

    def attempt(case: Case) -> Trial | None:
        try:
            expected = _expected(exercise, case)
        except Exception:  # too small for this exercise
            return None
        return Trial(case, run(exercise, answer, case), expected)

    def still_fails(case: Case) -> bool:
        trial = attempt(case)
        if trial is None or trial.got.error is not None or is_right(exercise, trial.got, trial.expected):
            return False
        return same_failure(trial)

    named = {float(number) for number in re.findall(r"(?<![\d.])\d+(?!\.?\d)", message)} | numbers_written(answer)
    return attempt(smallest(exercise, failed.case, named, still_fails)) or failed


def _see(exercise: Exercise) -> list[str]:
    return [f"Read again: {exercise.see}"] if exercise.see else []


def _result(exercise: Exercise, status: Any, message: str = "", *details: str) -> Result:
    return Result(exercise.id, exercise.title, status, message, details)
