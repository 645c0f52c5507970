"""The stored runs of lesson 00 are what the lesson says they are."""

import re

import nbformat
import pytest

from course_lib.experiments import first_gpt
from course_lib.lesson_files import NOTEBOOKS
from course_lib.models.gpt import GPTConfig
from course_lib.text import load_corpus
from course_lib.training import TrainConfig


def test_three_runs_that_end_close_above_the_floor():
    runs = first_gpt.stored_runs()
    assert len(runs["losses"]) == len(first_gpt.SEEDS)
    assert runs["steps"][-1] == first_gpt.SETTINGS.steps
    for losses in runs["losses"]:
        assert len(losses) == len(runs["steps"])
        assert runs["floor"] < losses[-1] < losses[0]


@pytest.mark.slow
def test_the_stored_floor_is_the_corpus_own():
    floor = load_corpus("tiny_world").floor.per_character("validation", context_length=first_gpt.CONTEXT)
    assert abs(first_gpt.stored_runs()["floor"] - floor) < 1e-4


def test_the_lesson_trains_by_the_recipe_of_the_stored_runs():
    notebook = nbformat.read(NOTEBOOKS / "00_start_here.ipynb", as_version=4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")

    def value(name: str, kind: str, **known):
        return eval(re.search(rf"^{name} = ({kind}\(.*?^\))", code, re.MULTILINE | re.DOTALL)[1], known)

    assert value("settings", "TrainConfig", TrainConfig=TrainConfig) == first_gpt.SETTINGS

    class Tokenizer:
        vocab_size = 54

    known = {"GPTConfig": GPTConfig, "tokenizer": Tokenizer, "CONTEXT": first_gpt.CONTEXT, "size": first_gpt.SIZE}
    here = value("config", "GPTConfig", **known)
    assert here == GPTConfig(54, first_gpt.CONTEXT, **first_gpt.SIZE, **first_gpt.KIND)
    assert f"CONTEXT = {first_gpt.CONTEXT}\n" in code
    assert f'encoded["validation"][:{first_gpt.VALIDATION_STORIES}]' in code
