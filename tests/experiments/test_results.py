import json

import pytest

from course_lib.experiments.results import load_results, save_results


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of its own for the results."""
    monkeypatch.setattr("course_lib.experiments.results.FOLDER", tmp_path)
    return tmp_path


def test_what_is_saved_is_loaded_and_nothing_else_is_left(folder):
    save_results("some", {"a": [1, 2.5]})
    save_results("some", {"a": 1})
    assert load_results("some") == {"a": 1} == json.loads((folder / "some_results.json").read_text())
    assert [path.name for path in folder.iterdir()] == ["some_results.json"]


def test_missing_results_say_how_to_make_them(folder):
    with pytest.raises(FileNotFoundError, match=r"python -m course_lib\.experiments\.recall"):
        load_results("recall")
