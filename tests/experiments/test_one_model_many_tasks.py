"""One model for several tasks: what it reads, that it learns, and how each task is judged."""

import pytest

from course_lib.experiments import one_model_many_tasks as many
from course_lib.text.text_to_text import text_to_text


def test_nothing_is_left_out():
    splits = text_to_text()
    tokenizer = many.WordPieceTokenizer.train([row.source for row in splits["train"]], many.VOCABULARY)
    for exchanges in splits.values():
        assert len(many.as_pairs(exchanges[-200:], tokenizer).sources) == 200


@pytest.mark.slow
def test_learns_all_tasks_at_once(monkeypatch):
    monkeypatch.setattr(many, "LONGEST_ANSWER", 8)
    few = {split: rows[::40] for split, rows in text_to_text().items()}
    with monkeypatch.context() as patch:
        patch.setattr(many, "text_to_text", lambda *tasks: few)
        learned = many.train(steps=10, d_model=32)
    assert learned.history[-1].train_loss < learned.history[0].train_loss - 0.3
    found = many.scores(learned, n_examples=2)
    assert set(found) == {"translation", "summaries", "questions"}
    assert set(found["summaries"]) == {"rouge1", "rouge2", "rougeL", "rougeLsum", "exact"}


def test_how_each_task_is_judged():
    assert many.judge("questions", ["park", "zoe"], ["park", "tom"]) == {"exact": 0.5}
    assert many.judge("translation", ["她有两个鸡蛋。"], ["她有两个鸡蛋。"]) == {"bleu": pytest.approx(100), "exact": 1}
    summary = many.judge("summaries", ["tom had two eggs."], ["tom had six eggs."])
    assert summary["rouge1"] == 0.75
    assert summary["exact"] == 0


def test_what_the_scores_are_compared_with():
    found = many.baselines("validation")
    assert set(found) == {"first two sentences", "another story's summary", "commonest answer"}
    assert found["first two sentences"]["rouge1"] > found["another story's summary"]["rouge1"]
    assert 0 < found["commonest answer"]["exact"] < 0.5
    assert many.first_sentences("one. two! three.", 2) == "one. two!"


@pytest.mark.slow
def test_a_run_is_stored_with_its_scores_and_some_answers(monkeypatch):
    monkeypatch.setattr(many, "LONGEST_ANSWER", 4)
    monkeypatch.setattr(many, "EXAMPLES", 1)
    few = {task: {split: rows[:40] for split, rows in text_to_text(task).items()} for task in many.TASKS}
    splits = ("train", "validation", "test")
    every = {split: [row for task in few for row in few[task][split]] for split in splits}
    monkeypatch.setattr(many, "text_to_text", lambda *tasks: few[tasks[0]] if tasks else every)
    found = many.one_run(0, steps=1, n_examples=2)
    assert set(found["scores"]) == set(found["answers"]) == set(many.TASKS)
    stored = many.stored_runs()
    assert stored["steps"] == many.STEPS and set(stored["baselines"]) == set(many.baselines())
    assert len(stored["runs"]) == len(many.SEEDS)
    for run in stored["runs"]:
        assert set(run) == set(found)
        assert run["scores"]["translation"]["bleu"] > 50
