"""Looking at compiled code: is it still the starter's, and which numbers are written into it."""

from __future__ import annotations

import contextlib
import dis
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

_IDLE = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST", "COPY_FREE_VARS", "MAKE_CELL"}


def functions_of(answer: Any) -> list[FunctionType]:
    """The function itself, or the methods that a class defines."""
    members = vars(answer).values() if isinstance(answer, type) else [answer]
    plain = [inspect.unwrap(getattr(member, "__func__", member)) for member in members if callable(member)]
    return [member for member in plain if isinstance(member, FunctionType)]


def body(code: CodeType) -> tuple[Any, ...]:
    """What the code does, without where it stands: equal for equal source anywhere."""
    constants = tuple(repr(item) for item in code.co_consts if not isinstance(item, CodeType))
    return code.co_code, constants, code.co_names, tuple(map(body, nested(code)))


def does_nothing(function: FunctionType) -> bool:
    """Whether the body is `...`, `pass` or a docstring, or returns a constant."""
    return {instruction.opname for instruction in dis.get_instructions(function)} <= _IDLE


def nested(code: CodeType) -> list[CodeType]:
    """The functions and classes defined inside."""
    return [item for item in code.co_consts if isinstance(item, CodeType)]


def numbers_written(answer: Any) -> set[float]:
    """Numbers that stand in the code of an answer, or in variables that it reads."""
    found: set[float] = set()
    for function in functions_of(answer):
        with contextlib.suppress(ValueError):  # a variable that is not set yet
            variables = inspect.getclosurevars(function)
            values = [*variables.globals.values(), *variables.nonlocals.values(), *_constants(function.__code__)]
            found |= {float(value) for value in values if isinstance(value, int | float) and abs(value) < 1e9}
    return found


def _constants(code: CodeType) -> Iterator[Any]:
    for item in code.co_consts:
        if isinstance(item, CodeType):
            yield from _constants(item)
        elif isinstance(item, tuple):
            yield from item
        else:
            yield item
