from course_lib.plots.pretraining import by_setting


def test_each_setting_has_its_seeds_and_their_mean():
    figure = by_setting({"right": {"a": [0.1, 0.3], "b": [0.8, 1.0]}, "wrong": {"a": [0.5], "b": [0.5]}})
    first, second = figure.axes
    assert [text.get_text() for text in first.texts] == ["0.20", "0.90"]
    assert [text.get_text() for text in second.texts] == ["0.50", "0.50"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["a", "b"]
    assert list(first.lines[0].get_xdata()) == [0.1, 0.3]
    assert first.get_ylim() == (1.5, -0.5)
