"""Other looks at a map of attention weights: words for tokens, some tokens hidden, ranks for weights, heads in one.

Each takes arrays that end in (query, key), so one head, a layer or a whole model go through the same function.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from course_lib.interpret.token_text import PIECE

PARTS = re.compile(r"(.)⟨1/(\d+)⟩(?:\1⟨\d+/\2⟩)+", re.DOTALL)  # a character that was shown in parts


def merge_words(
    weights: Float[NDArray, "*batch query key"], query_words: Sequence[int], key_words: Sequence[int]
) -> Float[NDArray, "*batch query_word key_word"]:
    """Weights between words: the sum over a key word's tokens, the mean over a query word's tokens.

    A row still adds to 1: a word looks at all of another word, and its tokens are asked equally. `query_words` and
    `key_words` number each token's word, 0 0 1 2 2 …, as `View.query_words` does.

    Source: Clark et al. 2019, "What Does BERT Look At?", section 4.1.
    """
    rows = _starts(query_words, weights.shape[-2])
    sizes = np.diff([*rows, weights.shape[-2]])
    asked = np.add.reduceat(weights, rows, axis=-2) / sizes[:, None].astype(weights.dtype)
    return np.add.reduceat(asked, _starts(key_words, weights.shape[-1]), axis=-1)


def merge_texts(tokens: Sequence[str], words: Sequence[int]) -> tuple[str, ...]:
    """The text of each word: its tokens' texts put together, without "##" and with shared characters whole."""
    starts = _starts(words, len(tokens))
    texts = []
    for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True):
        first, *rest = tokens[start:end]
        text = first + "".join(token.removeprefix(PIECE) for token in rest)
        texts.append(PARTS.sub(r"\1", text))
    return tuple(texts)


def merge_flags(flags: Sequence[bool], words: Sequence[int]) -> tuple[bool, ...]:
    """For each word whether it is special: it is when its first token is (special tokens are words of their own)."""
    return tuple(bool(flags[start]) for start in _starts(words, len(flags)))


def _starts(words: Sequence[int], n_tokens: int) -> Int[NDArray, "words"]:
    """The index of the first token of each word. Raises ValueError for numbers that do not rise word by word."""
    numbers = np.asarray(words)
    steps = np.diff(numbers)
    if len(numbers) != n_tokens or (steps < 0).any():
        raise ValueError(
            f"Word numbers must not fall, one for each of the {n_tokens} tokens (0 0 1 2 2 …), but these are "
            f"{list(words)[:12]}."
        )
    return np.concatenate([[0], np.nonzero(steps)[0] + 1])


def without_tokens(
    weights: Float[NDArray, "*batch query key"],
    hidden_queries: Bool[NDArray, "query"],
    hidden_keys: Bool[NDArray, "key"],
) -> Float[NDArray, "*batch shown_query shown_key"]:
    """The map without some rows and columns; what is left of each row is scaled to add to 1 again.

    A row whose weight was all on hidden keys becomes zeros.
    """
    shown = np.take(weights, np.flatnonzero(~hidden_queries), axis=-2)
    return renormalised(np.take(shown, np.flatnonzero(~hidden_keys), axis=-1))


def renormalised(weights: Float[NDArray, "*batch query key"]) -> Float[NDArray, "*batch query key"]:
    """Each row divided by its sum; rows of zeros stay."""
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total > 0, total, 1)


def ranks(weights: Float[NDArray, "*batch query key"]) -> Int[NDArray, "*batch query key"]:
    """The place of each weight in its row: 1 for the largest; equal weights share the better place."""
    order = np.argsort(-weights, axis=-1, kind="stable")
    ordered = np.take_along_axis(weights, order, axis=-1)
    place = np.arange(1, weights.shape[-1] + 1)
    new = np.ones(weights.shape, dtype=bool)
    new[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    shared = np.maximum.accumulate(np.where(new, place, 0), axis=-1)
    result = np.empty_like(shared)
    np.put_along_axis(result, order, shared, axis=-1)
    return result


def mean_over_heads(layers: Sequence[Float[NDArray, "_heads query key"]]) -> list[Float[NDArray, "query key"]]:
    """For each layer the mean of its heads: rows still add to 1."""
    return [weights.mean(axis=0) for weights in layers]


def max_over_heads(layers: Sequence[Float[NDArray, "_heads query key"]]) -> list[Float[NDArray, "query key"]]:
    """For each layer the largest weight that any head has: rows add to 1 or more."""
    return [weights.max(axis=0) for weights in layers]
