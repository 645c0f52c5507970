"""The code of a solution, read off the lesson module, and the name that the starter asks for."""

from __future__ import annotations

import ast
import inspect
import textwrap

from course_lib.exercises.exercise import Exercise


def answer_name(exercise: Exercise) -> str:
    """The name that the learner defines: that of the last function, class or variable at the starter's top level."""
    names = [name for node in ast.parse(exercise.starter).body if (name := _defined(node))]
    if not names:
        raise ValueError(f"The starter of exercise {exercise.id} defines no function, class or variable.")
    return names[-1]


def solution_source(exercise: Exercise) -> str:
    """Code that can stand where the starter stands in the notebook.

    In this order: `solution_code`; the source of a function or class that has the starter's name; a lambda in
    the lesson module, rewritten as a function with the starter's name; a plain value, assigned to it.
    """
    if exercise.solution_code:
        return textwrap.dedent(exercise.solution_code).strip()
    name = answer_name(exercise)
    if exercise.is_value:
        return f"{name} = {exercise.solution!r}"
    try:
        if exercise.solution.__name__ == name:
            return textwrap.dedent(inspect.getsource(exercise.solution)).strip()
        node = _lambda_of(exercise, ast.parse(inspect.getsource(inspect.getmodule(exercise.solution))))
    except (OSError, TypeError, AttributeError):  # built in, or made where there is no file
        node = None
    if node is None:
        raise ValueError(
            f"Exercise {exercise.id}: give the solution the starter's name, {name}, write it as a lambda in place, "
            "or give solution_code."
        )
    return f"def {name}({ast.unparse(node.args)}):\n    return {ast.unparse(node.body)}"


def _defined(node: ast.stmt) -> str:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return ""


def _lambda_of(exercise: Exercise, tree: ast.Module) -> ast.Lambda | None:
    """The lambda given as `solution=` in the call Exercise(id="…")."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            id_, solution = given.get("id"), given.get("solution")
            if isinstance(id_, ast.Constant) and id_.value == exercise.id and isinstance(solution, ast.Lambda):
                return solution
    return None
