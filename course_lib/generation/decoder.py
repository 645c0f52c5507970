"""The next token's logits, one token at a time: with keys and values kept, or computed anew.

`CachedDecoder` reads the weights of a GPT once and keeps, for each step, only what a single token needs: no checks,
no causal mask, one row of each table of positions. Its logits are those of `GPT.forward`; a test compares them for
every kind of position, norm and activation. `RecomputingDecoder` is the definition it is held to.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.generation.compiled import Compiled
from course_lib.generation.conditioned import Conditioned, LanguageModel
from course_lib.generation.stand_in import StandIn
from course_lib.generation.token_step import Logits, TokenStep
from course_lib.models.gpt import GPT, GPTConfig

KNOWN = frozenset(
    "vocab_size context_length d_model n_heads n_layers n_kv_heads d_ff positions norm norm_position norm_eps "
    "activation bias qk_norm tie_embeddings dropout zero_writers logit_cap".split()
)
"""The settings of a GPT that `CachedDecoder` follows; a GPT with another one set is run by its own `forward`."""


class RecomputingDecoder:
    """Runs the whole text, or as much of its end as the context holds, through the model for each token."""

    def __init__(self, model: LanguageModel):
        self.model = model
        self.texts: list[Tensor] = []

    def read(self, prompts: list[Int[Tensor, "_"]]) -> Logits:
        """Start with these texts; the logits after each."""
        self.texts = list(prompts)
        return self._logits()

    def step(self, tokens: Int[Tensor, "batch"]) -> Logits:
        """Add a token to each text; the logits after it."""
        self.texts = [torch.cat([text, token[None]]) for text, token in zip(self.texts, tokens, strict=True)]
        return self._logits()

    def reorder(self, rows: Int[Tensor, "batch"]) -> None:
        """Go on with text `rows[i]` in place of text i."""
        self.texts = [self.texts[row] for row in rows.tolist()]

    def _logits(self) -> Logits:
        windows = [text[-self.model.config.context_length :] for text in self.texts]
        logits: list[Tensor] = [None] * len(windows)
        for rows in rows_of_equal_length(windows):
            answers = self.model(torch.stack([windows[row] for row in rows])).logits[:, -1]
            for row, answer in zip(rows, answers, strict=True):
                logits[row] = answer
        return torch.stack(logits)


class ForwardDecoder:
    """The model's own `forward` with its KV cache: for texts of one length, and models with switches of their own."""

    def __init__(self, model: LanguageModel, max_length: int):
        self.model = model
        self.max_length = max_length

    def read(self, prompts: list[Int[Tensor, "_"]]) -> Logits:
        """Start with these texts; the logits after each."""
        self.cache = self.model.new_cache(len(prompts), self.max_length)
        return self.model(torch.stack(prompts), cache=self.cache).logits[:, -1]

    def step(self, tokens: Int[Tensor, "batch"]) -> Logits:
        """Add a token to each text; the logits after it."""
        return self.model(tokens[:, None], cache=self.cache).logits[:, -1]

    def reorder(self, rows: Int[Tensor, "batch"]) -> None:
        """Go on with text `rows[i]` in place of text i."""
        for cache in self.cache:
            cache.reorder(rows)


