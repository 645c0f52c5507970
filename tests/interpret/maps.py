"""Attention maps to measure: random ones, and ones that follow a rule exactly."""

import numpy as np

from course_lib.interpret.reading import View


def random_weights(heads: int, n_query: int, n_key: int | None = None, *, causal: bool = False, seed: int = 0):
    """Rows that add to 1; (heads, query, key) float32."""
    n_key = n_query if n_key is None else n_key
    scores = 2 * np.random.default_rng(seed).standard_normal((heads, n_query, n_key))
    if causal:
        scores = np.where(np.tri(n_query, n_key, dtype=bool), scores, -np.inf)
    exponentials = np.exp(scores)
    return (exponentials / exponentials.sum(axis=-1, keepdims=True)).astype(np.float32)


def view_of(*layers, tokens=None, causal=False, **more) -> View:
    """A view of self-attention, over tokens that are all different unless said otherwise."""
    tokens = tuple(tokens) if tokens is not None else tuple(f"t{i}" for i in range(layers[0].shape[1]))
    return View(tuple(layers), tokens, tokens, causal=causal, **more)


def looking_at(targets, n_key: int | None = None):
    """One head in which each query puts all its weight on one key."""
    weights = np.zeros((1, len(targets), n_key or len(targets)), dtype=np.float32)
    weights[0, np.arange(len(targets)), targets] = 1
    return weights
