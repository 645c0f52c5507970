import numpy as np
import pytest
import torch

from course_lib import plots
from course_lib.plots import weighted_average as draw


@pytest.fixture(autouse=True)
def look():
    plots.style()


def test_arrows_say_each_score():
    figure = draw.arrows(torch.tensor([1.5, 0.3]), [[2, 0], [0, 2], [-2, -1]], "kitten", ["cat", "鸟", "fish"])
    said = [text.get_text() for text in figure.axes[0].texts]
    assert {"query: kitten", "cat: 3.0", "鸟: 0.6", "fish: −3.3"} <= set(said)


def test_the_triangle_has_the_values_as_corners_and_the_outputs_inside():
    values, outputs = [[0, 10], [10, 0], [0, 0]], [[1, 6], [3, 3]]
    figure = draw.triangle(values, [*outputs, [6, 1]], ["a", "b", "c"], ("x", "y"))
    corners, points = (drawn.get_offsets().tolist() for drawn in figure.axes[0].collections[-2:])
    assert corners == values and points[:2] == outputs


def test_scaled_scores_have_the_same_spread_whatever_the_width():
    generator = np.random.default_rng(0)
    scores = {width: generator.normal(0, np.sqrt(width), 20_000) for width in (4, 256)}
    lines = draw.score_spreads(scores).axes[1].lines
    np.testing.assert_allclose(lines[0].get_ydata(), lines[1].get_ydata(), atol=0.03)


def test_lookups_name_both_ends():
    axes = draw.lookups([0, 0.5, 1], [4, 4, 2], [4, 3, 2], ("cat", "bird"), y_name="legs").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["at “cat”", "half-way", "at “bird”"]
    assert axes.lines[1].get_ydata().tolist() == [4, 3, 2]


def test_masks_stand_side_by_side():
    causal = torch.ones(3, 3).tril().bool()
    figure = draw.masks({"causal": causal, "open": causal | True}, ["我", "b", "c"])
    assert [axes.get_title() for axes in figure.axes] == ["causal", "open"]
    assert figure.axes[0].images[0].get_array().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_costs_are_drawn_in_milliseconds_and_mebibytes_with_a_line_of_slope_two():
    figure = draw.costs([256, 512], {"explicit": [0.001, 0.004]}, {"explicit": [2**20, 2**22]})
    time, memory = figure.axes
    assert time.lines[0].get_ydata().tolist() == [1, 4] and memory.lines[0].get_ydata().tolist() == [1, 4]
    assert time.lines[1].get_ydata().tolist() == pytest.approx([1, 4])


def test_leaks_and_saturation_and_rates_draw_what_they_are_given():
    leaks = draw.leaks([[0, 0, 2], [1, 0, 2]], ["right", "wrong"], changed=2)
    assert leaks.axes[0].images[0].get_array().tolist() == [[0, 0, 2], [1, 0, 2]]
    saturated = draw.saturation((1, 16), [0.2, 0.9], [0.3, 0.1], [0.3, 0.007])
    assert saturated.axes[1].lines[1].get_ydata().tolist() == [0.3, 0.007]
    rates = draw.learning_by_rate((0.1, 1), {"÷ 1": {16: [[0.2, 0.8], [0.4, 1.0]]}, "÷ d": {16: [[0.1, 0.2]]}})
    assert rates.axes[0].lines[0].get_ydata().tolist() == pytest.approx([0.3, 0.9])
