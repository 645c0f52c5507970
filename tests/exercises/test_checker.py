"""The checker itself: verdicts, diagnoses, and that nothing a learner hands in breaks it."""

import contextlib
import html
import json
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.exercises import (
    Exercise,
    Misconception,
    Result,
    check,
    checker,
    examine,
    find,
    hint,
    progress,
    solution,
)

SCALE = Exercise(
    id="99.1",
    title="Scores",
    inputs=lambda draw: (draw.normal(2, 5, 8), draw.normal(2, 7, 8)),
    solution=lambda query, key: query @ key.mT / math.sqrt(8),
    misconceptions=[Misconception(lambda query, key: query @ key.mT, "Divide these scores by the root of 8.")],
    starter="def scores(query, key):\n    ...\n",
    why="Because.",
    see="Why divide",
)
SOFTMAX = Exercise(
    id="99.2",
    title="Weights",
    inputs=lambda draw: (draw.normal(3, 4, 6),),
    solution=lambda scores: scores.softmax(dim=-1),
    starter="def weights(scores):\n    ...\n",
)
RUNNING_MEAN = Exercise(
    id="99.3",
    title="Mean of the past",
    inputs=lambda draw: (draw.normal(3, 6, 4),),
    solution=lambda x: x.cumsum(dim=1) / torch.arange(1, x.shape[1] + 1)[:, None],
    starter="def mean_so_far(x):\n    ...\n",
)
SPLIT = Exercise(
    id="99.4",
    title="Words",
    inputs=lambda draw: (" ".join(draw.words(6)),),
    solution=lambda text: text.split(),
    misconceptions=[Misconception(list, "These are the characters.")],
    starter="def split(text):\n    ...\n",
)
NUMBER = Exercise(
    id="99.5",
    title="How many?",
    solution=42,
    also_right=["forty-two"],
    misconceptions=[Misconception(41, "You forgot the end token.")],
    starter="answer = ...",
)
PAIR = Exercise(
    id="99.6",
    title="Two results",
    inputs=lambda draw: (draw.normal(4, 6),),
    solution=lambda x: (x.mean(dim=0), x.std(dim=0)),
    starter="def mean_and_spread(x):\n    ...\n",
)


class Doubler(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, 2)

    def forward(self, x):
        return self.second(self.first(x).relu())


class OtherOrder(Doubler):
    def __init__(self, width):
        nn.Module.__init__(self)
        self.second = nn.Linear(width, 2)
        self.first = nn.Linear(width, width)


class NoActivation(Doubler):
    def forward(self, x):
        return self.second(self.first(x))


MODULE = Exercise(
    id="99.7",
    title="A module",
    inputs=lambda draw: (draw.normal(5, 6),),
    build=lambda cls, draw: draw.fill(cls(6)),
    solution=Doubler,
    also_right=[OtherOrder],
    misconceptions=[Misconception(NoActivation, "Two linear maps in a row are one linear map.")],
    starter="""\
class Doubler(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, 2)

    def forward(self, x):
        ...
""",
)


def is_permutation(function, draw):
    n = draw.integers(4, 9)
    return None if sorted(function(n)) == list(range(n)) else f"For n = {n} some number is missing or comes twice."


SHUFFLE = Exercise(
    id="99.8",
    title="Any order",
    checks=[is_permutation],
    solution=lambda n: random.sample(range(n), n),
    also_right=[lambda n: list(range(n))],
    misconceptions=[
        Misconception(lambda n: [random.randrange(n) for _ in range(n)], "Each number is drawn on its own."),
    ],
    starter="def order(n):\n    ...\n",
)

MASK = Exercise(
    id="99.9",
    title="Who may look",
    inputs=lambda draw: (draw.size(5),),
    solution=lambda n: torch.ones(n, n).tril().bool(),
    starter="def may_look(n):\n    ...\n",
)

ALL = [SCALE, SOFTMAX, RUNNING_MEAN, SPLIT, NUMBER, PAIR, MODULE, SHUFFLE, MASK]


