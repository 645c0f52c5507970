import numpy as np
import torch

from course_lib.plots import sampling as draw


def test_surprise_has_a_panel_for_each_text_with_its_mean():
    figure = draw.surprise({"one": [0.5, 1.5], "two": [2.0, 2.0, 2.0]})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["one", "two"]
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["mean 1.00", "mean 2.00"]


def test_tempered_bars_are_the_probabilities():
    figure = draw.tempered({0.5: torch.tensor([0.9, 0.1]), 2.0: torch.tensor([0.6, 0.4])}, ["a", "b"])
    assert [bar.get_height() for bar in figure.axes[0].patches] == np.float32([0.9, 0.1, 0.6, 0.4]).tolist()


def test_cuts_say_how_many_tokens_each_rule_keeps():
    kept = {"top-k": {"flat": 5, "sharp": 5}, "top-p": {"flat": 20, "sharp": 1}, "min-p": {"flat": 40, "sharp": 1}}
    figure = draw.cuts({"flat": torch.full((40,), 1 / 40), "sharp": torch.eye(40)[3]}, kept)
    assert [text.get_text() for text in figure.axes[0].texts] == ["top-k keeps 5", "top-p keeps 20", "min-p keeps 40"]
    assert figure.axes[1].patches[0].get_height() == 1


def test_sound_and_varied_has_a_row_for_each_setting():
    results = {"T = 1": [(0.7, 0.2), (0.8, 0.4)], "real stories": [(0.75, 1.0), (0.77, 1.0)]}
    left, right = draw.sound_and_varied(results).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["T = 1", "real stories"]
    means = [line.get_xdata()[0] for line in left.lines if line.get_marker() == "D"]
    assert np.allclose(means, [0.3, 1.0])
    assert np.allclose(right.lines[-1].get_xdata(), 0.76)


def test_the_other_pictures():
    assert any("BA: 0.36" in text.get_text() for text in draw.beam_tree().axes[0].texts)
    assert len(draw.cache_rows(5).axes) == 2
    assert len(draw.work([1, 2], [1e9, 4e9], [1e9, 2e9]).axes[0].lines) == 2
    apart = draw.apart([0.0, 1e-6], [0.0, 1.0], ("good", "bad")).axes[0]
    assert [text.get_text() for text in apart.get_legend().get_texts()] == ["good", "bad"]
