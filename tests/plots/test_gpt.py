import numpy as np
import pytest

from course_lib.plots import gpt


def test_starts_are_dots_and_the_formula_a_line():
    axes = gpt.start_losses((64, 128), [[6.2, 6.3], [6.4, 6.5]], [6.25, 6.45], uniform=6.2).axes[0]
    assert [list(line.get_ydata()) for line in axes.lines[:3]] == [[6.2, 6.3], [6.4, 6.5], [6.25, 6.45]]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert len(labels) == len(set(labels)) == 3


def test_logits_of_both_kinds_share_their_bins():
    axes = gpt.logits_at_the_start({"one": ([5.0, 6.0], np.linspace(-1, 1, 30)), "two": ([0.0], [1.0, 2.0])}).axes
    assert [panel.get_title() for panel in axes] == ["one", "two"]
    others, own = axes[0].containers
    assert [bar.get_x() for bar in others] == [bar.get_x() for bar in own]


def test_who_moves_marks_what_is_not_zero():
    image = gpt.who_moves({"model": [[0.0, 1e-3], [2.0, 0.0]]}, ["a", "b"]).axes[0].images[0]
    assert image.get_array().tolist() == [[0, 1], [1, 0]]


def test_shares_add_up_to_a_hundred_per_cent():
    axes = gpt.shares({"small": {"tokens": 3, "blocks": 1}, "large": {"tokens": 2, "blocks": 8}}).axes[0]
    widths = [[bar.get_width() for bar in container] for container in axes.containers]
    np.testing.assert_allclose(np.sum(widths, axis=0), [100, 100])
    assert widths[0] == [75.0, 20.0]


def test_an_alarm_that_rings_says_so():
    axes = gpt.alarms({"no bug": {"a": False, "b": False}, "bug": {"a": True, "b": False}}).axes[0]
    assert [text.get_text() for text in axes.texts] == ["silent", "silent", "rings", "silent"]


def test_a_difference_above_the_tolerance_has_another_colour():
    axes = gpt.slips({"right": 3e-6, "wrong": 0.02, "none at all": 0.0}).axes[0]
    colors = [bar.get_facecolor() for bar in axes.containers[0]]
    assert colors[0] == colors[2] != colors[1]
    assert [text.get_text() for text in axes.texts[:3]] == ["3e−6", "2e−2", "0"]


def test_learning_has_a_line_for_each_run_and_reference():
    axes = gpt.learning({"a": [6.0, 3.0], "b": [40.0, 5.0]}, {"frequencies": 5.0}).axes[0]
    assert axes.get_yscale() == "log" and len(axes.lines) == 3


def test_design_shades_the_range_of_the_first():
    axes = gpt.design({"as it is": [2.0, 2.2], "changed": [2.5, 2.6]}).axes[0]
    assert axes.patches[0].get_x() == pytest.approx(2.0)
    assert axes.patches[0].get_width() == pytest.approx(0.2)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["as it is", "changed"]