@pytest.fixture
def lesson_99(monkeypatch):
    """`check("99.1", …)` and the rest work on the exercises of this file."""
    by_id = {exercise.id: exercise for exercise in ALL}
    monkeypatch.setattr(checker, "find", lambda id: by_id.get(id) or find(id))
    monkeypatch.setattr(checker, "lessons", lambda: ["99"])
    monkeypatch.setattr(checker, "exercises_of", lambda lesson: ALL)
    monkeypatch.setattr(checker, "_hints_given", {})


def right(query, key):
    return query @ key.mT / math.sqrt(8)


# ------------------------------------------------------------ right and not started


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.id)
def test_right_answers_pass(exercise):
    for answer in (exercise.solution, *exercise.also_right):
        result = examine(exercise, answer)
        assert result.passed and result.status == "right", result


@pytest.mark.parametrize("exercise", [e for e in ALL if e.misconceptions], ids=lambda exercise: exercise.id)
def test_misconceptions_are_recognised(exercise):
    for wrong in exercise.misconceptions:
        result = examine(exercise, wrong.answer)
        assert (result.status, result.message) == ("wrong", wrong.message)


def test_a_misconception_without_its_entry_gets_another_message():
    result = examine(replace(SCALE, misconceptions=[]), SCALE.misconceptions[0].answer)
    assert result.status == "wrong" and "Every number is 2.828 = √8 times" in result.message


@pytest.mark.parametrize(
    "spelling",
    [
        lambda query, key: torch.einsum("bqd,bkd->bqk", query, key) * 8**-0.5,
        lambda query, key: ((query[:, :, None] / 8**0.5) * key[:, None]).sum(-1),
        lambda query, key: query.double() @ key.double().mT / 8**0.5,
        lambda query, key: torch.from_numpy(query.numpy() @ key.numpy().swapaxes(1, 2)) / 8**0.5,
    ],
)
def test_any_spelling_is_accepted(spelling):
    assert examine(SCALE, spelling).passed


def stub_ellipsis(query, key): ...


def stub_pass(query, key):
    """A docstring."""


def stub_todo(query, key):
    raise NotImplementedError


def stub_returns_ellipsis(query, key):
    return ...


def not_for_integers(query, key):
    return query.long().softmax(-1)


def test_torchs_own_not_implemented_is_an_error():
    result = examine(SCALE, not_for_integers)
    assert result.status == "error" and "not implemented for" in result.message


@pytest.mark.parametrize("answer", [None, ..., stub_ellipsis, stub_pass, stub_todo, stub_returns_ellipsis])
def test_stubs_are_not_started(answer):
    result = examine(SCALE, answer)
    assert (result.status, result.passed, repr(result)) == ("not started", False, "○ 99.1 not started · Scores")


def test_starter_with_a_gap_is_not_started():
    exercise = replace(SOFTMAX, starter="def weights(scores):\n    top = ...\n    return scores / top.sum()\n")
    names = {}
    exec("def weights(scores):\n    top = ...      # yours\n    return scores / top.sum()", names)
    assert examine(exercise, names["weights"]).status == "not started"
    exec("def weights(scores):\n    top = 3\n    return scores / top.sum()", names)
    assert examine(exercise, names["weights"]).status == "error"


def test_untouched_class_is_not_started_and_a_changed_one_is():
    names = {"nn": nn}
    exec(MODULE.starter, names)
    assert examine(MODULE, names["Doubler"]).status == "not started"
    exec(MODULE.starter.replace("...", "return x.sum(dim=1)"), names)
    assert examine(MODULE, names["Doubler"]).status == "wrong"


def test_plain_values():
    assert (
        examine(NUMBER, 42.01).passed
        and examine(NUMBER, torch.tensor(42)).passed
        and examine(NUMBER, np.int64(42)).passed
    )
    assert examine(NUMBER, " Forty-Two ").passed
    assert examine(NUMBER, 41).message == "You forgot the end token."
    assert examine(NUMBER, 7).message.startswith("7 is not it.")
    assert examine(NUMBER, ...).status == "not started"
    assert examine(NUMBER, lambda: 42).status == "wrong"
    assert examine(replace(NUMBER, solution={"a", "b"}), {"b", "a"}).passed
    assert examine(replace(NUMBER, solution=[1, 2]), (1, 2)).passed
    assert not examine(replace(NUMBER, solution=True, also_right=()), 1).passed


