"""Labelled tasks about tiny_world, as Hugging Face datasets."""

import difflib
from typing import TYPE_CHECKING

from course_lib.text.bundled import bundled_file, read_jsonl
from course_lib.text.tiny_world.tasks import TASK_SIZES

if TYPE_CHECKING:
    from datasets import DatasetDict


def load_task(name: str) -> "DatasetDict":
    """A labelled task with the splits "train", "validation" and "test". Offline.

    * "sentiment": `text`, `label` ("negative", "neutral", "positive"): the last feeling that the text tells of.
    * "entities": `words`, `tags` (one a word: O, B-person, I-object, …).
    * "questions": `context`, `question`, `answer`, `answer_start`: the answer is a stretch of the context.
    * "summaries": `story`, `summary` (two sentences).
    * "translation": `en`, `zh`; a fourth split, "combinations", holds adjectives with nouns that never meet in
      the other splits.

    Items of each split come from the stories of the same split of `load_corpus("tiny_world")`.
    Raises ValueError for an unknown name, with the nearest one, and for a damaged file.
    """
    if name not in TASK_SIZES:
        nearest = difflib.get_close_matches(name.lower(), TASK_SIZES, n=1, cutoff=0.4)
        guess = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(f"There is no task {name!r}.{guess} The tasks are {', '.join(map(repr, TASK_SIZES))}.")
    from datasets import Dataset, DatasetDict

    return DatasetDict(
        {
            split: Dataset.from_list(read_jsonl(bundled_file(f"tiny_world/{name}/{split}.jsonl")))
            for split in TASK_SIZES[name]
        }
    )
