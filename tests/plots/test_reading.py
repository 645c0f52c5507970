import numpy as np

from course_lib.plots import reading as draw


def test_each_token_has_its_bar_in_each_panel():
    figure = draw.by_token(["a", "b"], {"weight": [0.25, 0.75], "effect": [2.0, 0.0]})
    assert [[text.get_text() for text in panel.texts] for panel in figure.axes] == [["0.25", "0.75"], ["2.00", "0.00"]]
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == ["a", "b"]


def test_head_tables_stand_on_one_scale():
    tables = {name: np.full((2, 3), value) for name, value in {"a": 0.1, "b": 0.9, "c": 0.5, "d": 0.2}.items()}
    figure = draw.head_tables(tables, columns=3)
    shown = [panel for panel in figure.axes if panel.images]
    assert [panel.get_title() for panel in shown] == ["a", "b", "c", "d"]
    assert {panel.images[0].get_clim() for panel in shown} == {(0.0, 1.0)}
    assert [text.get_text() for text in shown[1].texts] == ["0.90"] * 6


def test_the_lens_says_a_token_in_each_cell_and_the_first_row_is_below():
    figure = draw.lens([["x", "y"], ["z", "w"]], [[0.1, 0.2], [0.9, 0.3]], ["p", "q"], ["block 0", "block 1"])
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["x", "y", "z", "w"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["block 0", "block 1"]
    low, high = axes.get_ylim()
    assert low < high


def test_rankings_are_sorted_with_the_best_on_top():
    rows = {
        "poor": {"precision": 0.5, "interval": [0.4, 0.6], "answer": 1.0, "match": 0.0},
        "good": {"precision": 0.9, "interval": [0.8, 1.0], "answer": 0.9, "match": 0.9},
    }
    axes = draw.rankings(rows, chance=0.2).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["poor", "good"]
    assert [line.get_xdata().tolist() for line in axes.lines[:2]] == [[0.4, 0.6], [0.5]]
    assert {"100%", "0%", "90%"} <= {text.get_text() for text in axes.texts}


def test_forming_enlarges_the_window():
    whole, enlarged = draw.forming([0, 100, 200], {"right": [0.0, 0.5, 1.0]}, (50, 150)).axes
    assert enlarged.get_xlim() == (50, 150)
    assert whole.lines[0].get_ydata().tolist() == enlarged.lines[0].get_ydata().tolist() == [0.0, 0.5, 1.0]