class CachedDecoder:
    """A GPT's logits, one token at a time, with room for `max_length` positions reserved at the start.

    Texts may differ in length: each has its own next position, and keys beyond its own end are masked.
    """

    def __init__(self, model: GPT, max_length: int):
        self.model = model
        self.max_length = max_length
        self.token_step = TokenStep(model, max_length)

    def read(self, prompts: list[Int[Tensor, "_"]]) -> Logits:
        """Start with these texts; the logits after each."""
        groups = rows_of_equal_length(prompts)
        self._reserve(len(prompts))
        if len(groups) == 1:
            self.length: int | Tensor = len(prompts[0])
            return self.model(torch.stack(prompts), cache=self.caches).logits[:, -1]
        self.stored.zero_()  # masked places are multiplied by 0, so they must be finite
        self.length = torch.tensor([len(prompt) for prompt in prompts], device=prompts[0].device)
        logits: list[Tensor] = [None] * len(prompts)
        for rows in groups:
            answers = self._read_into(rows, torch.stack([prompts[row] for row in rows]))
            for row, answer in zip(rows, answers, strict=True):
                logits[row] = answer
        return torch.stack(logits)

    def step(self, tokens: Int[Tensor, "batch"]) -> Logits:
        """Add a token to each text; the logits after it."""
        place = self.token_step.positions.place(self.length)
        logits = self.token_step(tokens, self.stored.narrow(3, 0, place.end).unbind(), place)
        self.length = self.length + 1
        return logits

    def reorder(self, rows: Int[Tensor, "batch"]) -> None:
        """Go on with text `rows[i]` in place of text i."""
        self._keep(self.stored[:, rows])
        if not isinstance(self.length, int):
            self.length = self.length[rows]

    def _reserve(self, batch: int) -> None:
        """Room for the keys and values of all blocks in one tensor, of which each block's cache is a view."""
        self.caches = self.model.new_cache(batch, self.max_length)
        _, kv_heads, time, d_head = self.caches[0].keys.shape
        self._keep(self.caches[0].keys.new_empty(len(self.caches), batch, 2 * kv_heads, time, d_head))

    def _keep(self, stored: Float[Tensor, "layer batch both_heads time d_head"]) -> None:
        self.stored = stored
        for cache, both in zip(self.caches, stored, strict=True):
            cache.keys, cache.values = both.chunk(2, dim=1)

    def _read_into(self, rows: list[int], tokens: Int[Tensor, "some time"]) -> Float[Tensor, "some vocab_size"]:
        """Read texts of one length into their rows of the cache."""
        own = self.model.new_cache(len(rows), tokens.shape[1])
        logits = self.model(tokens, cache=own).logits[:, -1]
        for cache, part in zip(self.caches, own, strict=True):
            cache.keys[rows, :, : tokens.shape[1]] = part.keys
            cache.values[rows, :, : tokens.shape[1]] = part.values
        return logits


class CompiledDecoder(CachedDecoder):
    """`CachedDecoder` for one text on a CPU, with the compiled steps of a `Compiled`.

    Once `reorder` has made several texts of it, steps are taken as there.
    """

    def __init__(self, compiled: Compiled):
        # With room for one more token than a text can have: "all of it is filled" would be compiled apart.
        super().__init__(compiled.model, compiled.config.context_length + 1)
        self.compiled = compiled

    def step(self, tokens: Int[Tensor, "batch"]) -> Logits:
        """Add a token to each text; the logits after it."""
        if len(tokens) > 1:
            return super().step(tokens)
        pasts = self.stored.narrow(3, 0, self.length + 1).unbind()
        logits = self.compiled.step(tokens, torch.tensor([self.length]), pasts)
        self.length += 1
        return logits


Decoder = RecomputingDecoder | ForwardDecoder | CachedDecoder


def make_decoder(model: LanguageModel, prompts: Sequence[Tensor], max_length: int, use_cache: bool) -> Decoder:
    """The fastest decoder that gives the model's logits for these prompts."""
    if not use_cache:
        return RecomputingDecoder(model)
    if isinstance(model, Compiled):
        if model.translates(prompts) and follows(model.config):
            return CompiledDecoder(model)
        model = model.model
    if isinstance(model, Conditioned):
        return ForwardDecoder(model, max_length)
    if follows(model.config):
        return CachedDecoder(model, max_length)
    one_length = len({len(prompt) for prompt in prompts}) == 1
    return ForwardDecoder(model, max_length) if one_length else RecomputingDecoder(model)


def follows(config: GPTConfig) -> bool:
    """Whether `CachedDecoder` knows every switch that this config sets."""
    return all(
        field.name in KNOWN or getattr(config, field.name) == field.default for field in dataclasses.fields(config)
    )


def rows_of_equal_length(texts: Sequence[Tensor]) -> list[list[int]]:
    """The numbers of the texts, those of one length together."""
    groups: dict[int, list[int]] = {}
    for row, text in enumerate(texts):
        groups.setdefault(len(text), []).append(row)
    return list(groups.values())


def threads_for(model: nn.Module | StandIn) -> int | None:
    """How many threads make tokens fastest: one for a small model, whose matrices are read before a second wakes up.

    None leaves the number as it is.
    """
    largest = max(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))
    return 1 if largest < SHARED_FROM else None


@contextmanager
def working(threads: int | None) -> Iterator[None]:
    """Without gradients and on so many threads; afterwards all is as before."""
    before = torch.get_num_threads()
    change = threads is not None and threads != before
    if change:
        torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            yield
    finally:
        if change:
            torch.set_num_threads(before)


SHARED_FROM = 400_000
"""Numbers in a model's largest matrix from which on several threads read it faster than one."""
