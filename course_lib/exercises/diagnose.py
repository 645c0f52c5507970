"""Saying what is wrong with an answer that matches no known misconception.

`diagnose` goes through the ways in which answers fail, the most telling first, and stops at the first that holds.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from course_lib.exercises.exercise import Exercise
from course_lib.exercises.runner import OutOfTime, call, own_lines
from course_lib.exercises.trial import Case, Outcome, built, equal_values
from course_lib.exercises.values import (
    close,
    describe,
    dtype_name,
    is_array,
    is_number,
    is_tensor,
    number,
    same,
    same_kind,
    show,
    to_array,
)


@dataclass(frozen=True)
class Evidence:
    """All that a diagnosis may look at. `got` and `expected` are the first items that differ, `where` says which."""

    exercise: Exercise
    answer: Any
    case: Case
    outcome: Outcome
    got: Any
    expected: Any
    where: str

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Both as arrays of numbers of one shape, if that is what they are."""
        try:
            got, expected = to_array(self.got), to_array(self.expected)
        except (ValueError, TypeError):
            return None
        kinds = {got.dtype.kind, expected.dtype.kind}
        fits = got.shape == expected.shape and got.size > 0 and kinds <= set("fiub")
        return (got.astype(float), expected.astype(float)) if fits else None

    @property
    def are_truth_values(self) -> bool:
        """Whether the expected array is a mask."""
        return self.arrays is not None and to_array(self.expected).dtype.kind == "b"


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong, in a sentence or two, and which of the diagnoses says so."""

    found_by: str
    message: str

    @property
    def speaks_for_itself(self) -> bool:
        """Whether the sentence says it all, and an example input would add nothing."""
        return self.found_by in ("complaint", "_nothing", "_type", "_shape", "_dtype", "_changed_input")

    @property
    def constant(self) -> str:
        """The sentence, if its numbers do not depend on the case (a factor, an axis); else nothing."""
        return self.message if self.found_by in ("_wrong_axis", "_leak", "_factor", "_shift") else ""

    def is_like(self, other: Diagnosis) -> bool:
        """Whether another case went wrong in the same way."""
        return self.found_by == other.found_by and self.constant == other.constant


def diagnose(exercise: Exercise, answer: Any, case: Case, got: Outcome, expected: Outcome) -> Diagnosis:
    """The first diagnosis that holds."""
    if got.complaints:
        return Diagnosis("complaint", got.complaints[0])
    different = _first_difference(exercise, got.value, expected.value)
    evidence = Evidence(exercise, answer, case, got, *different)
    look, found = next((look, message) for look in DIAGNOSES if (message := look(evidence)))
    where = f"The {evidence.where}: " if evidence.where else ""
    return Diagnosis(look.__name__, where + found)


def error_message(exercise: Exercise, error: BaseException) -> str:
    """The learner's own lines that led to the error, and the error."""
    if isinstance(error, OutOfTime):
        return (
            f"Your function had not finished after {exercise.seconds:g} seconds and was stopped. "
            "Is there a loop that never ends?"
        )
    said = str(error).strip().split("\n")[0]
    said = said if len(said) <= 250 else said[:249] + "…"
    return "\n".join([*own_lines(error), f"{type(error).__name__}: {said}" if said else type(error).__name__])


def called_with(exercise: Exercise, case: Case) -> str:
    """The arguments of a call in words, for an error that shapes may explain."""
    inputs = case.inputs(exercise)
    named = [f"{name}: {describe(value)}" for name, value in zip(argument_names(exercise, inputs), inputs, strict=True)]
    return f"It was called with {', '.join(named)}." if named else ""


def example(exercise: Exercise, case: Case, got: Outcome, expected: Outcome) -> list[str]:
    """The failing input, what was expected and what came, a line or two for each."""
    inputs = case.inputs(exercise)
    shown, wanted, where = _first_difference(exercise, got.value, expected.value)
    lines = [f"{name} = {show(value)}" for name, value in zip(argument_names(exercise, inputs), inputs, strict=True)]
    if len(lines) > 4:
        lines = [*lines[:3], "…"]
    label = f" ({where})" if where else ""
    return [*lines, f"expected{label}: {show(wanted)}", f"yours{label}: {show(shown)}"]


def argument_names(exercise: Exercise, inputs: tuple[Any, ...]) -> list[str]:
    """What the starter calls its arguments; for a class, those of its `forward` or `__call__`."""
    names = _names_in_starter(exercise.starter)
    if exercise.build is None and len(names) != len(inputs):
        try:
            names = list(inspect.signature(exercise.solution).parameters)
        except (TypeError, ValueError):
            names = []
    return names if len(names) == len(inputs) else [f"argument {index + 1}" for index in range(len(inputs))]


