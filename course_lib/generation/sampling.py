"""Sampling: turn logits into a choice, append it, and ask again."""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.models.gpt import GPT


def next_token_probabilities(
    logits: Float[Tensor, "*batch vocab_size"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Float[Tensor, "*batch vocab_size"]:
    """The probabilities that a token is drawn from, after temperature and truncation.

    Args:
        logits: unnormalised log-probabilities.
        temperature: divides the logits; below 1 sharpens, above 1 flattens. 0 puts everything on the largest.
        top_k: keep the k most probable tokens.
        top_p: keep the fewest tokens whose probabilities add up to at least p.
        min_p: keep tokens at least min_p times as probable as the most probable one.

    Truncations apply in the order of the arguments, each to what the one before left.

    Raises ValueError for a setting outside its range.

    Sources: Fan et al. 2018 (top-k); Holtzman et al. 2020 (top-p); Nguyen et al. 2024 (min-p).
    """
    _check_settings(temperature, top_k, top_p, min_p)
    if temperature == 0:
        return torch.zeros_like(logits).scatter(-1, logits.argmax(dim=-1, keepdim=True), 1.0)

    probabilities = (logits.float() / temperature).softmax(dim=-1)
    if top_k is not None:
        kth = probabilities.topk(min(top_k, probabilities.shape[-1]), dim=-1).values[..., -1:]
        probabilities = _keep(probabilities, probabilities >= kth)
    if top_p is not None:
        sorted_probabilities, order = probabilities.sort(dim=-1, descending=True, stable=True)
        before = sorted_probabilities.cumsum(dim=-1) - sorted_probabilities  # what more probable tokens add up to
        kept = torch.zeros_like(probabilities, dtype=torch.bool).scatter(-1, order, before < top_p)
        probabilities = _keep(probabilities, kept)
    if min_p is not None:
        probabilities = _keep(probabilities, probabilities >= min_p * probabilities.amax(dim=-1, keepdim=True))
    return probabilities


@torch.no_grad()
def stream(
    model: GPT,
    tokens: Int[Tensor, "batch time"],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    use_cache: bool = True,
    generator: torch.Generator | None = None,
) -> Iterator[Int[Tensor, "batch"]]:
    """Yield the next token of every sequence, one step at a time.

    Past the model's context the oldest tokens are forgotten: the window slides, and is computed anew.

    Args as in `generate`.
    """
    if tokens.shape[1] == 0:
        raise ValueError("The prompt is empty: give the model at least one token to start from, such as the end token.")
    was_training = model.training
    model.eval()
    context = model.config.context_length
    cache = model.new_cache(tokens.shape[0]) if use_cache else None
    fresh = tokens[:, -context:]  # what the model has not seen yet
    try:
        for _ in range(max_new_tokens):
            logits = model(fresh, cache=cache).logits[:, -1]
            probabilities = next_token_probabilities(
                logits, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p
            )
            token = torch.multinomial(probabilities, 1, generator=generator)  # (batch, 1)
            yield token[:, 0]
            tokens = torch.cat([tokens, token], dim=1)
            if cache is not None and cache[0].length == context:
                cache = None
            fresh = tokens[:, -context:] if cache is None else token
    finally:
        model.train(was_training)


def generate(
    model: GPT,
    tokens: Int[Tensor, "batch time"],
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    use_cache: bool = True,
    generator: torch.Generator | None = None,
    *,
    stop_id: int | None = None,
) -> Int[Tensor, "batch longer"]:
    """Continue each sequence by up to `max_new_tokens`; answer prompt and continuation.

    Args:
        model: answers logits for tokens.
        tokens: the prompts, all of one length, on the model's device.
        max_new_tokens: how many tokens to add at most.
        temperature, top_k, top_p, min_p: as in `next_token_probabilities`.
        use_cache: keep keys and values of earlier tokens instead of computing them again; same result, faster.
        generator: source of randomness, on the model's device; default torch's own.
        stop_id: a sequence that produces this token is finished; when all are, generation ends. What a finished
            sequence gets after it is more `stop_id`.
    """
    steps = stream(
        model,
        tokens,
        max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        use_cache=use_cache,
        generator=generator,
    )
    finished = torch.zeros(tokens.shape[0], dtype=torch.bool, device=tokens.device)
    for token in steps:
        if stop_id is not None:
            token = token.masked_fill(finished, stop_id)
            finished |= token == stop_id
        tokens = torch.cat([tokens, token[:, None]], dim=1)
        if finished.all():
            break
    return tokens


def _keep(probabilities: Float[Tensor, "*batch vocab_size"], kept: Tensor) -> Float[Tensor, "*batch vocab_size"]:
    """Zero outside `kept`, and adding to 1 again."""
    probabilities = probabilities.masked_fill(~kept, 0.0)
    return probabilities / probabilities.sum(dim=-1, keepdim=True)


def _check_settings(temperature: float, top_k: int | None, top_p: float | None, min_p: float | None) -> None:
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature must be 0 or more, but it is {temperature}. 0 always takes the likeliest token.")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k keeps that many tokens, so it must be at least 1, but it is {top_k}.")
    for name, value in (("top_p", top_p), ("min_p", min_p)):
        if value is not None and not 0 < value <= 1:
            raise ValueError(f"{name} is a share of probability, above 0 and at most 1, but it is {value}.")
