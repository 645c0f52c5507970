"""One model for several tasks: what it reads, that it learns, and how each task is judged."""

import pytest

from course_lib.experiments import one_model_many_tasks as many
from course_lib.text.text_to_text import text_to_text


def test_nothing_is_left_out():
    splits = text_to_text()
    tokenizer = many.WordPieceTokenizer.train([row.source for row in splits["train"]], many.VOCABULARY)
    for exchanges in splits.values():
        assert len(many.as_pairs(exchanges[-200:], tokenizer).sources) == 200


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
