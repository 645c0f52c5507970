"""Tasks as text in, text out: nothing is lost, and the first words tell the tasks apart."""

import pytest

from course_lib.text import load_task
from course_lib.text.text_to_text import (
    Exchange,
    answer_request,
    summarize_request,
    text_to_text,
    translate_request,
)


def test_each_task_in_words():
    exchanges = text_to_text()
    first = {exchange.task: exchange for exchange in reversed(exchanges["train"])}
    row = load_task("translation")["train"][0]
    assert first["translation"] == Exchange("translation", f"translate English to Chinese: {row['en']}", row["zh"])
    row = load_task("summaries")["train"][0]
    assert first["summaries"] == Exchange("summaries", f"summarize: {row['story']}", row["summary"])
    row = load_task("questions")["train"][0]
    source = f"question: {row['question']} context: {row['context']}"
    assert first["questions"] == Exchange("questions", source, row["answer"])


def test_requests_are_what_training_reads():
    assert translate_request("a") == "translate English to Chinese: a"
    assert summarize_request("a") == "summarize: a"
    assert answer_request("who?", "a") == "question: who? context: a"


def test_every_example_of_every_split():
    sizes = {split: len(rows) for split, rows in text_to_text("summaries", "translation").items()}
    assert sizes == {"train": 4_800, "validation": 450, "test": 450, "combinations": 300}
    assert {exchange.task for exchange in text_to_text("questions")["test"]} == {"questions"}


def test_a_task_that_is_no_text():
    with pytest.raises(ValueError, match="no task 'entities' of text in, text out: the tasks are translation, summ"):
        text_to_text("entities")
