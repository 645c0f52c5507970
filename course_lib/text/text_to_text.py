"""Every task as text in, text out: one model can then learn them all, told apart by the first words.

Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer" (T5),
section 2.4, whose prefixes these are.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from course_lib.text.tasks import load_task


class Exchange(NamedTuple):
    """One example: the task that it is of, the text to read and the text to write."""

    task: str
    source: str
    target: str


def translate_request(text: str) -> str:
    """The request to translate an English text into Chinese."""
    return f"translate English to Chinese: {text}"


def summarize_request(text: str) -> str:
    """The request to say a story in two sentences."""
    return f"summarize: {text}"


def answer_request(question: str, context: str) -> str:
    """The request to answer a question about a text."""
    return f"question: {question} context: {context}"


AS_TEXT: dict[str, Callable[[Mapping[str, str]], tuple[str, str]]] = {
    "translation": lambda row: (translate_request(row["en"]), row["zh"]),
    "summaries": lambda row: (summarize_request(row["story"]), row["summary"]),
    "questions": lambda row: (answer_request(row["question"], row["context"]), row["answer"]),
}
"""What each task of `load_task` asks a model to read, and to write."""


def text_to_text(*tasks: str) -> dict[str, list[Exchange]]:
    """Tasks of tiny_world as exchanges of texts: by split, the examples of all the tasks, one task after the other.

    Each task keeps its size, so that a shuffled batch holds of each as much as there is of it (examples-proportional
    mixing, Raffel et al. 2020, section 3.5.2). The splits are "train", "validation" and "test", and "combinations" for
    translation.

    Args:
        tasks: any of "translation", "summaries" and "questions"; all three when none is named.

    Raises ValueError for another task.
    """
    splits: dict[str, list[Exchange]] = {}
    for task in tasks or AS_TEXT:
        if task not in AS_TEXT:
            raise ValueError(f"There is no task {task!r} of text in, text out: the tasks are {', '.join(AS_TEXT)}.")
        for split, rows in load_task(task).items():
            splits.setdefault(split, []).extend(Exchange(task, *AS_TEXT[task](row)) for row in rows)
    return splits