def _names_in_starter(starter: str) -> list[str]:
    tree = ast.parse(starter)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    wanted = [node for node in functions if node.name in ("forward", "__call__")] or functions
    return [argument.arg for argument in wanted[-1].args.args if argument.arg != "self"] if wanted else []


def _first_difference(exercise: Exercise, got: Any, expected: Any) -> tuple[Any, Any, str]:
    """The first item of a returned tuple or dictionary that differs, and its name; else the whole."""
    if isinstance(got, tuple) and isinstance(expected, tuple) and len(got) == len(expected) and not exercise.compare:
        for index, (one, other) in enumerate(zip(got, expected, strict=True)):
            if not equal_values(exercise, one, other):
                return one, other, f"{_ORDINALS[index]} result" if index < len(_ORDINALS) else f"result {index + 1}"
    if isinstance(got, dict) and isinstance(expected, dict) and got.keys() == expected.keys():
        for key, other in expected.items():
            if not equal_values(exercise, got[key], other):
                return got[key], other, f"entry {key!r}"[:40]
    return got, expected, ""


_ORDINALS = ("first", "second", "third", "fourth")


# ---------------------------------------------------------------- the diagnoses, in the order in which they are tried


def _nothing(evidence: Evidence) -> str:
    if evidence.got is None:
        return f"You return nothing where {describe(evidence.expected)} is expected. Is the `return` missing?"
    return ""


def _type(evidence: Evidence) -> str:
    got, expected = evidence.got, evidence.expected
    if (is_number(got) and is_number(expected)) or (is_array(got) and is_array(expected)):
        alike = is_tensor(got) == is_tensor(expected) or is_number(got) or evidence.exercise.any_array
    elif evidence.exercise.any_array and is_array(expected):
        alike = evidence.arrays is not None or isinstance(got, list | tuple)
    elif isinstance(expected, list | tuple):
        alike = isinstance(got, list | tuple)
    else:
        alike = not (is_array(got) or is_array(expected)) and isinstance(got, type(expected))
    return "" if alike else f"You return {describe(got)}; expected is {describe(expected)}."


def _shape(evidence: Evidence) -> str:
    got, expected = evidence.got, evidence.expected
    if isinstance(expected, list | tuple | str | dict | set) and not is_array(got):
        return "" if len(got) == len(expected) else f"You return {describe(got)}; its length should be {len(expected)}."
    if not (is_array(got) and is_array(expected)) or tuple(got.shape) == tuple(expected.shape):
        return ""
    one, other = to_array(got), to_array(expected)
    message = f"The shape is {one.shape}, expected {other.shape}."
    for axes in _swaps(one.ndim) if one.ndim == other.ndim else ():
        if one.transpose(axes).shape == other.shape:
            first, second = (axis for axis, at in enumerate(axes) if axis != at)
            numbers = "With them swapped back" if close(one.transpose(axes), other).all() else "Even so"
            ending = "the numbers are right." if numbers.startswith("With") else "the numbers differ too."
            return f"{message} Axes {first} and {second} look swapped. {numbers} {ending}"
    if one.size == other.size and close(one.reshape(other.shape), other).all():
        return f"{message} The numbers are right and in the right order; only the shape is not."
    return message


def _swaps(ndim: int) -> Iterator[tuple[int, ...]]:
    for first, second in itertools.combinations(range(ndim), 2):
        axes = list(range(ndim))
        axes[first], axes[second] = second, first
        yield tuple(axes)


def _dtype(evidence: Evidence) -> str:
    got, expected = evidence.got, evidence.expected
    both = (is_array(got) or is_number(got)) and (is_array(expected) or is_number(expected))
    truth = both and "b" in (to_array(got).dtype.kind + to_array(expected).dtype.kind)
    if not both or same_kind(got, expected) or not (is_array(expected) or truth):
        return ""
    return f"The dtype is {dtype_name(got)}, expected {dtype_name(expected)}."


def _not_finite(evidence: Evidence) -> str:
    if (arrays := evidence.arrays) is None:
        return ""
    got, expected = arrays
    for name, test in (("NaN", np.isnan), ("infinite", np.isinf)):
        count = int((test(got) & ~test(expected)).sum())
        if count:
            return f"Your result holds {name}, which it should not ({count} of its {got.size} numbers)."
        if (test(expected) & ~test(got)).any():
            return f"Some numbers should be {name} and are not."
    return ""


