"""Changed copies of labelled texts: what changes, and what does not."""

import random
from collections import Counter

import pytest

from course_lib.text import load_task
from course_lib.text.augmentation import augmented, drop_words, replace_words, swap_words, unanswerable, world_classes

TEXTS = [row["text"] for row in load_task("sentiment")["train"]][:200]


def test_dropping_words():
    rng = random.Random(0)
    kept = total = 0
    for text in TEXTS:
        words, left = text.split(), iter(text.split())
        dropped = drop_words(text, rng, 0.2).split()
        assert all(word in left for word in dropped)  # in their order
        kept, total = kept + len(dropped), total + len(words)
    assert 0.78 < kept / total < 0.82
    assert drop_words("alone", rng, 1.0) == "alone" and drop_words("", rng) == ""


def test_swapping_words():
    rng = random.Random(0)
    for text in TEXTS:
        swapped = swap_words(text, rng)
        assert Counter(swapped.split()) == Counter(text.split())
        assert sum(a != b for a, b in zip(swapped.split(), text.split(), strict=True)) in (0, 2)
    assert swap_words("alone", rng) == "alone"


def test_replacing_words_by_others_of_their_class():
    rng = random.Random(0)
    class_of = {word: number for number, words in enumerate(world_classes()) for word in words}
    changed = 0
    for text in TEXTS:
        other = replace_words(text, rng, share=1.0)
        becomes = {}
        for old, new in zip(text.split(), other.split(), strict=True):
            old, new = old.strip('.,?!";'), new.strip('.,?!";')
            old, new = old.removesuffix("'s"), new.removesuffix("'s")
            assert class_of.get(old) == class_of.get(new)
            assert becomes.setdefault(old, new) == new  # the same word for the same one throughout
            changed += old != new
        assert len(set(becomes.values())) == len(becomes)  # two words never become one
    assert changed > 500
    assert replace_words("Tom ran", rng, share=0.0) == "Tom ran"
    assert replace_words("a b", rng, classes=[("a", "x")], share=1.0) == "x b"


def test_copies_keep_their_label():
    rows = [{"text": TEXTS[0], "label": "good"}, {"text": TEXTS[1], "label": "bad"}]
    found = list(augmented(rows, 3))
    assert [row["label"] for row in found] == ["good"] * 4 + ["bad"] * 4
    assert (found[0], found[4]) == tuple(rows)
    assert len({row["text"] for row in found}) >= 7
    assert found == list(augmented(rows, 3)) != list(augmented(rows, 3, seed=1))
    swapped = list(augmented(rows, 2, changes=(swap_words,)))
    assert all(Counter(row["text"].split()) == Counter(rows[n // 3]["text"].split()) for n, row in enumerate(swapped))


def test_questions_that_a_story_does_not_answer():
    rows = load_task("questions")["train"].select(range(100))
    found = list(unanswerable(rows, 30))
    assert len(found) == 30 and found == list(unanswerable(rows, 30)) != list(unanswerable(rows, 30, seed=1))
    names = {word for group in world_classes() for word in group}
    for row in found:
        assert row["answer"] == "" and row["context"] in list(rows["context"])
        asked = {word.strip("?,.'") for word in row["question"].split()} & names
        assert asked and not any(name in row["context"].replace(".", " ").split() for name in asked)
    with pytest.raises(ValueError, match="Every one of the 1 stories may answer"):
        list(unanswerable(rows.select(range(1)), 1))
    with pytest.raises(ValueError, match="None of the 1 questions names"):
        list(unanswerable([{"question": "Who won?", "context": "Tom won."}], 1))
