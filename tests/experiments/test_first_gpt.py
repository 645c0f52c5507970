"""The stored runs of lesson 00 are what the lesson says they are."""

from course_lib.experiments import first_gpt
from course_lib.text import load_corpus


def test_three_runs_that_end_close_above_the_floor():
    runs = first_gpt.stored_runs()
    assert len(runs["losses"]) == len(first_gpt.SEEDS)
    assert runs["steps"][-1] == first_gpt.SETTINGS.steps
    for losses in runs["losses"]:
        assert len(losses) == len(runs["steps"])
        assert runs["floor"] < losses[-1] < losses[0]


def test_the_stored_floor_is_the_corpus_own():
    floor = load_corpus("tiny_world").floor.per_character("validation", context_length=first_gpt.CONTEXT)
    assert abs(first_gpt.stored_runs()["floor"] - floor) < 1e-4