def _changed_input(evidence: Evidence) -> str:
    if not evidence.outcome.changed_inputs:
        return ""
    names = argument_names(evidence.exercise, evidence.case.inputs(evidence.exercise))
    name = names[evidence.outcome.changed_inputs[0]]
    return (
        f"Your function changes its argument `{name}` in place, so whoever called it finds other data in there "
        "afterwards. Work on a copy, or use operations that make a new value."
    )


def _wrong_axis(evidence: Evidence) -> str:
    if not _rows_are_off(evidence):
        return ""
    got, _ = evidence.arrays
    axes = [axis for axis in range(got.ndim - 1) if _all_one(got.sum(axis=axis))]
    if not axes:
        return ""
    return f"Each row (last axis) should add up to 1. In yours the sum is 1 along axis {axes[-1]} instead."


def _row_sums(evidence: Evidence) -> str:
    if not _rows_are_off(evidence):
        return ""
    sums = evidence.arrays[0].sum(axis=-1)
    return f"Each row (last axis) should add up to 1. Yours add up to between {sums.min():.3g} and {sums.max():.3g}."


def _rows_are_off(evidence: Evidence) -> bool:
    """Whether rows that should be shares of 1 are not."""
    if (arrays := evidence.arrays) is None or evidence.are_truth_values or np.shape(arrays[0])[-1:] in ((), (1,)):
        return False
    got, expected = arrays
    return _all_one(expected.sum(axis=-1)) and not _all_one(got.sum(axis=-1))


def _all_one(sums: Any) -> bool:
    return bool(np.allclose(sums, 1.0, atol=1e-3))


def _leak(evidence: Evidence) -> str:
    """Changing the last item along an axis moves earlier items of the answer, and not of the solution."""
    exercise, case = evidence.exercise, evidence.case
    if evidence.arrays is None or evidence.where or not is_array(evidence.expected):
        return ""
    reference = to_array(evidence.expected)
    inputs = case.inputs(exercise)
    names = argument_names(exercise, inputs)
    for index, value in enumerate(inputs):
        if not is_array(value) or to_array(value).dtype.kind not in "fiu":
            continue
        for axis, size in enumerate(value.shape):
            for out in (out for out, length in enumerate(reference.shape) if length == size > 1):
                altered = _altered(inputs, index, axis, -1)
                if not _moved(evidence, altered, out, slice(None, -1)):
                    continue
                back = _altered(inputs, index, axis, 0)
                causal = _moves(exercise, exercise.solution, case, back, reference, out, slice(1, None))
                if causal:
                    return (
                        f"It looks into the future: when the last item of `{names[index]}` (axis {axis}) changes, "
                        "earlier items of your answer change too."
                    )
                return (
                    f"Items that should not meet are mixed: when the last item of `{names[index]}` along axis {axis} "
                    "changes, your answer changes for other items too."
                )
    return ""


def _moved(evidence: Evidence, altered: tuple[Any, ...], out: int, part: slice) -> bool:
    exercise, case = evidence.exercise, evidence.case
    expected, got = to_array(evidence.expected), to_array(evidence.got)
    return not _moves(exercise, exercise.solution, case, altered, expected, out, part) and _moves(
        exercise, evidence.answer, case, altered, got, out, part
    )


def _moves(
    exercise: Exercise, answer: Any, case: Case, altered: tuple[Any, ...], before: np.ndarray, axis: int, part: slice
) -> bool:
    """Whether this part of the output differs from what it was before the input was altered."""
    done = call(built(exercise, answer, case).value, altered, case.seed, exercise.seconds)
    if done.error is not None or not is_array(done.value) or tuple(done.value.shape) != before.shape:
        return False
    where = (slice(None),) * axis + (part,)
    return not close(to_array(done.value)[where], before[where], 1e-4).all()


def _altered(inputs: tuple[Any, ...], index: int, axis: int, item: int) -> tuple[Any, ...]:
    """The inputs with one item along one axis of one of them replaced by other values of the same range."""
    value = inputs[index].clone() if is_tensor(inputs[index]) else inputs[index].copy()
    where = (slice(None),) * axis + (item,)
    if to_array(value).dtype.kind == "f":
        value[where] = value[where] * -1.5 + 1.0
    else:
        value[where] = value.max() + value.min() - value[where]
    return (*inputs[:index], value, *inputs[index + 1 :])


