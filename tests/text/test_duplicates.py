"""Duplicates, splits and contamination: recall against exact Jaccard, and no leak."""

import random
from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.text import load_corpus
from course_lib.text.duplicates import (
    MinHash,
    candidate_chance,
    choose_bands,
    deduplicate,
    exact_duplicate_groups,
    jaccard,
    near_duplicate_groups,
    near_duplicate_pairs,
    shingles,
)
from course_lib.text.splits import contamination, split_documents

WORDS = sorted(set("".join(load_corpus("python_docs").train[:20]).split()))


def edited(words, n_edits, rng):
    words = list(words)
    for place in rng.sample(range(len(words)), n_edits):
        words[place] = rng.choice(WORDS)
    return " ".join(words)


@pytest.fixture(scope="module")
def families():
    """100 documents, and for each three copies with more and more words changed."""
    rng = random.Random(0)
    originals = [rng.choices(WORDS, k=rng.randint(60, 200)) for _ in range(100)]
    return [edited(words, round(share * len(words)), rng) for words in originals for share in (0.0, 0.01, 0.03, 0.08)]


@pytest.mark.slow
def test_recall_against_exact_jaccard(families):
    """All pairs compared exactly: those found by hashing are right, and few at the threshold are missed."""
    threshold = 0.6
    sets = [shingles(document) for document in families]
    exact = {
        (first, second): similarity
        for first, second in combinations(range(len(sets)), 2)
        if (similarity := jaccard(sets[first], sets[second])) >= threshold
    }
    assert len(exact) > 200
    found = near_duplicate_pairs(families, threshold=threshold)
    assert {(first, second): similarity for first, second, similarity in found}.items() <= exact.items()
    close = [pair for pair, similarity in exact.items() if similarity < 0.75]
    missed = exact.keys() - {(first, second) for first, second, _ in found}
    assert len(close) > 50
    assert len(missed) <= 0.05 * len(exact)
    assert not [pair for pair in missed if exact[pair] > 0.85]


@given(st.integers(20, 400), st.floats(0, 1), st.integers(0, 5))
def test_the_estimate_is_within_five_standard_errors(size, share, seed):
    rng = random.Random(seed)
    items = [rng.getrandbits(64) for _ in range(size)]
    cut = round(share * size / 2)
    first, second = frozenset(items[: size - cut]), frozenset(items[cut:])
    minhash = MinHash(256, seed)
    estimate = np.mean(minhash.signature(first) == minhash.signature(second))
    assert abs(estimate - jaccard(first, second)) < 5 / (2 * 256**0.5)


def test_bands_are_chosen_for_the_threshold():
    for threshold in (0.3, 0.5, 0.7, 0.9):
        bands, rows = choose_bands(threshold, 128)
        assert bands * rows <= 128
        assert candidate_chance(threshold, bands, rows) >= 0.95
        assert candidate_chance(threshold / 3, bands, rows) < 0.5
        assert candidate_chance(threshold, 128 // (rows + 1), rows + 1) < 0.95
    assert choose_bands(1.0, 128) == (1, 128)
    with pytest.raises(ValueError, match="between 0 and 1"):
        choose_bands(0.0, 128)


@pytest.mark.slow
def test_groups_and_deduplication(families):
    groups = near_duplicate_groups(families, threshold=0.5)
    kept = deduplicate(families, threshold=0.5)
    assert kept == [document for number, document in enumerate(families) if groups[number] == number]
    assert near_duplicate_pairs(kept, threshold=0.5) == []
    assert 100 <= len(kept) < 200
    assert {groups[number] % 4 for number in range(len(families))} <= {0, 1, 2, 3}
    assert all(groups[groups[number]] == groups[number] <= number for number in range(len(families)))
    assert groups[:3] == [0, 0, 0]


def test_exact_duplicates():
    documents = ["One cat.", "two dogs", "one  CAT", "one cats", "", "..."]
    assert exact_duplicate_groups(documents) == [0, 1, 0, 3, 4, 4]
    assert deduplicate(documents, threshold=None) == ["One cat.", "two dogs", "one cats", ""]


def test_a_text_that_stands_everywhere_takes_moderate_work():
    """A licence in 400 files: each is paired with the first, and they are one group."""
    licence = ["the same licence text " * 20] * 400
    pairs = near_duplicate_pairs(licence)
    assert len(pairs) == 399
    assert set(near_duplicate_groups(licence)) == {0}


def test_shingles_of_chinese_and_of_short_texts():
    assert len(shingles("我爱学习编程", 5)) == 2
    assert len(shingles("我爱学习编程", 1)) == 6
    assert shingles("a b") == shingles("A, b!") != shingles("b a")
    assert shingles("") == shingles("!?") and len(shingles("")) == 1
    with pytest.raises(ValueError, match="no smallest element"):
        MinHash().signature(frozenset())
    assert jaccard(frozenset(), frozenset()) == 1.0


@pytest.mark.slow
def test_the_standard_library_repeats_itself():
    """The tables of encodings are near copies: a split by file alone leaks them."""
    corpus = load_corpus("python_source")
    documents = [text for text in corpus.train + corpus.test if "Python Character Mapping Codec" in text[:200]]
    assert len(documents) > 30
    assert len(set(near_duplicate_groups(documents, threshold=0.5))) < 0.8 * len(documents)


@pytest.mark.slow
def test_splits_keep_groups_together(families):
    groups = near_duplicate_groups(families, threshold=0.3)
    splits = split_documents(families, groups=groups)
    assert sorted(chain(*splits)) == sorted(families)
    label = dict(zip(families, groups, strict=True))
    labels = [{label[document] for document in split} for split in splits]
    assert not labels[0] & labels[1] | labels[0] & labels[2] | labels[1] & labels[2]
    assert all(17 <= len(split) <= 20 for split in splits[1:])
    train, validation, test = splits
    alone = split_documents(families, seed=1)
    assert contamination(train, validation + test) == []
    assert contamination(alone[0], alone[1] + alone[2])[0].share > 0.5


def test_splits_depend_on_the_seed_and_the_documents_only():
    documents = [f"document {number}" for number in range(100)]
    first = split_documents(documents)
    assert first == split_documents(documents) != split_documents(documents, seed=1)
    assert [len(split) for split in first] == [90, 5, 5]
    assert {*first[1]} == {*split_documents(documents[::-1])[1]}
    assert [len(split) for split in split_documents(documents, shares=(0.5, 0.5))] == [50, 50]


def test_splits_that_cannot_be():
    with pytest.raises(ValueError, match="3 documents in 3 groups are too few"):
        split_documents(["a", "b", "c"])
    with pytest.raises(ValueError, match=r"add to 1, and .* add to 1.1"):
        split_documents(["a"], shares=(0.9, 0.2))
    with pytest.raises(ValueError, match="3 documents and 2 group labels"):
        split_documents(["a", "b", "c"], groups=[0, 1])


def test_contamination_names_the_worst_first():
    train = ["one two three four five six seven eight nine ten", "something else " * 10]
    held_out = [
        "a b c d e f g h i j k",
        "one two three four five six seven eight and then other words follow here",
        "zero one two three four five six seven eight nine ten",
    ]
    found = contamination(iter(train), held_out)
    assert [overlap.number for overlap in found] == [2, 1]
    assert found[0].share == 3 / 4 and found[1].share == pytest.approx(1 / 7)
    assert [overlap.number for overlap in contamination(train, held_out, at_least=0.5)] == [2]
    assert contamination(train, held_out, phrase_length=20) == []
