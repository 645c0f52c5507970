"""Linear probes, with the control that says whether a probe found something or learned it by heart.

A probe is a logistic regression from a model's vectors to labels. If it does well, the labels can be read off; but
with enough dimensions, so can labels that mean nothing. Hewitt and Liang's control task gives every *type* of item a
random label: what the probe scores there it owes to its own memory, and selectivity is what is left.

Source: Hewitt and Liang 2019, "Designing and Interpreting Probes with Control Tasks".
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

MOST_STEPS = 500
TOLERANCE = 1e-7  # of the gradient's largest number, per item: where fitting stops


@dataclass(frozen=True)
class LinearProbe:
    """softmax(W x + b): the log-odds of each class are linear in the vector.

    Attributes:
        weight: W; with two classes a row for each, one the negative of the other.
        bias: b.
    """

    weight: Float[Tensor, "classes width"]
    bias: Float[Tensor, "classes"]

    def probabilities(self, features: Float[Tensor, "items width"]) -> Float[Tensor, "items classes"]:
        """How likely each class is, for each vector."""
        return (features.to(self.weight) @ self.weight.T + self.bias).softmax(dim=-1)

    def predict(self, features: Float[Tensor, "items width"]) -> Int[Tensor, "items"]:
        """The likeliest class of each vector."""
        return self.probabilities(features).argmax(dim=-1)

    def accuracy(self, features: Float[Tensor, "items width"], labels: Int[Tensor, "items"]) -> float:
        """The share of vectors whose label it predicts."""
        return (self.predict(features) == labels).double().mean().item()


def fit_probe(
    features: Float[Tensor, "items width"], labels: Int[Tensor, "_items"], *, strength: float = 1.0
) -> LinearProbe:
    """The logistic regression with the least ½‖W‖² + strength · Σ −log p(label), found by L-BFGS in float64.

    `strength` is scikit-learn's C: large ones trust the data, small ones keep the weights small; b is free. With two
    classes one row of weights w decides, as it does there: W = (−w/2, w/2) and the penalty is ½‖w‖².

    Raises ValueError when there are fewer than two classes, or labels and vectors differ in number.
    """
    if len(features) != len(labels):
        raise ValueError(f"There are {len(features)} vectors and {len(labels)} labels: each vector needs one.")
    n_classes = int(labels.max()) + 1 if len(labels) else 0
    if n_classes < 2 or labels.min() < 0 or len(labels.unique()) < 2:
        raise ValueError(
            f"A probe tells at least two classes apart, numbered from 0; these labels are {labels.unique().tolist()}."
        )
    x = features.detach().double().cpu()
    labels = labels.cpu()
    rows = 1 if n_classes == 2 else n_classes
    weight = torch.zeros(rows, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(rows, dtype=torch.float64, requires_grad=True)

    def scores() -> Tensor:
        found = x @ weight.T + bias
        return torch.cat([-found / 2, found / 2], dim=1) if rows == 1 else found

    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=MOST_STEPS,
        tolerance_grad=TOLERANCE,
        tolerance_change=0.0,
        history_size=30,
        line_search_fn="strong_wolfe",
    )

    def cost() -> Tensor:
        optimizer.zero_grad()
        total = F.cross_entropy(scores(), labels) + weight.square().sum() / (2 * strength * len(x))
        total.backward()
        return total

    optimizer.step(cost)
    found, offset = weight.detach(), bias.detach()
    if rows == 1:
        return LinearProbe(torch.cat([-found / 2, found / 2]), torch.cat([-offset / 2, offset / 2]))
    return LinearProbe(found, offset - offset.mean())


def control_labels(types: Sequence[Hashable], labels: Int[Tensor, "items"], seed: int = 0) -> Int[Tensor, "items"]:
    """The control task: each type gets one label at random, as frequent as in the real task, and every item its type's.

    Nothing about an item's *context* can predict such a label: it can only be learned by heart, type by type.

    Source: Hewitt and Liang 2019, section 2.
    """
    generator = torch.Generator().manual_seed(seed)
    kinds = list(dict.fromkeys(types))
    drawn = labels[torch.randint(len(labels), (len(kinds),), generator=generator)]
    label_of = dict(zip(kinds, drawn.tolist(), strict=True))
    return torch.tensor([label_of[kind] for kind in types])


class ProbeScore(NamedTuple):
    """How well a probe does on held-out items.

    Attributes:
        accuracy: on the real task.
        control: on the control task.
        majority: of always giving the most frequent label.
    """

    accuracy: float
    control: float
    majority: float

    @property
    def selectivity(self) -> float:
        """accuracy − control: what the probe found that it did not learn by heart."""
        return self.accuracy - self.control


def probe(
    features: Float[Tensor, "items width"],
    labels: Int[Tensor, "items"],
    types: Sequence[Hashable],
    *,
    strength: float = 1.0,
    test_share: float = 0.3,
    seed: int = 0,
) -> ProbeScore:
    """Fit a probe and its control on some of the items, and score both on the others.

    Args:
        features: a vector for each item, such as the stream at one layer.
        labels: what to read off, from 0.
        types: what makes items the same for the control task, such as the token.
        strength: as for `fit_probe`.
        test_share: the share of items that the probes are scored on.
        seed: of the split and of the control's labels.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    cut = round(len(labels) * test_share)
    test, train = order[:cut], order[cut:]
    control = control_labels(types, labels, seed)

    def accuracy(task: Tensor) -> float:
        return fit_probe(features[train], task[train], strength=strength).accuracy(features[test], task[test])

    most = labels[train].bincount().argmax()
    return ProbeScore(accuracy(labels), accuracy(control), (labels[test] == most).double().mean().item())