def _inverted(evidence: Evidence) -> str:
    if not evidence.are_truth_values or not (evidence.arrays[0] != evidence.arrays[1]).all():
        return ""
    return "It is the exact opposite: True where False is expected, and the other way round."


def _factor(evidence: Evidence) -> str:
    if (arrays := evidence.arrays) is None or evidence.are_truth_values:
        return ""
    got, expected = arrays
    solid = np.isfinite(expected) & (np.abs(expected) > 1e-3 * np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
    if not solid.any():
        return ""
    factor = float(np.median(got[solid] / expected[solid]))
    if factor == 0 or (solid.sum() == 1 and expected.size > 1) or not close(got, factor * expected, 1e-3).all():
        return ""
    if math.isclose(factor, -1, rel_tol=1e-3):
        return "Every number has the wrong sign."
    sign = " and has the wrong sign" if factor < 0 else ""
    size = f"{abs(factor):.4g}{_known_as(abs(factor), evidence)}"
    return f"Every number is {size} times what it should be{sign}."


def _known_as(factor: float, evidence: Evidence) -> str:
    """ " = √8" if the factor is made of a size of one of the inputs, else nothing."""
    inputs = evidence.case.inputs(evidence.exercise)
    sizes = sorted({size for value in inputs if is_array(value) for size in value.shape if size > 1}, reverse=True)
    for size in sizes:
        known = {f"√{size}": math.sqrt(size), f"1/√{size}": size**-0.5, f"{size}": size, f"1/{size}": 1 / size}
        for name, value in known.items():
            if math.isclose(factor, value, rel_tol=1e-3) and number(factor) != name:
                return f" = {name}"
    return ""


def _shift(evidence: Evidence) -> str:
    if (arrays := evidence.arrays) is None or arrays[0].size < 2:
        return ""
    got, expected = arrays
    finite = np.isfinite(expected)
    if not finite.any():
        return ""
    shift = float(np.median((got - expected)[finite]))
    if not close(got, expected + shift, 1e-3).all():
        return ""
    return f"Every number is {abs(shift):.4g} too {'large' if shift > 0 else 'small'}."


def _some_rows(evidence: Evidence) -> str:
    if (arrays := evidence.arrays) is None:
        return ""
    right = close(*arrays, 1e-4)
    for axis in range(right.ndim):
        items = right.all(axis=tuple(other for other in range(right.ndim) if other != axis))
        if 0 < items.sum() < len(items):
            wrong = np.flatnonzero(~items)
            some = ", ".join(map(str, wrong[:6])) + (", …" if len(wrong) > 6 else "")
            return f"Right for {items.sum()} of the {len(items)} items along axis {axis}, wrong at index {some}."
    return ""


def _first_wrong_item(evidence: Evidence) -> str:
    got, expected = evidence.got, evidence.expected
    if isinstance(expected, str | list | tuple) and evidence.arrays is None and len(got) == len(expected):
        kind = "character" if isinstance(expected, str) else "item"
        for index, (one, other) in enumerate(zip(got, expected, strict=True)):
            if not same(one, other, evidence.exercise.tolerance, evidence.exercise.any_array):
                return (
                    f"The first wrong {kind} is at index {index}: {show(one, 60)} where {show(other, 60)} is expected."
                )
    return ""


def _largest_difference(evidence: Evidence) -> str:
    if (arrays := evidence.arrays) is None:
        return "This is not the expected result."
    got, expected = arrays
    difference = np.where(np.isfinite(got - expected), np.abs(got - expected), 0.0)
    if difference.ndim == 0:
        return f"You return {number(got)}; expected is {number(expected)}."
    at = tuple(int(index) for index in np.unravel_index(difference.argmax(), difference.shape))
    index = f"index {at[0]}" if len(at) == 1 else f"index {at}"
    yours, wanted = number(to_array(evidence.got)[at]), number(to_array(evidence.expected)[at])
    if to_array(evidence.expected).dtype.kind in "iub":
        wrong = int(np.count_nonzero(got != expected))
        return f"{wrong} of {got.size} entries are wrong; at {index} yours is {yours}, expected {wanted}."
    return f"The numbers differ most at {index}: yours {yours}, expected {wanted}."


DIAGNOSES: tuple[Callable[[Evidence], str], ...] = (
    _nothing,
    _type,
    _shape,
    _dtype,
    _not_finite,
    _changed_input,
    _wrong_axis,
    _row_sums,
    _leak,
    _inverted,
    _factor,
    _shift,
    _some_rows,
    _first_wrong_item,
    _largest_difference,
)
