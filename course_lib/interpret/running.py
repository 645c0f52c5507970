"""How models of different make are run for a reading: the ids they take, their masks, the logits they give."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.interpret.encoding import end_id_of
from course_lib.interpret.tap import stacks_of
from course_lib.nn.attention import MultiHeadAttention, causal_mask

GENERATED = 40  # tokens that a decoder writes at most when nobody says what it reads


Inputs = Tensor | tuple[Tensor, ...] | Mapping[str, Tensor]
"""What a model is called with: `model(tokens)`, `model(*several)` or `model(**named)`."""


def run_on(model: nn.Module, inputs: Inputs) -> Any:
    """What a model answers to an input, however it is given."""
    if isinstance(inputs, Tensor):
        return model(inputs)
    return model(**inputs) if isinstance(inputs, Mapping) else model(*inputs)


class CourseModel:
    """A model of this course with one stack: `model(tokens)` answers with `.logits`, or with vectors only."""

    def __init__(self, model: nn.Module):
        self.model = model
        self.limit: int | None = getattr(getattr(model, "config", None), "context_length", None)
        self.two_stacks = False

    def run(self, ids: Sequence[int], causal: bool | None) -> Tensor | None:
        """Logits (query, vocab_size), or None from a model that predicts no tokens."""
        with causal_or_not(self.model, causal):
            output = self.model(ids_tensor(self.model, ids))
        return token_logits(output, getattr(self.model.config, "vocab_size", None))


class CourseEncoderDecoder:
    """An encoder–decoder of this course: `encode` reads a text, and `decode` predicts while it looks at it.

    `end_id` is what it ends a text with when it writes; None lets it write on until there is enough.
    """

    def __init__(self, model: nn.Module, end_id: int | None):
        self.model = model
        self.end_id = end_id
        self.limit: int | None = model.config.context_length
        self.two_stacks = True

    def run(self, ids: Sequence[int], causal: bool | None, decoder_ids: Sequence[int] | None = None) -> Tensor:
        """Logits (query, vocab_size) after each token that the decoder reads."""
        with causal_or_not(self.model.decoder, causal):
            encoded = self.model.encode(ids_tensor(self.model, ids))
            return self.model.decode(ids_tensor(self.model, decoder_ids), encoded).logits[0]

    def start_id(self) -> int:
        """What the decoder reads before the first token."""
        return self.model.config.first_id

    def write(self, ids: Sequence[int]) -> list[int]:
        """What the decoder writes for a text, the start token first, always taking the likeliest token."""
        encoded = self.model.encode(ids_tensor(self.model, ids))
        written = [self.start_id()]
        while len(written) <= min(GENERATED, self.limit - 1):
            likeliest = int(self.model.decode(ids_tensor(self.model, written), encoded).logits[0, -1].argmax())
            if likeliest == self.end_id:
                break
            written.append(likeliest)
        return written


@contextmanager
def causal_or_not(module: nn.Module, causal: bool | None) -> Iterator[None]:
    """Within the `with`, every self-attention in a module is causal or is not, whatever it is asked for."""
    if causal is None:
        yield
        return

    def change(attention: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]] | None:
        if len(args) > 1 or kwargs.get("context") is not None:
            return None  # a cross-attention has no later keys
        return args, kwargs | {"causal": causal}

    hooks = [
        part.register_forward_pre_hook(change, with_kwargs=True)
        for part in module.modules()
        if isinstance(part, MultiHeadAttention)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class TransformersModel:
    """A model of transformers: an encoder, a decoder, or both."""

    def __init__(self, model: nn.Module):
        self.model = model
        self.two_stacks = len(stacks_of(model)) == 2
        self.limit = position_limit(model)
        self._arguments = inspect.signature(model.forward).parameters

    def run(self, ids: Sequence[int], causal: bool | None, decoder_ids: Sequence[int] | None = None) -> Tensor | None:
        """Logits (query, vocab_size) of the stack that predicts, or None from a model that predicts no tokens."""
        tokens = ids_tensor(self.model, ids)
        inputs: dict[str, Any] = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
        if self.two_stacks:
            inputs["decoder_input_ids"] = ids_tensor(self.model, decoder_ids)
        if causal is not None:
            name = "decoder_attention_mask" if self.two_stacks else "attention_mask"
            inputs[name] = self._mask(len(decoder_ids if self.two_stacks else ids), causal)
        if "use_cache" in self._arguments:
            inputs["use_cache"] = False
        try:
            output = self.model(**inputs)
        except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
            if causal is None:
                raise
            raise ValueError(
                f"{type(self.model).__name__} makes its mask in its own way, so the mask cannot be changed here: "
                f"with another one it failed with {type(error).__name__}: {error}"
            ) from error
        return token_logits(output, self.model.config.get_text_config().vocab_size)

    def start_id(self) -> int:
        """What a decoder reads before the first token."""
        config, generation = self.model.config, getattr(self.model, "generation_config", None)
        for name in ("decoder_start_token_id", "bos_token_id", "pad_token_id"):
            for place in (config, generation):
                if getattr(place, name, None) is not None:
                    return int(getattr(place, name))
        raise ValueError(
            "This model does not say what its decoder reads first: set model.config.decoder_start_token_id."
        )

    def write(self, ids: Sequence[int]) -> list[int] | None:
        """What the decoder writes for a text, always taking the likeliest token; None if it cannot write."""
        if not (hasattr(self.model, "can_generate") and self.model.can_generate()):
            return None
        tokens = ids_tensor(self.model, ids)
        written = self.model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=min(GENERATED, (self.limit or GENERATED + 1) - 1),
            do_sample=False,
            num_beams=1,
        )[0].tolist()
        end = self.model.generation_config.eos_token_id
        ends = set(end if isinstance(end, list) else [end])
        return written[:-1] if len(written) > 1 and written[-1] in ends else written

    def _mask(self, length: int, causal: bool) -> Float[Tensor, "1 1 query key"]:
        """A mask that is added to the scores; with four axes it takes the place of the model's own."""
        weight = next(self.model.parameters())
        mask = torch.zeros(1, 1, length, length, dtype=weight.dtype, device=weight.device)
        if causal:
            mask = mask.masked_fill(~causal_mask(length, device=weight.device), torch.finfo(weight.dtype).min)
        return mask


