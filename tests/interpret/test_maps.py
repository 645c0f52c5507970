"""Words, hidden tokens and ranks, against loops and values known by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.interpret.maps import (
    max_over_heads,
    mean_over_heads,
    merge_flags,
    merge_texts,
    merge_words,
    ranks,
    without_tokens,
)

from .maps import random_weights

numbers = st.lists(st.booleans(), min_size=1, max_size=8).map(lambda steps: np.cumsum([0, *steps]).tolist())


@given(numbers, numbers, st.integers(0, 1000))
def test_words_are_sums_over_keys_and_means_over_queries(query_words, key_words, seed):
    weights = random_weights(2, len(query_words), len(key_words), seed=seed)
    merged = merge_words(weights, query_words, key_words)
    assert merged.shape == (2, query_words[-1] + 1, key_words[-1] + 1)
    for head, query, key in np.ndindex(*merged.shape):
        rows = [i for i, word in enumerate(query_words) if word == query]
        columns = [i for i, word in enumerate(key_words) if word == key]
        expected = np.mean([sum(float(weights[head, i, j]) for j in columns) for i in rows])
        assert merged[head, query, key] == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(merged.sum(axis=-1), 1, atol=1e-5)


def test_words_by_hand():
    weights = np.array([[[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.0, 0.4, 0.6]]], np.float32)
    merged = merge_words(weights, [0, 1, 1], [0, 0, 1])
    np.testing.assert_allclose(merged, [[[0.75, 0.25], [0.35, 0.65]]], atol=1e-6)
    np.testing.assert_array_equal(merge_words(weights, [0, 1, 2], [0, 1, 2]), weights)


def test_texts_and_flags_of_words():
    assert merge_texts(("[CLS]", "un", "##believ", "##able"), (0, 1, 1, 1)) == ("[CLS]", "unbelievable")
    assert merge_texts((" x😀⟨1/3⟩", "😀⟨2/3⟩", "😀⟨3/3⟩", "!"), (0, 0, 0, 1)) == (" x😀", "!")
    assert merge_flags((True, False, False, True), (0, 1, 1, 2)) == (True, False, True)


@pytest.mark.parametrize("words", [[0, 1], [0, 2, 1], [1, 0, 0]])
def test_word_numbers_that_make_no_words(words):
    with pytest.raises(ValueError, match="one for each of the 3 tokens"):
        merge_words(random_weights(1, 3), words, words)


@given(st.lists(st.booleans(), min_size=1, max_size=7), st.lists(st.booleans(), min_size=1, max_size=7))
def test_hidden_tokens_leave_rows_that_add_to_1(queries, keys):
    weights = random_weights(2, len(queries), len(keys))
    shown = without_tokens(weights, np.array(queries), np.array(keys))
    left = [[i for i, hidden in enumerate(flags) if not hidden] for flags in (queries, keys)]
    assert shown.shape == (2, len(left[0]), len(left[1]))
    for head, row, column in np.ndindex(*shown.shape):
        total = sum(float(weights[head, left[0][row], key]) for key in left[1])
        assert shown[head, row, column] == pytest.approx(weights[head, left[0][row], left[1][column]] / total, rel=1e-5)


def test_a_row_that_only_saw_what_is_hidden_is_empty():
    weights = np.array([[[1, 0, 0], [0.5, 0.25, 0.25]]], np.float32)
    shown = without_tokens(weights, np.array([False, False]), np.array([True, False, False]))
    np.testing.assert_array_equal(shown, [[[0, 0], [0.5, 0.5]]])


@given(st.lists(st.lists(st.integers(0, 4), min_size=5, max_size=5), min_size=1, max_size=4))
def test_a_rank_is_one_more_than_the_number_of_larger_weights(rows):
    weights = np.array([rows], np.float32)
    found = ranks(weights)
    for row, values in enumerate(rows):
        for key, value in enumerate(values):
            assert found[0, row, key] == 1 + sum(other > value for other in values)


def test_mean_and_largest_over_heads():
    layers = [random_weights(3, 4), random_weights(2, 4, seed=1)]
    for found, expected in zip(mean_over_heads(layers), layers, strict=True):
        np.testing.assert_allclose(found, sum(expected) / len(expected), atol=1e-6)
    for found, expected in zip(max_over_heads(layers), layers, strict=True):
        for query, key in np.ndindex(4, 4):
            assert found[query, key] == max(head[query, key] for head in expected)
