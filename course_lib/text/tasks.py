"""Labelled tasks about tiny_world, as Hugging Face datasets."""

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.text.bundled import bundled_file, read_jsonl
from course_lib.text.sources import why_not_loaded
from course_lib.text.tiny_world.tasks import TASK_SIZES

if TYPE_CHECKING:
    from datasets import DatasetDict


def load_task(name: str | Path, *, config: str | None = None) -> "DatasetDict":
    """A labelled task with its splits: tiny_world's by name, or any dataset of `datasets`.

    tiny_world's have the splits "train", "validation" and "test", and need no network:

    * "sentiment": `text`, `label` ("negative", "neutral", "positive"): the last feeling that the text tells of.
    * "entities": `words`, `tags` (one a word: O, B-person, I-object, …).
    * "questions": `context`, `question`, `answer`, `answer_start`: the answer is a stretch of the context.
    * "summaries": `story`, `summary` (two sentences).
    * "translation": `en`, `zh`; a fourth split, "combinations", holds adjectives with nouns that never meet in
      the other splits.

    Items of each split come from the stories of the same split of `load_corpus("tiny_world")`.

    A folder (laid out as on the hub, or written by `save_to_disk`) or an id of the hub ("nyu-mll/glue" with the
    `config` "sst2") is loaded as it is, with its own splits and columns. Code that comes with a dataset is never run.

    Raises ValueError for an unknown name, with the nearest one, for a damaged file, and for a dataset that cannot be
    loaded; FileNotFoundError for a folder that is not there.
    """
    if name not in TASK_SIZES:
        return _other_task(name, config)
    from datasets import Dataset, DatasetDict

    return DatasetDict(
        {
            split: Dataset.from_list(read_jsonl(bundled_file(f"tiny_world/{name}/{split}.jsonl")))
            for split in TASK_SIZES[name]
        }
    )


def _other_task(name: str | Path, config: str | None) -> "DatasetDict":
    """A task that is not tiny_world's: in a folder, or on the hub."""
    import datasets

    path = Path(name).expanduser()
    if path.is_dir():
        if (path / "dataset_dict.json").is_file():
            return datasets.load_from_disk(str(path))
    elif isinstance(name, Path) or str(name).startswith((".", "/", "~")):
        raise FileNotFoundError(f"There is no folder {str(name)!r}.")
    elif str(name).count("/") != 1:
        nearest = difflib.get_close_matches(str(name).lower(), TASK_SIZES, n=1, cutoff=0.4)
        guess = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(
            f"There is no task {name!r}.{guess} The tasks are {', '.join(map(repr, TASK_SIZES))}; a folder or a "
            'Hugging Face dataset id ("owner/dataset") works too.'
        )
    try:
        return datasets.load_dataset(str(path) if path.is_dir() else str(name), config)
    except Exception as error:  # the hub's client raises many kinds; each means that there is no data
        raise ValueError(why_not_loaded(str(name), error, f"the tasks {', '.join(TASK_SIZES)}")) from error
