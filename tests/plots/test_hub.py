from course_lib.plots import hub


def test_the_bar_of_a_model_is_whole():
    figure = hub.parts({"a": {"tables": 30, "attention": 70}, "b": {"tables": 1, "attention": 99}})
    axes = figure.axes[0]
    assert [round(bar.get_width(), 2) for bar in axes.patches] == [0.3, 0.7, 0.01, 0.99]
    assert [bar.get_x() for bar in axes.patches[:2]] == [0.0, 0.3]
    assert [text.get_text() for text in axes.texts] == ["30%", "70%", "99%"]  # 1 % has no room
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a\n100 numbers", "b\n100 numbers"]


def test_offsets_are_named_and_numbered():
    axes = hub.agreement({"BERT": {0: 0.9, 1: 0.1}, "GPT": {0: 0.05, 1: 0.6}}).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["the token itself", "the next token"]
    assert [text.get_text() for text in axes.texts] == ["0.90", "0.10", "0.05", "0.60"]


def test_texts_that_never_ended_are_counted_apart():
    upper, lower = hub.lengths({"ends": [3, 3, 5, 8], "never": [8, 8, 8, 8]}, most=8).axes
    assert upper.get_title(loc="left") == "ends: 3 of 4 end by themselves"
    assert lower.get_title(loc="left") == "never: 0 of 4 end by themselves"
    assert [bar.get_height() for bar in upper.patches if bar.get_height()] == [2, 1, 1]
    assert [bar.get_height() for bar in lower.patches if bar.get_height()] == [4]


def test_distances_stand_in_their_groups():
    axes = hub.distances([[0.0, 0.2, 0.9, 1.0]], ["left"], {"A": ["x", "y"], "B": ["x", "y"]}).axes[0]
    texts = {text.get_text(): text.get_position()[0] for text in axes.texts}
    assert texts == {"0.00": 0, "0.20": 1, "0.90": 2, "1.00": 3, "A": 0.5, "B": 2.5}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["x", "y", "x", "y"]
    assert axes.lines[0].get_xdata()[0] == 1.5
