"""One training loop for the small networks of lesson 01."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def minimise(model: nn.Module, batch_losses: Iterable[Tensor], steps: int, learning_rate: float) -> list[float]:
    """Train in place with Adam, gradients clipped to norm 1, the rate decayed to 2 % of itself; each step's loss.

    Args:
        batch_losses: one scalar a step, computed when it is asked for (a generator), so that each sees the weights
            that the step before it left.
        steps: over how many steps the rate falls; as many losses are expected.
    """
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.02, total_iters=steps)
    losses = []
    for loss in batch_losses:
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    return losses
