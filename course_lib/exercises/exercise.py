"""What an exercise is: the two dataclasses that lesson modules fill in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from course_lib.exercises.draw import Draw


@dataclass(frozen=True)
class Misconception:
    """A known wrong answer and what to say to somebody who gives it.

    `answer` is what the learner would hand in: a function, a class, or a plain value. It is recognised by
    what it computes, so it does not matter how the learner wrote it.
    """

    answer: Any
    message: str


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One exercise; the docstring of `course_lib.exercises` is the guide to writing one."""

    id: str
    title: str
    solution: Any
    """A function, a class, or (with neither `inputs` nor `checks`) the plain value that is right."""
    inputs: Callable[[Draw], Any] | None = None
    """The arguments of one call, as a tuple, made from random draws."""
    also_right: Sequence[Any] = ()
    misconceptions: Sequence[Misconception] = ()
    hints: tuple[str, str, str] = ("", "", "")
    why: str = ""
    starter: str = ""
    """The code of the notebook's exercise cell, without the `check` line."""
    see: str = ""
    """The heading of the lesson's section to read again."""
    solution_code: str = ""
    """What `solution("…")` shows; needed only where it cannot be read off `solution` itself."""
    build: Callable[[Any, Draw], Callable[..., Any]] | None = None
    """Turns what was handed in (a class, say) into the function that is compared."""
    checks: Sequence[Callable[[Callable[..., Any], Draw], str | None]] = ()
    """Where many answers are right: each check gets (function, draw), returns None or what is wrong."""
    compare: Callable[[Any, Any], bool] | None = None
    """Replaces the usual comparison: compare(what the learner returned, what the solution returned)."""
    tolerance: float | None = None
    """Absolute and relative; the default follows from the dtype."""
    any_array: bool = False
    """True: tensor, NumPy array and nested list count as the same thing."""
    mutates: bool = False
    """True: the function's job is to change its arguments; those are compared instead of the return value."""
    draws: int = 6
    """On how many random inputs the function is run; fewer for a slow one, at least 2."""
    seconds: float = 5.0
    """Time limit of one call."""

    @property
    def is_value(self) -> bool:
        """Whether the answer is a plain value and nothing is called."""
        return self.inputs is None and not self.checks

    @property
    def lesson(self) -> str:
        """The lesson's number, as in the id: "02" of "02.3"."""
        return self.id.split(".")[0]