def test_value_instead_of_function():
    result = examine(SCALE, torch.zeros(2, 5, 7))
    assert result.status == "wrong" and "Hand in the function itself" in result.message


# ------------------------------------------------------------ diagnoses


def mean_with_leak(x):
    return x.mean(dim=1, keepdim=True).expand_as(x)


def swaps_sentences(x):
    return RUNNING_MEAN.solution(x.flip(0))


def no_return(query, key):
    query @ key.mT


def in_place(query, key):
    return query.div_(8**0.5) @ key.mT


def last_rows_zero(query, key):
    scores = right(query, key)
    scores[:, 3:] = 0
    return scores


def nan_everywhere(query, key):
    return right(query, key).log()


DIAGNOSES = {
    "missing return": (SCALE, no_return, "You return nothing where a tensor of shape (2, 5, 7) is expected."),
    "type": (SCALE, lambda query, key: right(query, key).tolist(), "You return a list of length 2; expected is"),
    "numpy": (SCALE, lambda query, key: right(query, key).numpy(), "You return a NumPy array of shape (2, 5, 7)"),
    "shape": (SCALE, lambda query, key: right(query, key)[:, :4], "The shape is (2, 4, 7), expected (2, 5, 7)."),
    "swapped axes": (SCALE, lambda query, key: right(query, key).mT, "Axes 1 and 2 look swapped. With them"),
    "flattened": (SCALE, lambda query, key: right(query, key).flatten(1), "only the shape is not"),
    "dtype": (SCALE, lambda query, key: right(query, key).int(), "The dtype is int32, expected float32."),
    "NaN": (SCALE, nan_everywhere, "Your result holds NaN"),
    "infinity": (SCALE, lambda query, key: right(query, key) / 0, "Your result holds inf"),
    "mutation": (SCALE, in_place, "changes its argument `query` in place"),
    "row sums": (SOFTMAX, lambda scores: scores.exp(), "Each row (last axis) should add up to 1. Yours add up to"),
    "other axis": (SOFTMAX, lambda scores: scores.softmax(dim=1), "In yours the sum is 1 along axis 1 instead."),
    "leak": (RUNNING_MEAN, mean_with_leak, "It looks into the future: when the last item of `x` (axis 1) changes"),
    "mixed batch": (RUNNING_MEAN, swaps_sentences, "Items that should not meet are mixed"),
    "factor": (SCALE, lambda query, key: 3 * right(query, key), "Every number is 3 times what it should be."),
    "known factor": (SCALE, lambda query, key: query @ key.mT / 8, "Every number is 0.3536 = 1/√8 times"),
    "sign": (SCALE, lambda query, key: -right(query, key), "Every number has the wrong sign."),
    "factor and sign": (SCALE, lambda query, key: -2 * right(query, key), "2 times what it should be and has"),
    "shift": (SCALE, lambda query, key: right(query, key) - 3, "Every number is 3 too small."),
    "some rows": (SCALE, last_rows_zero, "along axis 1, wrong at index"),
    "difference": (SCALE, lambda query, key: right(query, key).sin(), "The numbers differ most at index"),
    "inverted": (MASK, lambda n: ~MASK.solution(n), "It is the exact opposite"),
    "mask": (MASK, lambda n: MASK.solution(n).logical_xor(torch.eye(n).bool()), "entries are wrong"),
    "mask as numbers": (MASK, lambda n: MASK.solution(n).long(), "The dtype is int64, expected bool."),
    "one of two": (PAIR, lambda x: (x.mean(0), x.var(0)), "The second result: The numbers differ most"),
    "length": (SPLIT, lambda text: text.split()[1:], "its length should be 6"),
    "item": (SPLIT, lambda text: [*text.split()[:-1], "?"], "The first wrong item is at index"),
    "text instead of list": (SPLIT, lambda text: text, "You return a str of length"),
    "complaint": (SHUFFLE, lambda n: [0] * n, "some number is missing or comes twice"),
}  # fmt: skip


