"""Every exercise of every lesson: right answers pass, each mistake gets its own message, stubs are not started."""

import ast
import importlib
from functools import partial
from itertools import combinations

import pytest

from course_lib.exercises import examine
from course_lib.exercises.catalogue import exercises_of, lessons
from course_lib.exercises.checker import fixed_cases
from course_lib.exercises.source import answer_name, solution_source
from course_lib.exercises.trial import alike, is_right, run
from course_lib.exercises.values import same_value
from tests.exercises.write_messages import list_of, messages_of

EXERCISES = [exercise for lesson in lessons() for exercise in exercises_of(lesson)]
MISCONCEPTIONS = [
    pytest.param(exercise, wrong, id=f"{exercise.id}-{number}")
    for exercise in EXERCISES
    for number, wrong in enumerate(exercise.misconceptions, 1)
]
each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
each_misconception = pytest.mark.parametrize(("exercise", "wrong"), MISCONCEPTIONS)
each_lesson = pytest.mark.parametrize("lesson", lessons())


def run_in_lesson(exercise, code):
    """Execute a learner's code with the names that the lesson's module has; returns what the code defines."""
    names = dict(vars(importlib.import_module(f"course_lib.exercises.lesson_{exercise.lesson}")))
    exec(compile(code, f"<{exercise.id}>", "exec"), names)
    return names[answer_name(exercise)]


@each_exercise
def test_solution_passes(exercise):
    result = examine(exercise, exercise.solution)
    assert result.passed, result


@each_exercise
def test_other_right_answers_pass(exercise):
    for answer in exercise.also_right:
        result = examine(exercise, answer)
        assert result.passed, result


@each_exercise
def test_mistakes_are_told_apart_by_the_draws_that_every_check_has(exercise):
    """Or the message would depend on the fresh draws: the first misconception that behaves alike gives it."""
    if exercise.is_value:
        answers = [wrong.answer for wrong in exercise.misconceptions]
        assert not any(same_value(one, other, exercise.tolerance) for one, other in combinations(answers, 2))
        return
    cases = fixed_cases(exercise)
    right = [run(exercise, exercise.solution, case) for case in cases]
    wrong = [[run(exercise, one.answer, case) for case in cases] for one in exercise.misconceptions]
    for number, outcomes in enumerate(wrong, 1):
        assert not all(map(partial(is_right, exercise), outcomes, right)), f"{number} passes"
        for before, others in enumerate(wrong[: number - 1], 1):
            assert not all(map(partial(alike, exercise), outcomes, others)), f"{number} is taken for {before}"


@pytest.mark.slow
@each_misconception
def test_misconception_gets_its_own_message(exercise, wrong):
    """Each one its own: two that behave alike would both get the first one's message."""
    result = examine(exercise, wrong.answer)
    assert (result.status, result.message) == ("wrong", wrong.message)
    assert len(repr(result).splitlines()) <= 12


@each_exercise
def test_starter_is_not_started(exercise):
    result = examine(exercise, run_in_lesson(exercise, exercise.starter))
    assert result.status == "not started", result


@each_exercise
def test_solution_as_code_passes(exercise):
    code = solution_source(exercise)
    assert len(code.splitlines()) <= 40
    result = examine(exercise, run_in_lesson(exercise, code))
    assert result.passed, result


@each_exercise
def test_texts_are_there_and_short(exercise):
    assert exercise.title and len(exercise.title) <= 60
    assert len(exercise.hints) == len(set(exercise.hints)) == 3
    for text in (*exercise.hints, exercise.why):
        assert 10 <= len(text) <= 400, text
    for wrong in exercise.misconceptions:
        assert 30 <= len(wrong.message) <= 450, wrong.message
    messages = [wrong.message for wrong in exercise.misconceptions]
    assert messages and len(messages) == len(set(messages))
    assert exercise.see


@each_exercise
def test_starter_is_only_the_answers_code(exercise):
    calls = [
        node.func.id
        for node in ast.walk(ast.parse(exercise.starter))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert "check" not in calls
    assert answer_name(exercise)


@each_lesson
def test_ids_belong_to_the_lesson_and_are_in_order(lesson):
    numbers = []
    for exercise in exercises_of(lesson):
        prefix, number = exercise.id.split(".")
        assert prefix == lesson
        numbers.append(int(number))
    assert numbers == sorted(set(numbers))


@each_lesson
def test_misconceptions_are_those_that_were_written_down(lesson):
    command = f"python -m tests.exercises.write_messages {lesson}"
    assert list_of(lesson).is_file(), f"new lesson? run: {command}"
    written = list_of(lesson).read_text(encoding="utf-8").splitlines()
    assert messages_of(lesson) == written, f"if the change is meant, run: {command}"


def test_no_list_without_its_lesson():
    assert sorted(path.stem for path in list_of("00").parent.glob("*.txt")) == lessons()


def test_part_one_has_enough_exercises():
    part_one = [exercise for exercise in EXERCISES if exercise.lesson <= "05"]
    assert len(part_one) >= 26
    assert sum(len(exercise.misconceptions) for exercise in part_one) >= 90
