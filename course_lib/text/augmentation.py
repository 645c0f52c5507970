"""More labelled texts from few: small changes that should not change the label.

Each is a guess about what does not matter. Dropping a word may drop the word that decides; measure before you keep it.

Source: Wei and Zou 2019, "EDA: Easy Data Augmentation" (deletion, swap, replacement).
"""

import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from course_lib.text.tiny_world.world import BOYS, COLOURS, GIRLS, PLACES, QUALITIES, THINGS

_WORD = re.compile(r"\w+(?:'\w+)?")


def drop_words(text: str, rng: random.Random, share: float = 0.1) -> str:
    """The text with each word left out with probability `share`; one word always stays."""
    words = text.split()
    kept = [word for word in words if rng.random() >= share]
    return " ".join(kept or [rng.choice(words)] if words else [])


def swap_words(text: str, rng: random.Random, times: int = 1) -> str:
    """The text with two words exchanged, `times` times."""
    words = text.split()
    for _ in range(times if len(words) > 1 else 0):
        here, there = rng.sample(range(len(words)), 2)
        words[here], words[there] = words[there], words[here]
    return " ".join(words)


def replace_words(
    text: str, rng: random.Random, classes: Sequence[Sequence[str]] | None = None, share: float = 0.5
) -> str:
    """The text with words exchanged for others of their class, the same word for the same one throughout.

    A story in which every Tom became a Leo is as happy as it was. Two different words never become one.

    Args:
        classes: lists of words that stand for each other (one word each). Default: tiny_world's girls, boys, things,
            places, colours and qualities.
        share: how many of the words that have a class are exchanged.
    """
    classes = world_classes() if classes is None else classes
    class_of = {word: number for number, words in enumerate(classes) for word in words}
    met = dict.fromkeys(word for word in _WORD.findall(text) if word in class_of)
    changed = [word for word in met if rng.random() < share]
    free = {
        number: [word for word in words if word not in met] for number, words in enumerate(classes)
    }  # words that the text does not have yet
    becomes = {}
    for word in changed:
        if others := free[class_of[word]]:
            becomes[word] = others.pop(rng.randrange(len(others)))
    return _WORD.sub(lambda match: becomes.get(match.group(), match.group()), text)


@cache
def world_classes() -> tuple[tuple[str, ...], ...]:
    """tiny_world's classes of words that stand for each other; names of two words are left out."""
    groups = (GIRLS, BOYS, THINGS, tuple(place.name for place in PLACES), COLOURS, QUALITIES)
    return tuple(tuple(word for word in group if " " not in word) for group in groups)


CHANGES: tuple[Callable[[str, random.Random], str], ...] = (replace_words, drop_words, swap_words)
"""The changes that copies take turns in."""


def augmented(
    rows: Iterable[Mapping[str, Any]],
    copies: int,
    *,
    text: str = "text",
    seed: int = 0,
    changes: Sequence[Callable[[str, random.Random], str]] = CHANGES,
) -> Iterator[dict[str, Any]]:
    """The rows, and after each `copies` changed copies of it with the same label.

    The copies take turns in the `changes`; by default words are replaced, words are dropped, two words are swapped.
    """
    rng = random.Random(f"augmentation {seed}")
    for row in rows:
        yield dict(row)
        for number in range(copies):
            yield {**row, text: changes[number % len(changes)](row[text], rng)}


def unanswerable(rows: Iterable[Mapping[str, Any]], count: int, *, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Questions of tiny_world put to stories that do not answer them, with the answer "".

    Nobody and nothing that the question names is in the story, so that there is really no answer.

    Raises ValueError when no story is left without what a question names.
    """
    rng, rows = random.Random(f"unanswerable {seed}"), list(rows)
    things = {word for group in world_classes() for word in group}
    asked = [(row["question"], named) for row in rows if (named := set(_WORD.findall(row["question"])) & things)]
    stories = [(row["context"], set(_WORD.findall(row["context"]))) for row in rows]
    if not asked:
        raise ValueError(f"None of the {len(rows)} questions names a person, thing or place of tiny_world.")
    for _ in range(count):
        question, named = rng.choice(asked)
        others = [story for story, words in stories if not named & words]
        if not others:
            raise ValueError(f"Every one of the {len(rows)} stories may answer {question!r}: give more rows.")
        yield {"question": question, "context": rng.choice(others), "answer": "", "answer_start": 0}
