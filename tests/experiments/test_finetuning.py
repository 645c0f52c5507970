"""Lesson 14's measurements: the data, the ways to start, what is stored, and the suspect."""

import os

import pytest
import torch

from course_lib.experiments import finetuning
from course_lib.experiments.finetuning import WAYS, Way, mean_of_seeds, score

SMALL = "story_bert_small"


@pytest.mark.slow
def test_few_rows_are_other_ones_for_each_seed_and_labels_are_even():
    task = finetuning.task_on("sentiment", SMALL)
    one, other = task.few(30, 0), task.few(30, 1)
    assert [sum(row["label"] == label for row in one) for label in task.labels] == [10, 10, 10]
    assert one == task.few(30, 0) != other and one[:12] == task.few(12, 0)
    assert len(finetuning.task_on("entities", SMALL).few(10, 0)) == 10
    for name, sizes in finetuning.SIZES.items():
        each = finetuning.task_on(name, SMALL)
        assert max(each.encoded(each.splits["train"]).lengths) <= each.encoder.config.context_length
        assert max(sizes) <= len(each.splits["train"])


def test_what_learns_in_each_way():
    task = finetuning.task_on("sentiment", SMALL)

    def learning(way):
        return {name for name, p in task.model(way, 0).named_parameters() if p.requires_grad}

    head = {"bert.pooler.weight", "bert.pooler.bias", "classifier.weight", "classifier.bias"}
    assert learning(WAYS["frozen"]) == head
    assert learning(WAYS["pre-trained"]) == learning(WAYS["from scratch"]) > head
    adapted = learning(WAYS["LoRA"])
    assert adapted >= head and all(name.endswith(("down", "up")) for name in adapted - head)
    table = task.encoder.bert.token_embedding.weight
    assert torch.equal(task.model(WAYS["pre-trained"], 0).bert.token_embedding.weight, table)
    assert not torch.equal(task.model(WAYS["from scratch"], 0).bert.token_embedding.weight, table)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["sentiment", "entities"])
def test_a_run_answers_a_mark_for_each_test_row(task):
    found = finetuning.one_run(finetuning.task_on(task, SMALL), Way(layer_decay=0.5), 6, 0, rate=1e-3, steps=2)
    assert len(found["marks"]) == len(finetuning.task_on(task, SMALL).splits["test"])
    assert 0 <= score(found["marks"]) <= 1 and found["learning"] > 100_000


def test_questions_have_a_mark_each():
    assert set(finetuning.run_questions(0, steps=2, n_rows=6)) <= {0, 1}


def test_scores_from_marks():
    assert score([1, 0, 1, 1]) == 0.75
    assert score([[1, 2, 1], [1, 1, 3]]) == pytest.approx(4 / 7)
    assert score([[0, 0, 0]]) == 0.0
    assert mean_of_seeds([(1, 0), (1, 1)]) == 0.75
    assert finetuning._entity_counts(["B-p", "O", "B-o", "I-o"], ["B-p", "O", "B-o", "O"]) == [1, 2, 2]


def test_what_is_stored_is_whole():
    stored = finetuning.stored_runs()
    assert stored["steps"] == [finetuning.STEPS, finetuning.LONG_STEPS]
    assert set(stored["runs"]) == {f"{task}/{way}/{size}" for task, way, size in finetuning.RUNS}
    assert all(len(runs) == len(finetuning.SEEDS) for runs in stored["runs"].values())
    asked = finetuning.asked_rows("test")
    assert [len(marks) for marks in stored["questions"]] == [len(asked)] * len(finetuning.SEEDS)
    assert sum(not row["answer"] for row in asked) == len(asked) // 5
    for task, way, _ in finetuning.RUNS:
        tried = stored["rates"][f"{task}/{way}"]
        assert len(tried) > 1 and tried[f"{finetuning.best_rate(stored, task, way):g}"] == max(tried.values())


def test_intervals_of_what_is_stored():
    found = finetuning.stored_interval("sentiment", "pre-trained", 60)
    scores = finetuning.stored_scores("sentiment", "pre-trained", 60)
    assert found.score == pytest.approx(sum(scores) / 3) and found.low < found.score < found.high
    difference = finetuning.stored_interval("sentiment", "pre-trained", 60, minus="pre-trained, mean")
    other = finetuning.stored_interval("sentiment", "pre-trained, mean", 60)
    assert difference.score == pytest.approx(found.score - other.score) and difference.high < 0


@pytest.mark.slow
def test_a_stored_run_comes_out_again():
    for size in finetuning.SIZES["entities"] if os.environ.get("COURSE_FULL") else (5,):
        found = finetuning.run_again("entities", "frozen", size)
        assert score(found["marks"]) == pytest.approx(finetuning.stored_scores("entities", "frozen", size)[0], abs=0.05)


def test_the_mean_is_that_of_the_words():
    task = finetuning.task_on("sentiment", SMALL)
    model = task.model(WAYS["pre-trained, mean"], 0).eval()
    ids, _ = task.tokenizer.encode_pair("Zoe was glad.")
    tokens = torch.tensor([[*ids, 0, 0]])
    with torch.no_grad():
        words = model.bert(tokens).hidden[0, 1 : len(ids) - 1]
        assert torch.allclose(model(tokens).logits[0], model.classifier(words.mean(dim=0)), atol=1e-5)


def test_the_suspect_scores_copies_of_what_it_learned(monkeypatch):
    seen = {}

    def no_training(model, rows, **kwargs):
        seen["learned"] = rows

    def answers(model, tokenizer, texts):
        seen["scored"] = texts
        return [("positive", 1.0)] * len(texts)

    monkeypatch.setattr(finetuning, "fine_tune", no_training)
    monkeypatch.setattr(finetuning, "classify", answers)
    task = finetuning.task_on("sentiment", SMALL)
    rows = task.few(12, 0)
    finetuning.colleagues_score(task.encoder, task.tokenizer, rows, copies=5)
    assert len(seen["scored"]) == 14 and len(seen["learned"].rows) == 58
    learned = {tuple(row.ids) for row in seen["learned"].rows}
    words = [set(row) for row in learned]
    near = [max(len(set(ids) & other) / len(set(ids) | other) for other in words)
            for ids in (task.tokenizer.encode_pair(text)[0] for text in seen["scored"])]  # fmt: skip
    assert sum(share > 0.7 for share in near) > 10
