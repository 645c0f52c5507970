"""What every model asks of the tokens and targets that it is given."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.models.gpt import IGNORED


def check_length(length: int, context_length: int) -> None:
    """Raise ValueError when a text has more tokens than the model has positions."""
    if length > context_length:
        raise ValueError(
            f"The text is {length} tokens long, but this model has {context_length} positions. Shorten the text (or "
            "cut it into pieces), or build the model with a larger context_length."
        )


def check_range(what: str, ids: Tensor, count: int, advice: str) -> None:
    """Raise ValueError when an id is not in 0 … count - 1; `what` and `advice` begin and end the message."""
    # Reading the range would stall a GPU at every step; there the kernel itself reports an error.
    if ids.device.type != "cpu" or not ids.numel() or torch.compiler.is_compiling():
        return
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= count:
        raise ValueError(f"{what} {high if high >= count else low} is outside 0 … {count - 1}: {advice}")


def mean_cross_entropy(
    logits: Float[Tensor, "*places classes"],
    targets: Int[Tensor, "*places"],
    what: str,
    advice: str,
    *,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats over the targets that are not IGNORED, at least in float32; 0 when none is left.

    With `label_smoothing` ε the target has the probability 1 - ε, and the rest is spread over all classes alike.

    Raises ValueError for a target that is no class; `what` and `advice` as in `check_range`.
    """
    check_range(what, targets.masked_fill(targets == IGNORED, 0), logits.shape[-1], advice)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    total = F.cross_entropy(
        logits.flatten(0, -2),
        targets.flatten().long(),
        ignore_index=IGNORED,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    return total / (targets != IGNORED).sum().clamp(min=1)