@pytest.mark.parametrize(("exercise", "answer", "said"), DIAGNOSES.values(), ids=DIAGNOSES)
def test_diagnosis(exercise, answer, said):
    exercise = replace(exercise, misconceptions=[])
    result = examine(exercise, answer)
    assert result.status == "wrong" and said in result.message, result
    lines = repr(result).splitlines()
    assert len(lines) <= 12 and max(map(len, lines)) <= 102
    assert repr(examine(exercise, answer)) == repr(result)


def test_order_of_diagnoses_shape_before_factor():
    assert "expected (2, 5, 7)" in examine(SCALE, lambda query, key: 3 * right(query, key)[:1]).message


def test_smallest_failing_input_is_shown():
    result = examine(SOFTMAX, lambda scores: scores.softmax(dim=1))
    assert result.details[0] == "scores = [[[0.3, 0.8]]]"
    assert result.details[1:3] == ("expected: [[[0.3775, 0.6225]]]", "yours: [[[1, 1]]]")


def test_sizes_that_the_answer_or_the_message_names_are_kept():
    result = examine(SCALE, SCALE.misconceptions[0].answer)
    assert len(result.details[0].split(",")) == 8, result
    hard_coded = examine(replace(SCALE, misconceptions=[]), lambda query, key: 3 * (query @ key.mT) / 8**0.5)
    assert len(hard_coded.details[0].split(",")) == 8, hard_coded


def test_a_failure_on_large_sizes_only_keeps_them():
    def fails_from_five_on(scores):
        return scores.softmax(dim=-1) * (1 if scores.shape[-1] < 5 else 2)

    result = examine(SOFTMAX, fails_from_five_on)
    assert not result.passed and "add up to between 2 and 2" in result.message


# ------------------------------------------------------------ errors, time, side effects


def helper(x):
    return x["no such key"]


def raises(query, key):
    return helper({})


def test_error_shows_the_learners_own_lines():
    result = examine(SCALE, raises)
    assert result.status == "error"
    lines = result.message.splitlines()
    assert lines[0].endswith("in raises:  return helper({})") and lines[1].endswith(
        'in helper:  return x["no such key"]'
    )
    assert lines[2] == "KeyError: 'no such key'"
    assert "query: a tensor of shape (2, 5, 8)" in result.details[0]


def test_error_inside_torch_shows_no_line_of_torch():
    result = examine(SCALE, lambda query, key: torch.nn.functional.linear(query, key.flatten(1)))
    assert "site-packages" not in repr(result) and "RuntimeError" in result.message


def endless_recursion(query, key):
    return endless_recursion(query, key)


@pytest.mark.parametrize(
    "answer",
    [
        lambda: 1,
        lambda query, key: sys.exit(),
        lambda query, key: 1 / 0,
        endless_recursion,
        lambda query, key: {}.popitem(),
    ],
)
def test_no_error_gets_out(answer):
    result = examine(SCALE, answer)
    assert result.status == "error" and len(repr(result).splitlines()) <= 12


def test_keyboard_interrupt_does_get_out():
    def interrupted(query, key):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        examine(SCALE, interrupted)


def test_endless_loop_is_given_up():
    def stubborn(query, key):
        while True:
            with contextlib.suppress(Exception):
                time.sleep(0.001)

    before = signal.getsignal(signal.SIGALRM)
    started = time.monotonic()
    result = examine(replace(SCALE, seconds=0.2), stubborn)
    assert time.monotonic() - started < 2
    assert result.status == "error" and "not finished after 0.2 seconds" in result.message
    assert signal.getsignal(signal.SIGALRM) is before and signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_checks_are_timed_too():
    def forever(n):
        while True:
            pass

    assert "not finished" in examine(replace(SHUFFLE, seconds=0.2), forever).message


