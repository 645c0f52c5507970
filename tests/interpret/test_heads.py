"""Each score is what its sentence says: planted heads, loops, and values known by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.interpret.heads import entropies, head_scores, sinks, value_weighted
from course_lib.interpret.reading import View

from .maps import looking_at, random_weights, view_of

TEXT = "a b c a b d a b".split()


def by_loops(weights, tokens, special):
    """Every score of one head, weight by weight, from the sentences in `HeadScores`."""
    n = len(tokens)

    def mean(values):
        return float(np.mean(values)) if values else math.nan

    def earlier_like(query):
        return [j for j in range(query) if tokens[j] == tokens[query] and not special[j] and not special[query]]

    return {
        "entropy": mean([-sum(w * math.log(w) for w in map(float, row) if w > 0) for row in weights]),
        "distance": mean([sum(float(weights[q, k]) * abs(q - k) for k in range(n)) for q in range(n)]),
        "previous": mean([weights[q, q - 1] for q in range(1, n)]),
        "first": mean([weights[q, 0] for q in range(1, n)]),
        "duplicate": mean([sum(weights[q, j] for j in earlier_like(q)) for q in range(n) if earlier_like(q)]),
        "induction": mean(
            [
                sum(weights[q, j + 1] for j in earlier_like(q) if j + 1 < q)
                for q in range(n)
                if [j for j in earlier_like(q) if j + 1 < q]
            ]
        ),
    }


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=9),
    st.booleans(),
    st.integers(0, 1000),
    st.data(),
)
def test_scores_are_those_of_plain_loops(tokens, causal, seed, data):
    special = tuple(data.draw(st.lists(st.booleans(), min_size=len(tokens), max_size=len(tokens))))
    layers = [random_weights(2, len(tokens), causal=causal, seed=seed + layer) for layer in range(2)]
    scores = head_scores(view_of(*layers, tokens=tokens, causal=causal, query_special=special, key_special=special))
    for layer in range(2):
        for head in range(2):
            for name, expected in by_loops(layers[layer][head], tokens, special).items():
                found = getattr(scores, name)[layer, head]
                assert found == pytest.approx(expected, abs=1e-5, nan_ok=True), name


def score(weights, name, tokens=None):
    return getattr(head_scores(view_of(weights, tokens=tokens)), name)[0, 0]


def test_planted_heads_get_1_for_their_own_rule_and_nothing_for_the_others():
    #          a  b  c  a  b  d  a  b      what an exact head of each kind looks at
    previous = [0, 0, 1, 2, 3, 4, 5, 6]
    first = [0] * 8
    duplicate = [0, 1, 2, 0, 1, 5, 3, 4]
    induction = [0, 0, 0, 1, 2, 0, 4, 5]
    assert score(looking_at(previous), "previous", TEXT) == 1
    assert score(looking_at(previous), "first", TEXT) == pytest.approx(1 / 7)
    assert score(looking_at(previous), "distance", TEXT) == pytest.approx(7 / 8)
    assert score(looking_at(first), "first", TEXT) == 1
    assert score(looking_at(first), "distance", TEXT) == pytest.approx(sum(range(8)) / 8)
    assert score(looking_at(duplicate), "duplicate", TEXT) == 1
    assert score(looking_at(duplicate), "induction", TEXT) == 0
    assert score(looking_at(induction), "induction", TEXT) == 1
    assert score(looking_at(induction), "duplicate", TEXT) == 0


def test_entropy_of_one_key_and_of_all():
    assert score(looking_at([0, 1, 2, 3]), "entropy") == 0
    assert score(np.full((1, 4, 4), 0.25, np.float32), "entropy") == pytest.approx(math.log(4))
    assert entropies(np.array([[0.5, 0.25, 0.25, 0.0]]))[0] == pytest.approx(1.5 * math.log(2))
    assert entropies(np.zeros((2, 3)))[0] == 0  # a query that may look nowhere


def test_what_does_not_exist_is_nan():
    cross = View((random_weights(2, 3, 5),), ("a", "b", "c"), tuple("vwxyz"))
    scores = head_scores(cross)
    assert np.isfinite(scores.entropy).all()
    assert all(np.isnan(getattr(scores, name)).all() for name in scores._fields if name != "entropy")
    assert np.isnan(score(random_weights(1, 4), "induction"))  # no token comes twice
    assert np.isnan(score(np.ones((1, 1, 1), np.float32), "previous"))


def test_separators_are_not_repeated_words():
    tokens, special = ("[SEP]", "a", "[SEP]"), (True, False, True)
    view = view_of(looking_at([0, 0, 0]), tokens=tokens, query_special=special, key_special=special)
    assert np.isnan(head_scores(view).duplicate).all()


def test_a_sink_is_what_most_queries_look_at():
    weights = np.concatenate([looking_at([0] * 8), looking_at([0, 0, 1, 2, 3, 4, 5, 6]), random_weights(1, 8)])
    found = sinks(view_of(weights), 0)
    assert found[0].tolist() == [True] + [False] * 7
    assert not found[1].any()


@pytest.mark.parametrize("causal", [False, True])
def test_sinks_by_loops(causal):
    weights = random_weights(6, 11, causal=causal) ** 2
    weights /= weights.sum(axis=-1, keepdims=True)
    found = sinks(view_of(weights, causal=causal), 0, threshold=0.2)
    assert found.any() and not found.all()
    for head in range(6):
        for key in range(11):
            lookers = [query for query in range(11) if query > key or (query < key and not causal)]
            enough = len(lookers) >= 11 / 4
            received = sum(weights[head, query, key] for query in lookers) / len(lookers) if lookers else 0
            assert found[head, key] == (enough and received > 0.2)


def test_the_last_key_under_a_causal_mask_is_no_sink():
    """Its one query can give it everything; that is the diagonal, not a habit of the head."""
    weights = looking_at([0, 1, 2, 3, 4, 5, 6, 6])
    assert not sinks(view_of(weights, causal=True), 0).any()


def test_sinks_of_cross_attention_count_every_query():
    view = View((looking_at([2, 2, 0], n_key=4),), ("a", "b", "c"), tuple("wxyz"))
    assert sinks(view, 0).tolist() == [[True, False, True, False]]


def test_value_weighting_scales_each_key():
    weights = random_weights(2, 3)
    norms = np.array([[1, 0, 2], [0.5, 0.5, 0.5]], np.float32)
    weighted = value_weighted(weights, norms)
    for head, query, key in np.ndindex(2, 3, 3):
        assert weighted[head, query, key] == pytest.approx(weights[head, query, key] * norms[head, key])
