"""What one run of a model over one text gave: attention weights, raw scores, tokens as text, predictions.

A `Reader` is a live model with its tokenizer (`course_lib.interpret.readers.reader_for` makes one); each
`reader.read(text)` answers a `Reading`. A reading is plain NumPy and text: it can be shown, measured and compared
without the model that made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray


class HeadAt(NamedTuple):
    """One attention head: `view` is a key of `Reading.views`, layers and heads count from 0."""

    view: str
    layer: int
    head: int


HeadLike = HeadAt | tuple[str, int, int] | tuple[int, int]
"""How a caller may name a head; (layer, head) alone means the model's first view."""


@dataclass(frozen=True)
class View:
    """The attention of one stack of layers over one text: who looked at whom, and how much.

    Attributes:
        weights: for each layer (heads, query, key); a row is one query and adds to 1 (or to 0: it may look nowhere).
        query_tokens, key_tokens: the tokens' texts, for display; the same for self-attention.
        scores: for each layer what the softmax was taken of, −∞ where the query may not look; None when unknown.
        query_special, key_special: True for tokens that stand for no text (separators, padding, end of text).
        query_words, key_words: for each token the number of the word that it belongs to.
        kv_heads: how many key-value heads each layer has; fewer than heads in grouped-query attention.
        causal: whether queries were kept from looking at later keys.
        value_norms: (layers, heads, key), the length of the vector ‖v W_O‖ that each key would add to the stream
            if its weight were 1 (Kobayashi et al. 2020); None when unknown.
    """

    weights: tuple[Float[NDArray, "_heads query key"], ...]
    query_tokens: tuple[str, ...]
    key_tokens: tuple[str, ...]
    scores: tuple[Float[NDArray, "_heads query key"], ...] | None = None
    query_special: tuple[bool, ...] = ()
    key_special: tuple[bool, ...] = ()
    query_words: tuple[int, ...] = ()
    key_words: tuple[int, ...] = ()
    kv_heads: int = 0
    causal: bool = False
    value_norms: Float[NDArray, "layers heads key"] | None = None

    def __post_init__(self):
        if not self.weights:
            raise ValueError("A view needs at least one layer of attention weights.")
        n_query, n_key = len(self.query_tokens), len(self.key_tokens)
        for layer, weights in enumerate(self.weights):
            if weights.shape[1:] != (n_query, n_key):
                raise ValueError(
                    f"Layer {layer} has weights of shape {weights.shape}, but there are {n_query} query tokens and "
                    f"{n_key} key tokens: expected (heads, {n_query}, {n_key})."
                )
        # What was left out: no token is special, each token is a word, each head has its own keys and values.
        defaults = {
            "query_special": (False,) * n_query,
            "key_special": (False,) * n_key,
            "query_words": tuple(range(n_query)),
            "key_words": tuple(range(n_key)),
            "kv_heads": self.n_heads,
        }
        for name, value in defaults.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)

    @property
    def n_layers(self) -> int:
        """How many layers there are."""
        return len(self.weights)

    @property
    def n_heads(self) -> int:
        """How many heads a layer has (the first one, should layers differ)."""
        return self.weights[0].shape[0]

    def kv_head(self, head: int) -> int:
        """The key-value head that this head uses: neighbours share one in grouped-query attention."""
        return head * self.kv_heads // self.n_heads

    def masked(self, layer: int, head: int) -> Bool[NDArray, "query key"]:
        """True where the query may not look at the key."""
        if self.scores is not None:
            return np.isneginf(self.scores[layer][head])
        n_query, n_key = len(self.query_tokens), len(self.key_tokens)
        if not self.causal:
            return np.zeros((n_query, n_key), dtype=bool)
        return ~np.tri(n_query, n_key, n_key - n_query, dtype=bool)