def test_somebody_elses_timer_is_put_back():
    rang = []
    before = signal.signal(signal.SIGALRM, lambda *_: rang.append(True))
    try:
        signal.setitimer(signal.ITIMER_REAL, 60)
        assert examine(SCALE, right).passed
        assert 50 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60 and not rang
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_works_in_another_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(examine(SCALE, right)))
    thread.start()
    thread.join()
    assert results[0].passed


def test_random_numbers_of_the_notebook_are_untouched(shapes_unchecked):
    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = states()
    examine(SHUFFLE, SHUFFLE.solution)
    examine(SCALE, lambda query, key: torch.randn(2, 5, 7))
    assert states() == before


def test_random_functions_are_compared_with_one_seed():
    dropout = replace(SOFTMAX, solution=lambda scores: torch.dropout(scores, 0.5, True))
    assert examine(dropout, lambda scores: nn.functional.dropout(scores, 0.5)).passed
    assert not examine(dropout, lambda scores: nn.functional.dropout(scores, 0.4)).passed


def test_prints_are_caught_and_mentioned(capsys):
    def chatty(query, key):
        print("<b>scores</b>")
        return query @ key.mT * 5

    result = examine(SCALE, chatty)
    assert capsys.readouterr().out == ""
    assert any("prints" in line for line in result.details)


def test_fresh_inputs_each_time():
    seen = []

    def remember(query, key):
        seen.append(float(query[0, 0, 0]))
        return right(query, key)

    examine(SCALE, remember), examine(SCALE, remember)
    half = len(seen) // 2
    assert len(set(seen[:half])) == half and set(seen[:half]) != set(seen[half:])


def test_answer_that_only_knows_the_fixed_draws_fails():
    known = {}
    for case in checker.fixed_cases(SCALE):
        query, key = case.inputs(SCALE)
        known[float(query[0, 0, 0])] = right(query, key)
    result = examine(SCALE, lambda query, key: known.get(float(query[0, 0, 0]), torch.zeros(2, 5, 7)))
    assert result.status == "wrong"


def test_a_broken_exercise_is_not_the_learners_mistake(lesson_99, monkeypatch):
    broken = replace(SCALE, solution=lambda query, key: 1 / 0)
    monkeypatch.setattr(checker, "find", lambda id: broken)
    result = check("99.1", right)
    assert result.status == "error" and "not your mistake" in result.message


class Hostile:
    def __eq__(self, other):
        raise RuntimeError("no")

    __hash__ = None

    def __repr__(self):
        raise RuntimeError("never")

    def __getattr__(self, name):
        raise RuntimeError("nor this")


STRANGE = {
    "hostile": Hostile(),
    "long text": "<img>" * 5000,
    "empty lists": [[]] * 3,
    "empty tensor": torch.zeros(0),
    "huge number": 10**400,
    "class": object,
    "dictionary": {1: 2},
    "bytes": b"x",
    "complex": 1j,
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.id)
def test_anything_may_be_returned_or_handed_in(lesson_99, exercise, name):
    value = STRANGE[name]
    for answer in (value, lambda *_: value, lambda *_: (value, value)):
        result = check(exercise.id, answer)
        assert not result.passed
        assert len(repr(result).splitlines()) <= 12 and len(repr(result)) < 1300
        assert "The checker itself failed" not in result.message, result


# ------------------------------------------------------------ more kinds of exercises


def test_arrays_of_any_kind_where_allowed():
    loose = replace(SOFTMAX, any_array=True)
    for answer in (lambda s: s.softmax(-1).numpy(), lambda s: s.softmax(-1).tolist(), lambda s: s.softmax(-1)):
        assert examine(loose, answer).passed
    assert not examine(SOFTMAX, lambda s: s.softmax(-1).numpy()).passed
    assert examine(loose, lambda s: "no").status == "wrong"