def runner_for(model: nn.Module, tokenizer: Any) -> CourseModel | CourseEncoderDecoder | TransformersModel:
    """What runs a model, by its make."""
    if is_transformers(model):
        return TransformersModel(model)
    if len(stacks_of(model)) == 2:
        return CourseEncoderDecoder(model, end_id_of(tokenizer))
    return CourseModel(model)


def is_transformers(model: nn.Module) -> bool:
    """Whether a model is of transformers' make, told without importing transformers."""
    return hasattr(getattr(model, "config", None), "get_text_config")


def position_limit(model: nn.Module) -> int | None:
    """The most tokens that a model of transformers has positions for; None when they are relative."""
    config = model.config.get_text_config()
    limit = getattr(config, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit < 1:
        return None
    reserved = [  # RoBERTa counts positions from its padding id on
        module.padding_idx + 1
        for name, module in model.named_modules()
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None
    ]
    return limit - max(reserved, default=0)


def ids_tensor(model: nn.Module, ids: Sequence[int]) -> Tensor:
    """The ids as a batch of one, where the model is."""
    return torch.tensor([list(ids)], dtype=torch.long, device=next(model.parameters()).device)


def token_logits(output: Any, vocab_size: int | None) -> Float[Tensor, "query vocab_size"] | None:
    """The scores of every token of the vocabulary at each place; None where the model predicts something else."""
    logits = getattr(output, "logits", None)
    if logits is None:
        logits = getattr(output, "prediction_logits", None)  # BERT with both its pre-training heads
    if logits is None or logits.ndim != 3 or logits.shape[-1] != vocab_size:
        return None
    return logits[0]


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Within the `with`, no gradients and no dropout; at the end every part is in the mode it was in before."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def lowest_to_minus_infinity(scores: Tensor, weights: Tensor) -> Tensor:
    """The scores with −∞ at masked places: models add a very low number there, and its size is only their habit."""
    masked = (weights == 0) & (scores < -5000)
    return scores.masked_fill(masked, -math.inf) if masked.any() else scores
