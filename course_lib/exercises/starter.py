"""Telling an exercise that nobody has started from one that went wrong."""

from __future__ import annotations

from typing import Any

from course_lib.exercises.code import body, does_nothing, functions_of, nested
from course_lib.exercises.exercise import Exercise
from course_lib.exercises.trial import Outcome


def is_blank(answer: Any) -> bool:
    """Whether this is what a variable holds that the learner has yet to fill in."""
    return answer is None or answer is ...


def is_unsolved(exercise: Exercise, answer: Any, outcome: Outcome) -> bool:
    """Whether the function is still the starter, or does nothing but `...`, `pass` or NotImplementedError."""
    functions = functions_of(answer)
    to_do = any("NotImplementedError" in function.__code__.co_names for function in functions)
    if outcome.value is ... or (to_do and isinstance(outcome.error, NotImplementedError)):
        return True
    if outcome.error is None and outcome.value is None and functions and all(map(does_nothing, functions)):
        return True
    written = {body(function.__code__) for function in functions}
    return bool(written) and written == _starter_bodies(exercise.starter, getattr(answer, "__name__", ""))


def _starter_bodies(starter: str, name: str) -> set[tuple[Any, ...]]:
    """The bodies of the starter's function of that name, or of the methods of its class."""
    found = [code for code in nested(compile(starter, "<starter>", "exec")) if code.co_name == name]
    if not found:
        return set()
    is_class = "__qualname__" in found[-1].co_names
    return {body(code) for code in (nested(found[-1]) if is_class else found[-1:])}