def test_numpy_exercise():
    exercise = replace(SOFTMAX, inputs=lambda draw: draw.normal(4, 6).numpy(), solution=lambda x: x - x.mean(axis=0))
    assert examine(exercise, lambda x: x - x.sum(axis=0) / len(x)).passed
    result = examine(exercise, lambda x: x - x.mean())
    assert result.status == "wrong" and result.details[0].startswith("scores = [[")


def test_function_whose_job_is_to_change_its_argument():
    exercise = replace(SOFTMAX, mutates=True, inputs=lambda draw: ([3, 1, 2],), solution=lambda items: items.sort())
    assert examine(exercise, lambda items: items.sort()).passed
    assert examine(exercise, lambda items: items.reverse()).status == "wrong"


def test_own_comparison_and_tolerance():
    anything = replace(SOFTMAX, compare=lambda got, expected: got.shape == expected.shape)
    assert examine(anything, lambda s: s).passed and not examine(anything, lambda s: s[0]).passed
    assert examine(replace(SOFTMAX, tolerance=0.05), lambda s: s.softmax(-1) + 0.01).passed
    assert not examine(SOFTMAX, lambda s: s.softmax(-1) + 0.01).passed


def test_expected_nan_is_right():
    exercise = replace(SOFTMAX, solution=lambda scores: scores.log())
    assert examine(exercise, lambda scores: scores.log2() / math.log2(math.e)).passed
    assert not examine(exercise, lambda scores: scores.abs().log()).passed


def test_weights_by_name_not_by_order():
    assert examine(MODULE, OtherOrder).passed
    result = examine(MODULE, type("Renamed", (Doubler,), {"forward": lambda self, x: self.third(x)}))
    assert result.status == "error" and "third" in result.message


# ------------------------------------------------------------ ids, hints, solutions, progress


def test_unknown_id_names_the_nearest(shapes_unchecked):
    with pytest.raises(ValueError, match=r"There is no exercise '02.33'. The nearest is '02.3'"):
        find("02.33")
    for call in (lambda: check("02.33", right), lambda: hint("02.33"), lambda: solution("02.33")):
        assert "The nearest is '02.3'" in repr(call())
    for strange in (2.3, None, "", "<script>", ("02.3",), "2.3", "../x", "02"):
        result = check(strange, right)
        assert result.status == "error" and result.message.startswith("There is no exercise")


def test_hints_come_one_by_one(lesson_99, monkeypatch):
    hinted = replace(SCALE, hints=("first?", "second?", "third."))
    monkeypatch.setattr(checker, "find", lambda id: hinted)
    shown = [repr(hint("99.1")) for _ in range(4)]
    assert [text.splitlines()[1] for text in shown] == ["first?", "second?", "third.", "third."]
    assert [text.split(" · ")[0] for text in shown[:3]] == ["99.1 hint 1/3", "99.1 hint 2/3", "99.1 hint 3/3"]
    assert "second?" in repr(hint("99.1", 2))


def test_solution_shows_code_and_reason_and_is_remembered(lesson_99, progress_file):
    shown = repr(solution("99.1"))
    assert "def scores(query, key):\n    return query @ key.mT / math.sqrt(8)" in shown and "Because." in shown
    assert json.loads(progress_file.read_text())["exercises"]["99.1"]["solution_seen"] is True
    assert "Solutions looked at: 99.1" in repr(progress())
    assert repr(solution("99.7")).count("class Doubler") == 1
    assert "answer = 42" in repr(solution("99.5"))


def test_progress_counts(lesson_99):
    assert [line.split() for line in repr(progress()).splitlines()[-2:]] == [
        ["99", "0", "0", str(len(ALL))],
        ["all", "0", "0", str(len(ALL))],
    ]
    check("99.1", right)
    check("99.2", lambda scores: scores)
    check("99.3", None)
    assert repr(progress()).splitlines()[-1].split() == ["all", "1", "1", str(len(ALL) - 2)]
    check("99.1", lambda query, key: query)
    assert repr(progress()).splitlines()[-1].split()[1] == "1", "what was right once stays right"


