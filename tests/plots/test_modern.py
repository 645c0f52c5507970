"""Lesson 12's pictures show the numbers that they are given."""

from types import SimpleNamespace

import numpy as np
import pytest

from course_lib.plots import modern as draw

EFFECTS = {"a": SimpleNamespace(mean=-0.1, half=0.02), "b": SimpleNamespace(mean=0.01, half=0.05)}


def test_rates_ring_the_best():
    axes = draw.rates({"base": {0.003: 3.0, 0.006: 1.2, 0.012: 2.0}, "Muon": {0.012: 2.5}}).axes[0]
    rings = [line for line in axes.lines if line.get_fillstyle() == "none"]
    assert [(ring.get_xdata()[0], ring.get_ydata()[0]) for ring in rings] == [(0.006, 1.2), (0.012, 2.5)]


def test_pairs_join_the_runs_of_a_seed():
    figure = draw.pairs([1.0, 2.0], {"x": [0.5, 1.5], "y": [3.0, 4.0]})
    assert [list(line.get_ydata()) for line in figure.axes[1].lines] == [[1.0, 3.0], [2.0, 4.0]]


def test_effects_are_filled_where_zero_is_left_out():
    noise, wide = SimpleNamespace(mean=0.0, half=0.03), {name: SimpleNamespace(mean=0.0, half=0.2) for name in EFFECTS}
    axes = draw.effects(EFFECTS, noise=noise, unpaired=wide).axes[0]
    dots = {line.get_ydata()[0]: line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "o"}
    assert dots[1] == "white" and dots[0] != "white"
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]
    assert axes.yaxis_inverted()


def test_readings_have_three_maps():
    grid = np.linspace(-3, 3, 9)
    assert [axes.get_title() for axes in draw.readings(grid, grid).axes[:3]] == ["GELU", "ReLU²", "SwiGLU"]


def test_scores_and_bound():
    axes = draw.score_growth({"base": [[1.0, 10.0]], "QK-norm": [[1.0, 2.0]]}, 10, bound=4.0).axes[0]
    assert list(axes.lines[0].get_xdata()) == [10, 20] and axes.get_yscale() == "log"
    assert axes.lines[2].get_ydata()[0] == 4.0


def test_singular_values_and_cache():
    assert len(draw.singular_values({"x": [3.0, 1.0], "y": [1.0, 1.0]}).axes[0].lines) == 2
    axes = draw.cache_against_loss([256, 64], {"4 KV": [0.5, 0.6], "1 KV": [0.7, 0.8]}).axes[0]
    assert list(axes.lines[0].get_ydata()) == [pytest.approx(0.55), pytest.approx(0.75)]


def test_worth_draws_recipes_at_their_budgets():
    runs = {"base": [[2.0, 2.2], [1.0, 1.2]], "rotary": [[1.5, 1.5], [0.5, 0.5]]}
    axes = draw.worth((1.0, 2.0), runs).axes[0]
    assert list(axes.lines[0].get_ydata()) == [pytest.approx(2.1), pytest.approx(1.1)]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["base", "rotary"]


def test_the_board_fills_ones_own():
    entries = [
        SimpleNamespace(name=n, distance=d, error=0.01, budget=b) for n, d, b in (("x", 0.1, 12), ("y", 0.2, 180))
    ]
    axes = draw.board(entries, own=entries[1:]).axes[0]
    dots = {line.get_ydata()[0]: line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "o"}
    assert dots[0] == "white" and dots[1] != "white"
