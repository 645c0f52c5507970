"""When two answers count as the same, and how a value is shown in little room."""

from __future__ import annotations

import math
import numbers
import sys
from typing import Any

import numpy as np

LINE = 100
"""Width of a line of text in characters."""

MOST_NUMBERS = 36
"""Of an array with more, only the beginning is shown."""

_TOLERANCE = {"float16": 1e-2, "bfloat16": 3e-2, "float32": 1e-4, "complex64": 1e-4}
_TOLERANCE_ELSE = 1e-7


def is_tensor(value: Any) -> bool:
    """Whether this is a torch tensor, asked without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_array(value: Any) -> bool:
    """Whether this is a tensor or a NumPy array with at least one axis."""
    return (is_tensor(value) or isinstance(value, np.ndarray)) and value.ndim > 0


def is_number(value: Any) -> bool:
    """Whether this is a single number or truth value: Python's, NumPy's, or a tensor without axes."""
    return isinstance(value, numbers.Number | np.generic) or (
        (is_tensor(value) or isinstance(value, np.ndarray)) and value.ndim == 0
    )


def to_array(value: Any) -> np.ndarray:
    """The numbers as a NumPy array; low-precision floats become float32."""
    if is_tensor(value):
        import torch

        value = value.detach().cpu()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    return np.asarray(value)


def dtype_name(value: Any) -> str:
    """ "float32", whichever library the array comes from."""
    return str(value.dtype if hasattr(value, "dtype") else to_array(value).dtype).removeprefix("torch.")


def same_kind(got: Any, expected: Any) -> bool:
    """Whether both hold truth values, both whole numbers, or both fractions (of whatever precision)."""
    return _kind(to_array(got)) == _kind(to_array(expected))


def _kind(array: np.ndarray) -> str:
    return "i" if array.dtype.kind == "u" else array.dtype.kind


def close(got: Any, expected: Any, tolerance: float | None = None) -> np.ndarray:
    """Entry by entry, whether two arrays of one shape agree within what their precision allows."""
    if tolerance is None:
        names = dtype_name(got), dtype_name(expected)
        tolerance = max(_TOLERANCE.get(name, _TOLERANCE_ELSE) for name in names)
    got, expected = to_array(got), to_array(expected)
    kinds = {got.dtype.kind, expected.dtype.kind}
    if not kinds & set("fc") or not kinds <= set("fciub"):
        return np.asarray(got == expected)
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
    around_zero = tolerance * float(np.clip(largest, 0.01, 1.0))
    return np.asarray(np.isclose(got, expected, rtol=tolerance, atol=around_zero, equal_nan=True))


def same(got: Any, expected: Any, tolerance: float | None = None, any_array: bool = False) -> bool:
    """Whether an answer counts as the expected one: items of tuples and lists one by one, arrays within tolerance."""
    if any_array and (is_array(got) or is_array(expected)):
        got, expected = _array_or_none(got), _array_or_none(expected)
    if is_array(got) or is_array(expected):
        return (
            is_tensor(got) == is_tensor(expected)
            and is_array(got) == is_array(expected)
            and tuple(got.shape) == tuple(expected.shape)
            and same_kind(got, expected)
            and bool(close(got, expected, tolerance).all())
        )
    if is_number(got) and is_number(expected):
        truth = to_array(got).dtype.kind == "b", to_array(expected).dtype.kind == "b"
        return truth[0] == truth[1] and bool(close(_single(got), _single(expected), tolerance))
    if isinstance(got, list | tuple) and isinstance(expected, list | tuple):
        return len(got) == len(expected) and all(
            same(one, other, tolerance, any_array) for one, other in zip(got, expected, strict=True)
        )
    if isinstance(got, dict) and isinstance(expected, dict):
        return got.keys() == expected.keys() and all(
            same(got[key], expected[key], tolerance, any_array) for key in expected
        )
    return _equal(got, expected)


def same_value(got: Any, expected: Any, tolerance: float | None = None) -> bool:
    """`same` for an answer that was typed in: case and blanks around a text do not count, 1e-3 is close enough."""
    if isinstance(got, str) and isinstance(expected, str):
        return " ".join(got.split()).casefold() == " ".join(expected.split()).casefold()
    if isinstance(got, set | frozenset) or isinstance(expected, set | frozenset):
        return _equal(got, expected)
    return same(got, expected, 1e-3 if tolerance is None else tolerance, any_array=True)


def _single(value: Any) -> Any:
    """A Python number is compared at the precision of what it is compared with, at best float32's."""
    return np.float32(value) if isinstance(value, float) and math.isfinite(value) and abs(value) < 1e38 else value


def _array_or_none(value: Any) -> np.ndarray | None:
    try:
        array = to_array(value)
    except (ValueError, TypeError):
        return None
    return array if array.dtype.kind in "fciub" else None


def _equal(got: Any, expected: Any) -> bool:
    try:
        return bool(got == expected)
    except Exception:  # an object of the learner's may do anything when compared
        return False


def describe(value: Any) -> str:
    """What kind of thing this is, in words: "a tensor of shape (5, 7)"."""
    if is_tensor(value) and value.ndim:
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray) and value.ndim:
        return f"a NumPy array of shape {value.shape}"
    if isinstance(value, list | tuple | dict | set | str):
        return f"a {type(value).__name__} of length {len(value)}"
    if value is None:
        return "None"
    article = "an" if type(value).__name__[0] in "aeiouAEIOU" else "a"
    return f"{article} {type(value).__name__}"


def equal_shapes(got: Any, expected: Any) -> bool:
    """Whether an array is compared with one of the same shape; True for all that is not an array."""
    return not (is_array(got) or is_array(expected)) or np.shape(to_array(got)) == np.shape(to_array(expected))


def show(value: Any, room: int = 2 * LINE) -> str:
    """The value on one line of at most `room` characters; of a large array the first row and the shape."""
    try:
        text = _array_text(value) if is_array(value) else " ".join(_text(value).split())
    except Exception:  # an object of the learner's may fail to show itself
        text = f"<{type(value).__name__}>"
    return text if len(text) <= room else text[: room - 1] + "…"


def number(value: Any) -> str:
    """Four significant digits, and no more zeros than needed."""
    item = to_array(value).item()
    return f"{item:.4g}" if isinstance(item, float) else str(item)


def _array_text(value: Any) -> str:
    array = to_array(value)
    if array.size <= MOST_NUMBERS:
        return _nested(array)
    first = array.reshape(-1, array.shape[-1])[0]
    return f"shape {array.shape}, beginning with {_nested(first[:6])}"


def _nested(array: Any) -> str:
    return number(array) if array.ndim == 0 else "[" + ", ".join(map(_nested, array)) + "]"


def _text(value: Any) -> str:
    if is_number(value):
        return number(value)
    if is_array(value):
        return _array_text(value)
    if type(value) in (list, tuple):
        items = [_text(item) for item in value[:MOST_NUMBERS]] + ["…"] * (len(value) > MOST_NUMBERS)
        return f"[{', '.join(items)}]" if isinstance(value, list) else f"({', '.join(items)})"
    return repr(value)