def test_attempts_and_hints_are_recorded(lesson_99, progress_file):
    check("99.1", lambda query, key: query)
    check("99.1", right)
    hint("99.1")
    entry = json.loads(progress_file.read_text())["exercises"]["99.1"]
    assert entry == {"status": "right", "attempts": 2, "hints": 1, "solution_seen": False}


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"exercises": 3}',
        b'{"exercises": {"99.1": 3}}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"exercises": {"99.1": {"attempts": "many"}}}',
        b'{"exercises": {"99.1": {"attempts": null}}}',
    ],
)
def test_damaged_progress_is_set_aside(lesson_99, progress_file, damage):
    progress_file.write_bytes(damage)
    result = check("99.1", right)
    assert result.passed and "damaged" in result.details[-1]
    assert (progress_file.parent / "progress.damaged.json").read_bytes() == damage
    assert json.loads(progress_file.read_text())["exercises"]["99.1"]["status"] == "right"
    assert check("99.1", right).details == ()


def test_unwritable_progress_does_not_stop_a_check(lesson_99, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "file" / "progress.json"))
    result = check("99.1", right)
    assert result.passed and "could not be saved" in result.details[-1]
    assert "99" in repr(progress()) and "hint 1/3" in repr(hint("99.1"))


def test_null_device_means_no_record(lesson_99, monkeypatch):
    monkeypatch.setenv("COURSE_PROGRESS", os.devnull)
    assert check("99.1", right).details == ()
    assert not os.path.isfile(os.devnull) and os.path.exists(os.devnull)


def test_progress_is_replaced_whole(lesson_99, progress_file, monkeypatch):
    check("99.1", right)
    before = progress_file.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    assert check("99.2", lambda scores: scores).details[-1].startswith("Your progress could not be saved")
    assert progress_file.read_bytes() == before
    assert [path.name for path in progress_file.parent.iterdir()] == ["progress.json"]


# ------------------------------------------------------------ how it is shown


HOSTILE_TEXT = '</pre><script>alert(1)</script><img src=x onerror=alert(2)>&"'


def test_html_is_escaped(lesson_99, monkeypatch):
    exercise = replace(SPLIT, title=HOSTILE_TEXT, misconceptions=[], see=HOSTILE_TEXT, why=HOSTILE_TEXT)
    monkeypatch.setattr(checker, "find", lambda id: replace(exercise, hints=(HOSTILE_TEXT,) * 3))
    monkeypatch.setattr(checker, "exercises_of", lambda lesson: [exercise])

    def fails(text):
        raise ValueError(HOSTILE_TEXT)

    shown = [
        check("99.4", lambda text: [HOSTILE_TEXT] * 6),
        check("99.4", fails),
        check(HOSTILE_TEXT, fails),
        check("99.4", str.split),
        hint("99.4"),
        solution("99.4"),
        progress(),
        Result(HOSTILE_TEXT, HOSTILE_TEXT, "wrong", HOSTILE_TEXT, (HOSTILE_TEXT,)),
    ]
    for result in shown:
        page = result._repr_html_()
        assert "<script" not in page and "<img" not in page
        assert "javascript:" not in page and "http" not in page
    assert html.escape(HOSTILE_TEXT) in shown[-1]._repr_html_()


@pytest.mark.parametrize(
    ("status", "icon", "word"),
    [
        ("right", "✓", "right"),
        ("wrong", "✗", "not yet"),
        ("not started", "○", "not started"),
        ("error", "!", "error"),
    ],
)
def test_icon_and_word(status, icon, word):
    result = Result("02.3", "Title", status)
    assert result.heading == f"{icon} 02.3 {word} · Title" and result.heading in result._repr_html_()


def test_no_wall_of_text():
    result = Result("02.3", "Title", "wrong", "word " * 2000, ("line\n" * 50,) * 5)
    assert len(repr(result).splitlines()) == 12
    assert len(result._repr_html_()) < 5000


def test_import_loads_no_torch():
    code = "import sys, course_lib.exercises; assert not {'torch', 'transformers'} & set(sys.modules), 'loaded'"
    subprocess.run([sys.executable, "-c", code], check=True)