@dataclass(frozen=True)
class Predictions:
    """What the model predicts, at the places where it predicts something.

    Attributes:
        kind: "next" (the token after the text) or "masked" (what stands at each mask in the text).
        positions: the query positions that the rows belong to.
        probabilities: one row for each position; adds to 1.
        tokens: the display text of every id of the vocabulary.
    """

    kind: str
    positions: tuple[int, ...]
    probabilities: Float[NDArray, "positions vocab_size"]
    tokens: Sequence[str]

    def top(self, k: int = 10, row: int = -1) -> list[tuple[str, float]]:
        """The k likeliest tokens of one position with their probabilities, likeliest first."""
        p = self.probabilities[row]
        return [(self.tokens[index], float(p[index])) for index in np.argsort(-p, kind="stable")[:k].tolist()]

    def kl_divergence(self, other: Predictions) -> Float[NDArray, "positions"]:
        """KL(self ‖ other) = Σ p log(p / q) in nats, for each position: 0 when the two predict the same."""
        if self.probabilities.shape != other.probabilities.shape:
            raise ValueError(
                f"Predictions of shapes {self.probabilities.shape} and {other.probabilities.shape} (positions, "
                "vocabulary) cannot be compared: use one text and one vocabulary."
            )
        return kl_divergence(self.probabilities, other.probabilities)


def kl_divergence(
    p: Float[NDArray, "*batch outcomes"], q: Float[NDArray, "*batch outcomes"]
) -> Float[NDArray, "*batch"]:
    """KL(p ‖ q) = Σ p log(p / q) in nats over the last axis; infinite where q rules out what p allows."""
    p, q = p.astype(np.float64), q.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * (np.log(p) - np.log(q)), 0.0)
    return np.maximum(terms.sum(axis=-1), 0.0)  # rounding can push a zero below zero


@dataclass(frozen=True)
class Reading:
    """One run of a model over one text.

    Attributes:
        views: "self" for a model with one stack (GPT, BERT); "encoder", "decoder" and "cross" for an
            encoder–decoder. The first is what a bare (layer, head) refers to.
        text: what was read (for an encoder–decoder, by the encoder).
        decoder_text: what the decoder read, given or generated; None for other models.
        predictions: probabilities of the next or the masked token; None when the model predicts no tokens.
        ablated: the heads whose output was zero.
        notes: sentences that a reader of the picture must know (the text was cut; why there are no predictions).
    """

    views: Mapping[str, View]
    text: str = ""
    decoder_text: str | None = None
    predictions: Predictions | None = None
    ablated: tuple[HeadAt, ...] = ()
    notes: tuple[str, ...] = field(default=())


@runtime_checkable
class Reader(Protocol):
    """A live model with its tokenizer, ready to read texts.

    Attributes:
        title: what to call the model in a caption.
        context_length: the most tokens it reads; longer texts are cut, and the reading's notes say so. None: no limit.
        causal: whether the model looks backwards only, when nothing else is asked for.
    """

    title: str
    context_length: int | None
    causal: bool

    def read(
        self,
        text: str,
        causal: bool | None = None,
        ablated: Iterable[HeadLike] = (),
        *,
        decoder_text: str | None = None,
    ) -> Reading:
        """Run the model over the text.

        Args:
            text: what to read.
            causal: True puts a causal mask on the self-attention ("self", or "decoder"), False takes it off; every
                softmax is taken anew, in every layer. None leaves the model as it is.
            ablated: heads whose output is replaced by zeros.
            decoder_text: for encoder–decoders: what the decoder reads; generated when left out.

        Raises ValueError for an empty text, a head that there is not, or a text the tokenizer cannot encode.
        The model is afterwards as it was, whatever happened.
        """
        ...


def as_head(head: HeadLike, views: Mapping[str, tuple[int, int]]) -> HeadAt:
    """The head that a caller named, checked against {view: (layers, heads)}.

    Raises ValueError when there is no such view, layer or head.
    """
    view, layer, number = head if len(head) == 3 else (next(iter(views)), *head)
    if view not in views:
        raise ValueError(f"There is no view {view!r}; this model has {', '.join(map(repr, views))}.")
    layers, heads = views[view]
    if not (0 <= layer < layers and 0 <= number < heads):
        raise ValueError(
            f"There is no head {number} in layer {layer} of {view!r}: layers go from 0 to {layers - 1} and heads "
            f"from 0 to {heads - 1}."
        )
    return HeadAt(view, int(layer), int(number))
