"""From logits to the probabilities that the next token is drawn from."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def next_token_probabilities(
    logits: Float[Tensor, "*batch vocab_size"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    seen: Bool[Tensor, "*batch vocab_size"] | None = None,
) -> Float[Tensor, "*batch vocab_size"]:
    """The probabilities that a token is drawn from, after penalty, temperature and truncation.

    Args:
        logits: unnormalised log-probabilities.
        temperature: divides the logits; below 1 sharpens, above 1 flattens. 0 puts everything on the largest.
        top_k: keep the k most probable tokens.
        top_p: keep the fewest tokens whose probabilities add up to at least p.
        min_p: keep tokens at least min_p times as probable as the most probable one.
        repetition_penalty: divides the positive logits of tokens in `seen`, and multiplies the negative ones.
        seen: True for the tokens that the text holds already; needed for a penalty.

    The penalty comes first. Truncations apply in the order of the arguments, each to what the one before left.

    Raises ValueError for a setting outside its range.

    Sources: Fan et al. 2018 (top-k); Holtzman et al. 2020 (top-p); Nguyen et al. 2024 (min-p); Keskar et al. 2019,
    section 4.1 (repetition penalty).
    """
    check_settings(temperature, top_k, top_p, min_p, repetition_penalty)
    return probabilities_unchecked(logits, temperature, top_k, top_p, min_p, repetition_penalty, seen)


def probabilities_unchecked(
    logits: Float[Tensor, "*batch vocab_size"],
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    min_p: float | None,
    repetition_penalty: float,
    seen: Bool[Tensor, "*batch vocab_size"] | None,
) -> Float[Tensor, "*batch vocab_size"]:
    """`next_token_probabilities` for settings that were checked: what runs for each token."""
    if repetition_penalty != 1:
        logits = penalise(logits, seen, repetition_penalty)
    if temperature == 0:
        return torch.zeros_like(logits).scatter(-1, logits.argmax(dim=-1, keepdim=True), 1.0)

    logits = logits.float()
    probabilities = (logits if temperature == 1 else logits / temperature).softmax(dim=-1)
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


def penalise(
    logits: Float[Tensor, "*batch vocab_size"], seen: Bool[Tensor, "*batch vocab_size"], penalty: float
) -> Float[Tensor, "*batch vocab_size"]:
    """The logits with those of the tokens in `seen` pushed down: divided by `penalty`, or multiplied if negative.

    Source: Keskar et al. 2019, "CTRL", section 4.1. Its code divides whatever the sign, which would
    raise a negative logit; the sign rule is the one of `transformers`.
    """
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def _keep(probabilities: Float[Tensor, "*batch vocab_size"], kept: Tensor) -> Float[Tensor, "*batch vocab_size"]:
    """Zero outside `kept`, and adding to 1 again."""
    probabilities = probabilities.masked_fill(~kept, 0.0)
    return probabilities / probabilities.sum(dim=-1, keepdim=True)


def check_settings(
    temperature: float, top_k: int | None, top_p: float | None, min_p: float | None, repetition_penalty: float = 1.0
) -> None:
    """Raise ValueError for a setting outside its range."""
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature must be 0 or more, but it is {temperature}. 0 always takes the likeliest token.")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k keeps that many tokens, so it must be at least 1, but it is {top_k}.")
    for name, value in (("top_p", top_p), ("min_p", min_p)):
        if value is not None and not 0 < value <= 1:
            raise ValueError(f"{name} is a share of probability, above 0 and at most 1, but it is {value}.")
    if not (repetition_penalty > 0 and math.isfinite(repetition_penalty)):
        raise ValueError(
            f"repetition_penalty must be above 0, but it is {repetition_penalty}. 1 changes nothing, 1.2 is usual."
        )
