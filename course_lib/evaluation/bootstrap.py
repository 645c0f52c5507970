"""How sure a score is: what it would have been on other samples like this one."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A score, and the interval that holds the middle `level` of the bootstrap's scores."""

    score: float
    low: float
    high: float
    level: float

    def __str__(self) -> str:
        return f"{self.score:.3f} ({self.low:.3f} to {self.high:.3f})"


def bootstrap_interval(
    score: Callable[..., float],
    *items: Sequence[Any],
    level: float = 0.95,
    n_samples: int = 1_000,
    seed: int = 0,
) -> Interval:
    """The score of the items, with the interval in which it lies when items are drawn again, with replacement.

    `bootstrap_interval(lambda truth, guess: classification_report(truth, guess).macro.f1, truth, guess)`

    It tells what other *test items* would change, and nothing about other trainings. With fewer than about 20 items
    it is too narrow. To compare two systems on the same items, score their difference: the draws are then paired.

    Args:
        score: from lists of items to a number.
        items: lists of the same length; item i of each is drawn together.

    Raises ValueError for lists of different lengths or without items, and for a level that is no probability.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3 (percentiles).
    """
    sizes = {len(each) for each in items}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(f"The bootstrap draws items of lists of one length, but these have {sorted(sizes)} items.")
    if not 0 < level < 1:
        raise ValueError(f"level is a probability between 0 and 1, such as 0.95, but it is {level}.")
    size = sizes.pop()
    rng = np.random.default_rng(seed)
    scores = []
    for _ in range(n_samples):
        drawn = rng.integers(size, size=size)
        scores.append(score(*([each[index] for index in drawn] for each in items)))
    tail = (1 - level) / 2
    low, high = np.quantile(scores, [tail, 1 - tail])
    return Interval(float(score(*items)), float(low), float(high), level)
