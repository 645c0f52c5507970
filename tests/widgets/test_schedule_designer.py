"""The schedule designer: its rates are the trainer's, it trains when asked, and the page says what came of it."""

import numpy as np
import pytest

from course_lib.training.optim import learning_rate_factor
from course_lib.widgets.schedule_designer import MOST_RUNS, ScheduleDesigner


def descend(rates):
    """A run whose loss falls by each rate."""
    return [3.0 - sum(rates[: n + 1]) for n in range(len(rates))]


def test_the_design_is_the_trainers_schedule():
    designer = ScheduleDesigner(descend, 20, [(0.01, 5, 0.1)])
    expected = [0.01 * learning_rate_factor(step, steps=20, warmup_steps=5, final=0.1) for step in range(20)]
    assert designer.design() == pytest.approx(expected)
    assert np.frombuffer(designer.rates, np.float32) == pytest.approx(expected)
    designer.warmup = 0
    assert np.frombuffer(designer.rates, np.float32)[0] == pytest.approx(0.01)


def test_it_trains_when_asked_and_keeps_the_newest_runs():
    designer = ScheduleDesigner(descend, 4, [(0.1, 0, 1.0)])
    assert designer.describe() == "ScheduleDesigner(peak 0.1, warm-up 0, constant: ends at 2.6)"
    for number in range(1, MOST_RUNS + 2):
        designer.warmup = number % 4
        designer.asked = number
    assert designer.answered == MOST_RUNS + 1
    assert len(designer.names) == MOST_RUNS
    losses = np.frombuffer(designer.losses, np.float32).reshape(MOST_RUNS, 4)
    assert losses[-1] == pytest.approx(descend(designer.design()), rel=1e-6)


def test_a_run_that_blows_up_leaves_a_gap_and_the_picture_stands():
    designer = ScheduleDesigner(lambda rates: [4.0, 9e9], 5, [(1.0, 0, 1.0)], know_nothing=4.0)
    assert np.isnan(np.frombuffer(designer.losses, np.float32)[2:]).all()
    figure, alt = designer.static_picture()
    assert figure.axes[1].get_ylim()[1] == pytest.approx(5.2)
    assert "peak 1" in alt


def test_too_many_designs():
    with pytest.raises(ValueError, match="At most 5 designs"):
        ScheduleDesigner(descend, 4, [(0.1, 0, 1.0)] * 6)
