"""Live models that answer readings: any model of this course or of transformers, with its tokenizer."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from course_lib.interpret.encoding import Encoded, encode_text, end_id_of, mask_id_of, mask_text_of, without_surrogates
from course_lib.interpret.reading import HeadAt, HeadLike, Predictions, Reading, View, as_head
from course_lib.interpret.running import is_transformers, lowest_to_minus_infinity, runner_for, undisturbed
from course_lib.interpret.tap import AttentionCall, AttentionTap
from course_lib.interpret.token_text import TokenTexts, special_ids_of, token_texts

MAX_TOKENS = 1024
MOST_SCORES = 1 << 28  # numbers; beyond this the raw scores are left out: they would take as much memory as the weights

_one_at_a_time = threading.RLock()  # two threads that run one model would see each other's attention


def reader_for(model: nn.Module, tokenizer: Any, *, max_tokens: int = MAX_TOKENS) -> ModelReader:
    """A reader of a model with its tokenizer; both of this course, of transformers, or one of each.

    Texts are cut after `max_tokens`, or where the model's context ends: the maps grow with the square of the length.

    Raises ValueError when the model's attention cannot be seen, naming the option that helps.
    """
    return ModelReader(model, tokenizer, max_tokens=max_tokens)


class ModelReader:
    """A `Reader` (see `course_lib.interpret.reading`) of a torch model; make one with `reader_for`.

    Attributes:
        title: the model's class, layers and heads.
        context_length: the most tokens that it reads.
        causal: whether the model looks backwards only.
        heads: for each view (layers, heads).
    """

    def __init__(self, model: nn.Module, tokenizer: Any, *, max_tokens: int = MAX_TOKENS):
        if max_tokens < 2:
            raise ValueError(f"max_tokens must be at least 2, but it is {max_tokens}.")
        self.model = model
        self.tokenizer = tokenizer
        self.runner = runner_for(model, tokenizer)
        limits = (self.runner.limit, getattr(tokenizer, "model_max_length", None), max_tokens)
        self.context_length: int | None = min(limit for limit in limits if limit is not None)
        self._written: tuple[tuple[int, ...], list[int] | None] = ((), None)
        self._probe()

    def read(
        self,
        text: str,
        causal: bool | None = None,
        ablated: Iterable[HeadLike] = (),
        *,
        decoder_text: str | None = None,
    ) -> Reading:
        """Run the model over the text; see `Reader.read`.

        What a decoder reads, when it is not given, is what the whole model writes for the text, heads and masks as
        they are: so readings with and without some heads can be compared.
        """
        heads = tuple(dict.fromkeys(as_head(head, self.heads) for head in ablated))
        encoded = self._encode(text, self.context_length)
        notes = list(encoded.notes)
        with _one_at_a_time, undisturbed(self.model):
            decoder_ids = None
            if self.runner.two_stacks:
                decoder_ids, more = self._decoder_ids(encoded.ids, decoder_text)
                notes += more
            elif decoder_text is not None:
                raise ValueError(f"{type(self.model).__name__} has no decoder beside it to read decoder_text.")
            calls, logits = self._run(encoded.ids, causal, heads, decoder_ids)
            views, more = self._views(calls, encoded.ids, decoder_ids, self.causal if causal is None else causal)
            notes += more
        self._check_mask(views, causal)
        predictions = self._predictions(logits, encoded.ids, decoder_ids)
        if predictions is None:
            notes.append(self._why_no_predictions(logits))
        read_by_decoder = None if decoder_ids is None else self._decode(decoder_ids)
        return Reading(views, text, read_by_decoder, predictions, heads, tuple(notes))

    def _probe(self) -> None:
        """Read two tokens, to learn which heads there are and whether the model looks ahead."""
        try:
            ids = self._encode("a a", self.context_length).ids
        except ValueError:  # a vocabulary without the letter
            ids = []
        ids = ids if len(ids) > 1 else [0, 0]
        decoder_ids = [self.runner.start_id(), *ids] if self.runner.two_stacks else None
        with _one_at_a_time, undisturbed(self.model):
            calls, _ = self._run(ids, None, (), decoder_ids)
        layers: dict[str, list[AttentionCall]] = {}
        for call in calls:
            layers.setdefault(call.view, []).append(call)
        self.heads = {view: (len(found), _heads_of(found[0])) for view, found in layers.items()}
        predicting = next(view for view in self.heads if view in ("self", "decoder"))
        self.causal = _all_causal(layers[predicting], alone=False)
        counts = " + ".join(f"{layers} × {heads}" for layers, heads in self.heads.values())
        self.title = f"{type(self.model).__name__}, {counts} heads"

    def _run(
        self,
        ids: Sequence[int],
        causal: bool | None,
        ablated: Sequence[HeadAt],
        decoder_ids: Sequence[int] | None,
    ) -> tuple[list[AttentionCall], Tensor | None]:
        """Every attention of one run, and the logits."""
        calls: list[AttentionCall] = []
        zeros = dict.fromkeys(ablated, torch.zeros_like)
        with AttentionTap(self.model, on_call=calls.append, edits=zeros):
            extra = {} if decoder_ids is None else {"decoder_ids": decoder_ids}
            logits = self.runner.run(ids, causal, **extra)
        if not calls:
            raise ValueError(_unseen(self.model))
        return calls, logits

    def _views(
        self, calls: list[AttentionCall], ids: list[int], decoder_ids: list[int] | None, causal: bool
    ) -> tuple[dict[str, View], list[str]]:
        """The views of one run as NumPy, and what a reader must know of them."""
        tokens = {"self": (ids, ids), "encoder": (ids, ids), "decoder": (decoder_ids, decoder_ids)}
        tokens["cross"] = (decoder_ids, ids)
        shown = {key: token_texts(self.tokenizer, key) for key in {tuple(ids), tuple(decoder_ids or ids)}}
        keep_scores = sum(call.weights.numel() for call in calls) <= MOST_SCORES
        views = {}
        for view in self.heads:
            query_ids, key_ids = tokens[view]
            layers = [call for call in calls if call.view == view]
            query, key = shown[tuple(query_ids)], shown[tuple(key_ids)]
            views[view] = self._view(layers, query, key, keep_scores, causal and view in ("self", "decoder"))
        note = f"The raw scores of {len(calls)} layers over {len(ids)} tokens are left out: they would not fit well."
        return views, [] if keep_scores else [note]

    def _view(
        self, layers: list[AttentionCall], query: TokenTexts, key: TokenTexts, keep_scores: bool, causal: bool
    ) -> View:
        shape = (-1, len(query.texts), len(key.texts))
        scores = [lowest_to_minus_infinity(call.scores, call.weights) for call in layers] if keep_scores else None
        norms = [value_norms(call) for call in layers]
        return View(
            weights=tuple(_numpy(call.weights).reshape(shape) for call in layers),
            scores=None if scores is None else tuple(_numpy(layer).reshape(shape) for layer in scores),
            query_tokens=query.texts,
            key_tokens=key.texts,
            query_special=query.special,
            key_special=key.special,
            query_words=query.words,
            key_words=key.words,
            kv_heads=_kv_heads(self.model, _heads_of(layers[0])),
            causal=_all_causal(layers, alone=causal),
            value_norms=None if any(norm is None for norm in norms) else np.stack(norms),
        )

    def _check_mask(self, views: dict[str, View], causal: bool | None) -> None:
        view = views.get("self", views.get("decoder"))
        if causal is not None and len(view.query_tokens) > 1 and view.causal != causal:
            raise ValueError(f"{type(self.model).__name__} keeps its own mask: its causal mask cannot be changed.")

    def _decoder_ids(self, ids: list[int], decoder_text: str | None) -> tuple[list[int], list[str]]:
        """What the decoder reads: a start token, then the given text, or what the model writes."""
        start = self.runner.start_id()
        if decoder_text is None:
            if self._written[0] != tuple(ids):
                self._written = (tuple(ids), self.runner.write(ids))
            written = self._written[1]
            if written is None:
                return [start], ["This model cannot write: give decoder_text to say what its decoder reads."]
            return written, []
        text, notes = without_surrogates(decoder_text)
        if not text:
            return [start], notes
        ids = self._encode(text, None).ids
        given = ids[:-1] if ids[-1] == end_id_of(self.tokenizer) else ids
        if len(given) >= self.context_length:
            notes.append(f"The decoder's text is {len(given)} tokens long: it was cut after {self.context_length - 1}.")
        return [start, *given][: self.context_length], notes

    def _predictions(self, logits: Tensor | None, ids: list[int], decoder_ids: list[int] | None) -> Predictions | None:
        """Of the token that comes next, or, from a model that looks both ways, at each mask of the text."""
        if logits is None:
            return None
        masks = tuple(index for index, token in enumerate(ids) if token == mask_id_of(self.tokenizer))
        positions = (len(decoder_ids or ids) - 1,) if self.causal else masks
        if not positions:
            return None
        probabilities = logits[list(positions)].float().softmax(dim=-1).cpu().numpy()
        return Predictions(
            "next" if self.causal else "masked", positions, probabilities, Vocabulary(self.tokenizer, logits.shape[-1])
        )

    def _why_no_predictions(self, logits: Tensor | None) -> str:
        if logits is None:
            return f"{type(self.model).__name__} gives vectors, not probabilities of tokens: there are no predictions."
        if mask_id_of(self.tokenizer) is None:
            return "This model looks both ways and its tokenizer has no mask: there are no predictions."
        return f"Write {mask_text_of(self.tokenizer)} in the text to see what the model expects there."

    def _encode(self, text: str, limit: int | None) -> Encoded:
        return encode_text(self.tokenizer, text, limit, end_id=getattr(self.runner, "end_id", None))

    def _decode(self, ids: list[int]) -> str:
        if hasattr(self.tokenizer, "convert_ids_to_tokens"):
            return self.tokenizer.decode(ids, skip_special_tokens=True)
        special = special_ids_of(self.tokenizer)
        return self.tokenizer.decode([index for index in ids if index not in special])


class Vocabulary(Sequence[str]):
    """The display text of every id of a vocabulary, made when it is asked for."""

    def __init__(self, tokenizer: Any, size: int):
        self.tokenizer = tokenizer
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> str:  # type: ignore[override]
        index = range(self.size)[index]
        if index >= len(self.tokenizer):  # models round their vocabulary up
            return f"⟨no token {index}⟩"
        return token_texts(self.tokenizer, [index]).texts[0]


def value_norms(call: AttentionCall) -> Float[NDArray, "heads key"] | None:
    """‖v W_O‖ of every head and key: the length of what the key adds to the stream at weight 1. None without W_O.

    Each head has its own rows W of W_O, and ‖v W‖² = v (W Wᵀ) vᵀ: the small matrix W Wᵀ is made once.

    Source: Kobayashi et al. 2020, "Attention is Not Only a Weight", section 3.
    """
    if call.output_weight is None:
        return None
    value = call.value[0].float()  # (heads, key, d_value)
    heads, _, width = value.shape
    own = call.output_weight.float().reshape(heads, width, -1)  # (heads, d_value, d_model)
    squares = ((value @ (own @ own.transpose(1, 2))) * value).sum(dim=-1)
    return _numpy(squares.clamp(min=0).sqrt())


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().float().cpu().numpy()


def _heads_of(call: AttentionCall) -> int:
    return call.weights.shape[1]


def _all_causal(layers: list[AttentionCall], *, alone: bool) -> bool:
    """Whether no query of a self-attention has weight on a later key; `alone` is the answer for a single token."""
    n_query, n_key = layers[0].weights.shape[-2:]
    if layers[0].view == "cross" or n_query == n_key == 1:
        return alone
    return not any(call.weights.triu(1).any() for call in layers)


def _kv_heads(model: nn.Module, n_heads: int) -> int:
    """Key-value heads of each layer, as the model's config counts them."""
    config = getattr(model, "config", None)
    if is_transformers(model):
        config = config.get_text_config()
    for name in ("num_key_value_heads", "kv_heads", "num_kv_heads"):
        count = getattr(config, name, None)
        if isinstance(count, int) and count > 0 and n_heads % count == 0:
            return count
    return n_heads


def _unseen(model: nn.Module) -> str:
    """The sentence for a model whose attention is computed where nobody can look."""
    used = getattr(getattr(model, "config", None), "_attn_implementation", None)
    if used in (None, "eager"):
        return (
            f"No attention of {type(model).__name__} could be seen: it is computed neither with torch's "
            "scaled_dot_product_attention nor with a softmax of (batch, heads, query, key) and a product with the "
            "values. Give AttentionExplorer the weights themselves, if the model answers them with "
            "output_attentions=True."
        )
    return (
        f"No attention of {type(model).__name__} could be seen: its implementation {used!r} computes it in one go. "
        'Load the model with attn_implementation="eager", as in AutoModel.from_pretrained(name, '
        'attn_implementation="eager"); only then does output_attentions=True give the weights.'
    )
