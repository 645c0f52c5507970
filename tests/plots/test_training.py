"""Pictures of training: what they draw is what they were given."""

import numpy as np
import pytest

from course_lib.plots import COLORS
from course_lib.plots import training as draw
from course_lib.training import Record


def lines(axes) -> dict[str, list]:
    """The labelled lines of a picture, as points."""
    return {
        line.get_label(): np.column_stack(line.get_data()).tolist()
        for line in axes.get_lines()
        if not line.get_label().startswith("_")
    }


def test_the_loss_of_batches_validation_and_the_floor():
    history = [Record(n, n, n, 3.0 / n, 2.0 if n == 2 else None, 0.1, 1.0) for n in (1, 2)]
    found = lines(draw.loss_curve(history, 10, floor=0.25).axes[0])
    assert found["training batch"] == [[1, 3.0], [2, 1.5]]
    assert found["validation"] == [[2, 2.0]]
    assert found["floor 0.250"][0][1] == 0.25
    assert draw.loss_curve([], 10).axes[0].get_legend() is None


def test_learning_curves_take_losses_with_and_without_steps():
    axes = draw.learning_curves({"a": [3.0, 2.0], "b": [(10, 1.0), (20, 0.5)]}, {"level": 4.0}).axes[0]
    assert lines(axes) == {"a": [[1, 3.0], [2, 2.0]], "b": [[10, 1.0], [20, 0.5]]}
    assert [text.get_text() for text in axes.texts] == ["level"]


def test_the_valley_shows_every_step_of_a_path():
    path = [(-4.0, 1.0), (-3.0, 0.0)]
    assert lines(draw.valley({"walk": path}, 25).axes[0])["walk"] == [list(point) for point in path]


def test_gradient_sizes_stand_beside_their_names():
    axes = draw.gradient_sizes({"first": 0.1, "second": 10.0}, {"first": 1.0, "second": 1.0}).axes[0]
    assert lines(axes)["gradient"] == [[0.1, 1], [10.0, 0]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "second"]
    assert axes.get_xscale() == "log"


def test_number_sizes_count_all_but_the_zeros_and_mark_what_float16_loses():
    axes = draw.number_sizes([0.0, 1e-9, -1e-3, 0.5], 1024.0).axes[0]
    counted = [sum(bar.get_height() for bar in bars) for bars in axes.containers]
    assert counted == [3, 3]
    assert sorted(text.get_text() for text in axes.texts) == ["becomes 0", "∞"]


def test_gradient_lengths_and_their_limit():
    found = lines(draw.gradient_lengths({"run": [0.5, 2.0]}, 1.0).axes[0])
    assert found["run"] == [[1, 0.5], [2, 2.0]]
    assert found["limit 1"][0][1] == 1.0


def test_schedules_show_the_mean_and_leave_a_gap_for_a_run_that_blew_up():
    axes = draw.schedules_compared([0.1, 1.0], {"one": [[2.0, None], [4.0, 3.0]]}).axes[0]
    (rate, mean), (_, missing) = lines(axes)["one"]
    assert (rate, mean) == (0.1, 3.0)
    assert np.isnan(missing)


@pytest.mark.parametrize("n_remedies", [1, 3])
def test_overfitting_has_a_panel_for_each_remedy_and_two_lines_for_each_seed(n_remedies):
    run = {"step": [1, 2], "known": [2.0, 1.0], "new": [2.1, 1.9]}
    figure = draw.overfitting({f"remedy {n}": [run, run] for n in range(n_remedies)}, floor=0.3)
    assert [axes.get_title() for axes in figure.axes] == [f"remedy {n}" for n in range(n_remedies)]
    for axes in figure.axes:
        drawn = [line for line in axes.get_lines() if len(line.get_xdata()) == 2 and line.get_color() != COLORS["red"]]
        assert len(drawn) == 4
