"""Telling an exercise that nobody has started from one that went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType
from typing import Any

from course_lib.exercises.exercise import Exercise
from course_lib.exercises.trial import Outcome


def is_blank(answer: Any) -> bool:
    """Whether this is what a variable holds that the learner has yet to fill in."""
    return answer is None or answer is ...


def is_unsolved(exercise: Exercise, answer: Any, outcome: Outcome) -> bool:
    """Whether the function is still the starter, or does nothing but `...`, `pass` or NotImplementedError."""
    if isinstance(outcome.error, NotImplementedError) or outcome.value is ...:
        return True
    written = set(_bodies(answer))
    if outcome.error is None and outcome.value is None and written <= set(_bodies(_nothing)):
        return True
    return bool(written) and written == _starter_bodies(exercise.starter, getattr(answer, "__name__", ""))


def _nothing() -> None: ...


def _starter_bodies(starter: str, name: str) -> set[tuple[Any, ...]]:
    """The bodies of the starter's function or class of that name, as `_bodies` gives them for the live one."""
    try:
        module = compile(starter, "<starter>", "exec")
    except SyntaxError:
        return set()
    found = [code for code in _nested(module) if code.co_name == name]
    if not found:
        return set()
    is_class = "__qualname__" in found[0].co_names
    return {_body(code) for code in (_nested(found[0]) if is_class else found)}


def _bodies(answer: Any) -> Iterator[tuple[Any, ...]]:
    """What the bytecode of a function, or of each method of a class, does; equal for equal code anywhere."""
    members = vars(answer).values() if isinstance(answer, type) else [answer]
    for member in members:
        code = getattr(getattr(member, "__func__", member), "__code__", None)
        if isinstance(code, CodeType):
            yield _body(code)


def _body(code: CodeType) -> tuple[Any, ...]:
    constants = tuple(repr(item) for item in code.co_consts if not isinstance(item, CodeType))
    inner = tuple(_body(item) for item in _nested(code))
    return code.co_code, constants, code.co_names, inner


def _nested(code: CodeType) -> list[CodeType]:
    return [item for item in code.co_consts if isinstance(item, CodeType)]
