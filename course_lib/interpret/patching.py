"""Activation patching: put what a model thought in one run into another, and see what it changes.

Two inputs differ in one thing, and the model answers them differently. Run it on the corrupted one, but at one place
give it the value from the clean run: a place that brings the clean answer back carries the difference.

Sources: Vig et al. 2020, "Investigating Gender Bias in Language Models Using Causal Mediation Analysis"; Meng et al.
2022, "Locating and Editing Factual Associations in GPT"; Wang et al. 2022, "Interpretability in the Wild" (paths).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from course_lib.interpret.activations import Site, edit_activations, record_activations
from course_lib.interpret.running import Inputs, run_on
from course_lib.interpret.tap import Edit

Metric = Callable[[Tensor], Tensor]
"""From logits (batch, time, vocab_size) to one number for each text, (batch,)."""

SMALLEST = 1e-4  # a difference between two runs below this is no difference to bring back


def logit_difference(right: Int[Tensor, "batch"], wrong: Int[Tensor, "batch"], position: int = -1) -> Metric:
    """The metric logit(right) − logit(wrong) at one position: how much more the model says one than the other."""

    def metric(logits: Float[Tensor, "batch time vocab_size"]) -> Float[Tensor, "batch"]:
        rows = torch.arange(len(right))
        return logits[rows, position, right] - logits[rows, position, wrong]

    return metric


@dataclass(frozen=True)
class Patching:
    """What each patch brought back.

    Attributes:
        effect: for each place (patched − corrupted) / (clean − corrupted), of the metric's mean over the batch: 0 for
            nothing, 1 for all of it; (layers, time) or, for heads, (layers, heads); one axis of positions more or
            less when they are patched one by one or together.
        clean, corrupted: the metric's mean in the two runs.
        positions: the positions that were patched.
    """

    effect: Float[NDArray, "..."]
    clean: float
    corrupted: float
    positions: tuple[int, ...]


@torch.no_grad()
def patch_each(
    model: nn.Module,
    clean: Inputs,
    corrupted: Inputs,
    metric: Metric,
    part: str = "stream",
    *,
    positions: Sequence[int] | None = None,
    each_position: bool | None = None,
    view: str = "self",
) -> Patching:
    """Patch every place of one kind in turn from the clean run into the corrupted one.

    Args:
        model: in evaluation mode; as before at the end, whatever happens.
        clean, corrupted: two inputs of one shape.
        metric: what is measured, such as `logit_difference`.
        part: "stream" (entering each block, and leaving the last), "attention", "mlp" or "head".
        positions: the positions that are patched; all of them when left out.
        each_position: patch the positions one by one, or all at once; by default one by one, but heads all at once.
        view: which stack, for an encoder–decoder.

    Raises ValueError when the inputs differ in shape, when the two runs hardly differ in the metric, or when there is
    no such part or view.
    """
    with record_activations(model, [part]) as seen:
        clean_value = metric(_logits(model, clean)).mean().item()
        values = {site: value.clone() for site, value in seen.items() if site.view == view}
        corrupted_value = metric(_logits(model, corrupted)).mean().item()
    if not values:
        raise ValueError(f"There is no {part!r} in the view {view!r} of {type(model).__name__}.")
    shapes = {site: seen[site].shape for site in values}
    _check_shapes(values, shapes)
    _check_difference(clean_value, corrupted_value)
    time = next(iter(shapes.values()))[1]
    places = tuple(range(time)) if positions is None else tuple(position % time for position in positions)
    one_by_one = part != "head" if each_position is None else each_position
    groups = [[place] for place in places] if one_by_one else [list(places)]

    def effect(site: Site, group: list[int]) -> float:
        with edit_activations(model, {site: _taken_from(values[site], group)}):
            patched = metric(_logits(model, corrupted)).mean().item()
        return (patched - corrupted_value) / (clean_value - corrupted_value)

    effects = np.array([[effect(site, group) for group in groups] for site in sorted(values, key=_order)])
    layers = len({site.layer for site in values})
    shape = (layers, -1) if part == "head" else (layers,)
    return Patching(
        effects.reshape(*shape, len(groups)) if one_by_one else effects.reshape(shape),
        clean_value,
        corrupted_value,
        places,
    )


@torch.no_grad()
def patch_path(
    model: nn.Module, clean: Inputs, corrupted: Inputs, metric: Metric, sender: Site, *receivers: Site
) -> float:
    """How much of the clean answer comes back through one path alone: from `sender` straight to the `receivers`.

    The model runs on the corrupted input with the sender's clean value, while every other head and feed-forward
    network says what it said in the corrupted run; what the receivers then say is put into a plain corrupted run.
    The answer is the effect, as in `Patching`. A receiver is a head, a feed-forward network, or the stream that leaves
    the last block, which is the path straight to the logits.

    Source: Wang et al. 2022, "Interpretability in the Wild", section 3.1.
    """
    with record_activations(model) as seen:
        clean_value = metric(_logits(model, clean)).mean().item()
        sent = _value(seen, sender).clone()
        corrupted_value = metric(_logits(model, corrupted)).mean().item()
        kept = {site: value.clone() for site, value in seen.items() if site.part in ("head", "mlp")}
    _check_shapes({sender: sent}, {sender: seen[sender].shape})
    _check_difference(clean_value, corrupted_value)
    frozen = {site: _constant(value) for site, value in kept.items() if site not in receivers}
    with record_activations(model) as seen, edit_activations(model, frozen | {sender: _constant(sent)}):
        _logits(model, corrupted)
        received = {receiver: _constant(_value(seen, receiver).clone()) for receiver in receivers}
    with edit_activations(model, received):
        patched = metric(_logits(model, corrupted)).mean().item()
    return (patched - corrupted_value) / (clean_value - corrupted_value)


def _logits(model: nn.Module, inputs: Inputs) -> Tensor:
    return run_on(model, inputs).logits


def _taken_from(value: Tensor, positions: list[int]) -> Edit:
    """The edit that puts another run's vectors in at some positions."""

    def edit(own: Tensor) -> Tensor:
        patched = own.clone()
        patched[:, positions] = value[:, positions]
        return patched

    return edit


def _constant(value: Tensor) -> Edit:
    return lambda own: value


def _order(site: Site) -> tuple[int, int]:
    return site.layer, site.head or 0


def _value(seen: Mapping[Site, Any], site: Site) -> Tensor:
    """What a site said; ValueError when it said nothing."""
    if site not in seen:
        raise ValueError(f"There is no {tuple(site)} in this model.")
    return seen[site]


def _check_shapes(one: Mapping[Site, Tensor], other: Mapping[Site, torch.Size]) -> None:
    for site, value in one.items():
        if value.shape != other[site]:
            raise ValueError(
                f"The clean and the corrupted input must have the same shape, but a value of one has shape "
                f"{tuple(value.shape)} and of the other {tuple(other[site])}: change tokens, don't add or remove any."
            )


def _check_difference(clean: float, corrupted: float) -> None:
    if not abs(clean - corrupted) > SMALLEST:
        raise ValueError(
            f"The metric is {clean:.4f} in the clean run and {corrupted:.4f} in the corrupted one: there is nothing "
            "to bring back. Choose inputs that the model answers differently."
        )
