"""Filling in masks: what a BERT thinks stands at a [MASK]."""

from typing import Any, NamedTuple

import torch
from torch import nn

from course_lib.models.inputs import check_length


class Guess(NamedTuple):
    """A token that may stand at a mask, its probability, and the text with it in place."""

    token: str
    probability: float
    text: str


@torch.no_grad()
def fill_mask(model: nn.Module, tokenizer: Any, text: str, top_k: int = 5) -> list[list[Guess]]:
    """For each [MASK] in the text, its `top_k` likeliest tokens, the likeliest first.

    Each mask is filled on its own, the others staying masks: a model of masked tokens does not write, and likely tokens
    for two neighbours need not go together.

    Args:
        model: answers `model(tokens).logits` for every place, as `BERTForPretraining`.
        tokenizer: with a mask token, as WordPieceTokenizer.

    Raises ValueError for a tokenizer without a mask token, a text without a mask, and one that is too long.
    """
    if getattr(tokenizer, "mask_id", None) is None:
        raise ValueError(
            f"This {type(tokenizer).__name__} has no mask token, so there is nothing to fill in: use the tokenizer of "
            "a BERT."
        )
    mask = tokenizer.tokens[tokenizer.mask_id]
    ids = torch.tensor([tokenizer.cls_id, *tokenizer.encode(text, allow_special=True), tokenizer.sep_id])
    places = (ids == tokenizer.mask_id).nonzero().flatten().tolist()
    if not places:
        other = next((word for word in ("<mask>", "[MASK]", "[mask]") if word in text), None)
        hint = f" {other} is another model's." if other else ""
        raise ValueError(f"The text has no {mask}, which is how this model's mask is written.{hint}")
    check_length(len(ids), model.config.context_length)
    was_training = model.training
    chances = model.eval()(ids[None].to(next(model.parameters()).device)).logits[0].float().softmax(dim=-1).cpu()
    model.train(was_training)
    return [[_guess(tokenizer, ids, place, *best) for best in _best(chances[place], top_k)] for place in places]


def _best(chances: torch.Tensor, top_k: int) -> list[tuple[int, float]]:
    best = chances.topk(min(top_k, len(chances)))
    return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))


def _guess(tokenizer: Any, ids: torch.Tensor, place: int, token: int, probability: float) -> Guess:
    filled = ids.clone()
    filled[place] = token
    return Guess(tokenizer.tokens[token], probability, tokenizer.decode(filled[1:-1].tolist()))
