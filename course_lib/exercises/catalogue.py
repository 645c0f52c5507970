"""Finding exercises: one module per lesson, loaded when one of its ids is asked for."""

from __future__ import annotations

import difflib
import importlib
import pkgutil

import course_lib.exercises as package
from course_lib.exercises.exercise import Exercise


class UnknownExercise(ValueError):
    """There is no exercise with this id; the message names the nearest."""


def lessons() -> list[str]:
    """The numbers of the lessons that have exercises: ["00", "01", …]."""
    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name.removeprefix("lesson_") for name in names if name.startswith("lesson_"))


def exercises_of(lesson: str) -> list[Exercise]:
    """The exercises of one lesson, in order."""
    return list(importlib.import_module(f"course_lib.exercises.lesson_{lesson}").EXERCISES)


def find(id: str) -> Exercise:
    """The exercise with this id; UnknownExercise, a ValueError, for an id that does not exist."""
    known = lessons()
    lesson = str(id).split(".")[0]
    searched = [lesson] if lesson in known else known
    by_id = {exercise.id: exercise for number in searched for exercise in exercises_of(number)}
    if id in by_id:
        return by_id[id]
    nearest = difflib.get_close_matches(str(id), by_id, n=1, cutoff=0.0)
    suggestion = f" The nearest is {nearest[0]!r}." if nearest else ""
    raise UnknownExercise(f"There is no exercise {str(id)[:40]!r}.{suggestion}")
