"""Rollout against a walk over all paths, flow against the smallest cut: both by brute force on small networks."""

from itertools import chain, combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import lil_matrix
from scipy.sparse.csgraph import maximum_flow

from course_lib.interpret.rollout import _largest_flow, attention_flow, attention_rollout, with_residual

from .maps import looking_at, random_weights


def network(n_layers, time, seed=0, causal=False):
    return [random_weights(2, time, causal=causal, seed=seed + layer) for layer in range(n_layers)]


@given(st.integers(1, 3), st.integers(1, 4), st.booleans(), st.integers(0, 1000))
def test_rollout_adds_up_every_path(n_layers, time, causal, seed):
    layers = network(n_layers, time, seed, causal)
    pipes = [with_residual(weights) for weights in layers]
    rolled = attention_rollout(layers)
    for depth in range(n_layers):
        for top, bottom in product(range(time), repeat=2):
            total = 0.0
            for between in product(range(time), repeat=depth):
                path = [top, *between, bottom]  # from layer `depth` down to the input
                total += np.prod([pipes[depth - step][path[step], path[step + 1]] for step in range(depth + 1)])
            assert rolled[depth][top, bottom] == pytest.approx(total, abs=1e-5)
        np.testing.assert_allclose(rolled[depth].sum(axis=-1), 1, atol=1e-5)


def test_rollout_by_hand():
    """Every head looks one back: each layer moves half of the information one place."""
    previous = looking_at([0, 0, 1])
    first, second = attention_rollout([previous, previous])
    np.testing.assert_allclose(first, [[1, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5]])
    np.testing.assert_allclose(second, [[1, 0, 0], [0.75, 0.25, 0], [0.25, 0.5, 0.25]])


def test_a_query_that_looks_nowhere_keeps_what_it_has():
    nothing = np.zeros((2, 3, 3), np.float32)
    np.testing.assert_allclose(attention_rollout([nothing, nothing])[1], np.eye(3))


def smallest_cut(pipes, query, key):
    """The least room of all sets of pipes that part the top from the bottom, by trying every set of positions.

    The largest flow equals it (Ford and Fulkerson 1956).
    """
    layers, time, _ = pipes.shape
    places = [(layer, position) for layer in range(layers + 1) for position in range(time)]
    inner = [place for place in places if place not in ((0, query), (layers, key))]
    best = np.inf
    for chosen in chain.from_iterable(combinations(inner, size) for size in range(len(inner) + 1)):
        side = {(0, query), *chosen}
        cut = sum(
            pipes[layer, source, into]
            for layer, source in side
            if layer < layers
            for into in range(time)
            if (layer + 1, into) not in side
        )
        best = min(best, cut)
    return best


@settings(max_examples=12)
@given(st.sampled_from([(1, 3), (2, 3), (3, 2), (2, 2)]), st.booleans(), st.integers(0, 1000), st.data())
def test_flow_is_the_smallest_cut(size, causal, seed, data):
    n_layers, time = size
    layers = network(n_layers, time, seed, causal)
    query = data.draw(st.integers(0, time - 1))
    pipes = np.stack([with_residual(weights) for weights in reversed(layers)])
    flow = attention_flow(layers, query)
    for key in range(time):
        assert flow[key] == pytest.approx(smallest_cut(pipes, query, key), abs=1e-6)


def test_flow_through_one_layer_is_the_pipe():
    layers = network(1, 5)
    np.testing.assert_allclose(attention_flow(layers, 3), with_residual(layers[0])[3], atol=1e-6)


def scipys_flow(pipes, query, key):
    """The largest flow from the top `query` to the bottom `key`. scipy takes whole numbers only: 1 is 10⁸ of them."""
    layers, time, _ = pipes.shape
    graph = lil_matrix(((layers + 1) * time,) * 2, dtype=np.int32)
    for layer, source, into in np.ndindex(*pipes.shape):
        graph[layer * time + source, (layer + 1) * time + into] = round(pipes[layer, source, into] * 1e8)
    return maximum_flow(graph.tocsr(), query, layers * time + key).flow_value / 1e8


def test_flow_agrees_with_scipy_on_a_larger_network():
    layers = network(4, 6, causal=True)
    pipes = np.stack([with_residual(weights) for weights in reversed(layers)])
    flow = attention_flow(layers, 5)
    for key in range(6):
        assert flow[key] == pytest.approx(scipys_flow(pipes, 5, key), abs=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_flow_that_took_a_wrong_way_is_sent_back(seed):
    """Where half of the pipes are missing the widest path is often not one that the largest flow uses."""
    draw = np.random.default_rng(seed)
    pipes = draw.random((5, 5, 5)) * (draw.random((5, 5, 5)) < 0.5)
    for key in range(5):
        assert _largest_flow(pipes.copy(), 0, key) == pytest.approx(scipys_flow(pipes, 0, key), abs=1e-6)


def test_flow_that_was_sent_back_is_not_sent_back_again():
    draw, others = np.random.default_rng(16), np.random.default_rng(16 + 10**6)
    pipes = (draw.random((5, 5, 5)) * (others.random((5, 5, 5)) < 0.5)).round(2)
    assert _largest_flow(pipes.copy(), 0, 4) == pytest.approx(scipys_flow(pipes, 0, 4), abs=1e-6)


def test_bad_input(shapes_unchecked):
    with pytest.raises(ValueError, match="cross-attention has no rollout"):
        attention_rollout([random_weights(2, 3, 4)])
    with pytest.raises(ValueError, match="positions 0 to 2"):
        attention_flow(network(1, 3), 3)
    with pytest.raises(ValueError, match="60000 are the most"):
        attention_flow(network(12, 100), 0)
