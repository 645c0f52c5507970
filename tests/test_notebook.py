"""`start` makes a lesson repeatable, and refuses what is no lesson."""

import random

import numpy
import pytest
import torch

from course_lib.notebook import seed_everything, start


def _draw() -> tuple[float, float, float]:
    return random.random(), numpy.random.random(), torch.rand(()).item()


def test_the_same_numbers_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Python, NumPy and torch; and the banner is the same one line."""
    start("02")
    first = _draw()
    start("02")
    assert _draw() == first
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["Lesson 02 is ready. Random numbers are seeded, so your numbers should match the text."] * 2


def test_another_seed_gives_other_numbers() -> None:
    """The seed is really used, by each of the three."""
    seed_everything(0)
    first = _draw()
    seed_everything(1)
    assert all(one != other for one, other in zip(first, _draw(), strict=True))


@pytest.mark.parametrize("wrong", ["2", "two", "002", ""])
def test_what_is_no_lesson_is_refused(wrong: str) -> None:
    """The sentence shows the form."""
    with pytest.raises(ValueError, match=r'such as start\("02"\)'):
        start(wrong)


def test_no_more_threads_than_a_small_model_can_use() -> None:
    """Four at most."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(16)
        start("02")
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
