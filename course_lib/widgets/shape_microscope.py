"""The cells of a tensor on their way through split, attend and merge, and where each of them came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from course_lib import plots
from course_lib.plots.heads import LIGHT, TOKEN_COLORS
from course_lib.widgets.base import CourseWidget

MOST_TOKENS = len(TOKEN_COLORS)
MOST_FEATURES = 12


class ShapeMicroscope(CourseWidget):
    """Follow every number of `x` through view, transpose, attend, transpose, reshape.

    Each token has a colour, and each cell carries the colours of the tokens its number was made of. The slider goes
    through the steps; the box takes the wrong view, `view(batch, heads, time, d_head)`. Point at a cell, or walk with
    the arrow keys, to see its place in memory, how the strides lead there, and which token it came from.

    The steps are done by torch on the given tensor. In the attend step, queries, keys and values are all `x`.

    Args:
        x: (batch, time, d_model) numbers; at most 8 tokens in all, and 12 features.
        n_heads: into how many heads to cut; divides d_model.
        tokens: the tokens' names, one list for each sentence.

    Raises:
        ValueError: when the tensor is too large to draw, or the heads or names do not fit it.
    """

    label = "Shape microscope"
    step = traitlets.Int(0).tag(sync=True)
    wrong = traitlets.Bool(False).tag(sync=True)
    sizes = traitlets.List(traitlets.Int()).tag(sync=True)  # batch, time, heads, d_head
    tokens = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)
    colors = traitlets.List(traitlets.Unicode()).tag(sync=True)
    right_steps = traitlets.List(traitlets.Dict()).tag(sync=True)
    wrong_steps = traitlets.List(traitlets.Dict()).tag(sync=True)

    def __init__(self, x: Any, n_heads: int, tokens: Sequence[Sequence[str]] | None = None) -> None:
        if x.ndim != 3:
            raise ValueError(f"x must be (batch, time, d_model), but it has {x.ndim} axes: {tuple(x.shape)}.")
        batch, time, d_model = x.shape
        if batch * time > MOST_TOKENS or d_model > MOST_FEATURES:
            raise ValueError(
                f"At most {MOST_TOKENS} tokens of {MOST_FEATURES} features can be drawn, but x has {batch * time} "
                f"tokens of {d_model}: give it a part of x."
            )
        if n_heads < 1 or d_model % n_heads:
            raise ValueError(f"d_model={d_model} cannot be cut into n_heads={n_heads} equal heads.")
        names = tokens or [[f"token {t}" for t in range(time)] for _ in range(batch)]
        if [len(sentence) for sentence in names] != [time] * batch:
            raise ValueError(f"x has {batch} sentences of {time} tokens, but the names do not: {names}.")
        super().__init__(
            sizes=[batch, time, n_heads, d_model // n_heads],
            tokens=[[str(name) for name in sentence] for sentence in names],
            colors=TOKEN_COLORS[: batch * time],
            right_steps=steps(x, n_heads, wrong=False),
            wrong_steps=steps(x, n_heads, wrong=True),
        )

    def static_picture(self) -> tuple[Figure, str]:
        """Three moments of the right way above, and of the wrong way below."""
        figure = Figure(figsize=(9.2, 5.4), layout="constrained")
        rows = figure.subfigures(2, 1)
        for part, name, path in zip(rows, ("right", "wrong"), (self.right_steps, self.wrong_steps), strict=True):
            axes = part.subplots(1, 3, width_ratios=[1, 0.75, 1])
            for panel, number in zip(axes, (0, 2 if name == "right" else 1, 5), strict=True):
                self._draw(panel, path[number])
            part.suptitle(f"the {name} view", fontsize=10.5, fontweight="bold", x=0.01, ha="left")
        batch, time, n_heads, _ = self.sizes
        return figure, (
            f"A batch of {batch} sentences of {time} coloured tokens. With view and transpose, each row of the "
            f"{n_heads} heads has the colour of its token. With the wrong view, rows hold pieces of other tokens."
        )

    def _draw(self, axes: Axes, stage: dict[str, Any]) -> None:
        """One stage: sentences beside each other, head blocks below each other."""
        origin = np.empty(stage["shape"], dtype=object)
        for cell, sources in zip(np.ndindex(*stage["shape"]), stage["sources"], strict=True):
            origin[cell] = sources
        if stage["layout"] != "heads":
            origin = origin.reshape(*origin.shape[:2], -1)[:, None]  # (batch, 1 block, time, features)
        d_model = self.sizes[2] * self.sizes[3]
        height = 0.0
        for (sentence, block), _ in np.ndenumerate(np.empty(origin.shape[:2])):
            left = sentence * (origin.shape[3] + 2.6)
            top = block * (origin.shape[2] + 0.6)
            for (row, column), sources in np.ndenumerate(origin[sentence, block]):
                _striped(axes, left + column, top + row, sources, d_model)
            for row, name in enumerate(self.tokens[sentence]):
                axes.text(left - 0.15, top + row + 0.5, plots.drawable(name), ha="right", va="center", fontsize=8)
            height = max(height, top + origin.shape[2])
        axes.set(xlim=(-2.2, left + origin.shape[3] + 0.1), ylim=(height + 0.1, -0.1), aspect="equal")
        axes.set_title(f"{stage['title']}\n{tuple(stage['shape'])}", fontsize=8.5, fontweight="normal")
        axes.axis("off")

    def describe(self) -> str:
        """Shapes at the two ends, and how many rows of the wrong view hold another token's numbers."""
        batch, time, n_heads, d_head = self.sizes
        return (
            f"ShapeMicroscope(x ({batch}, {time}, {n_heads * d_head}) → heads ({batch}, {n_heads}, {time}, {d_head}); "
            f"cells that stand in another token's row: right view {strangers(self.right_steps[2], self.sizes)}, "
            f"wrong view {strangers(self.wrong_steps[2], self.sizes)} of {batch * time * n_heads * d_head})"
        )


def steps(x: Any, n_heads: int, *, wrong: bool) -> list[dict[str, Any]]:
    """The six stages of `x`: title, layout, shape, strides, and value, place and sources of each cell.

    The sources of a cell are pairs (place in x, share): one pair with share 1 until the attend step mixes.
    """
    import torch

    from course_lib.nn.attention import scaled_dot_product_attention

    batch, time, d_model = x.shape
    x = x.detach().float().cpu().contiguous()
    shape = (batch, n_heads, time, -1) if wrong else (batch, time, n_heads, -1)
    cut = x.view(shape)
    split = cut if wrong else cut.transpose(1, 2)
    mixed, weights = scaled_dot_product_attention(split, split, split)
    back = mixed.transpose(1, 2)

    start = torch.eye(x.numel()).view(*x.shape, -1)  # each cell is made of itself alone
    cut_from = start.view(*shape[:3], d_model // n_heads, -1)
    split_from = cut_from if wrong else cut_from.transpose(1, 2)
    mixed_from = torch.einsum("bhqk,bhkds->bhqds", weights, split_from)
    back_from = mixed_from.transpose(1, 2)
    named = "view(batch, heads, time, d_head)" if wrong else "view(batch, time, heads, d_head)"
    second = "no transpose: the shape is as wanted" if wrong else "transpose(1, 2)"
    return [
        _stage("x", "tokens", x, start),
        _stage(named, "heads" if wrong else "tokens", cut, cut_from),
        _stage(second, "heads", split, split_from),
        _stage("attend in each head", "heads", mixed, mixed_from),
        _stage("transpose(1, 2) back", "tokens", back, back_from),
        _stage("reshape(batch, time, d_model)", "tokens", back.reshape(x.shape), back_from.reshape(*x.shape, -1)),
    ]


def _stage(title: str, layout: str, tensor: Any, sources: Any) -> dict[str, Any]:
    cells = np.stack(np.unravel_index(np.arange(tensor.numel()), tensor.shape), axis=-1)
    shares = sources.reshape(tensor.numel(), -1).numpy()
    return {
        "title": title,
        "layout": layout,
        "shape": list(tensor.shape),
        "strides": list(tensor.stride()),
        "values": [round(float(value), 4) for value in tensor.flatten()],
        "places": (cells @ np.array(tensor.stride())).tolist(),
        "sources": [[[int(i), round(float(row[i]), 4)] for i in np.flatnonzero(row > 1e-6)] for row in shares],
    }


def strangers(stage: dict[str, Any], sizes: Sequence[int]) -> int:
    """How many cells of a (batch, heads, time, d_head) stage hold a number of another token than their row's."""
    batch, time, n_heads, d_head = sizes
    token = np.array([sources[0][0] for sources in stage["sources"]]).reshape(batch, n_heads, time, d_head)
    token //= n_heads * d_head
    own = np.arange(batch * time).reshape(batch, 1, time, 1)
    return int((token != own).sum())


def _striped(axes: Axes, x: float, y: float, sources: Sequence[Sequence[float]], d_model: int) -> None:
    """A cell with a stripe for each token it was made of, as wide as the token's share; its place of origin on it."""
    start = 0.0
    for place, share in sources:
        color = TOKEN_COLORS[int(place) // d_model]
        axes.add_patch(Rectangle((x + start, y), share, 1, facecolor=color, linewidth=0))
        start += share
    axes.add_patch(Rectangle((x, y), 1, 1, fill=False, edgecolor="white", linewidth=1.4))
    if len(sources) == 1:
        ink = "black" if TOKEN_COLORS[int(sources[0][0]) // d_model] in LIGHT else "white"
        axes.text(x + 0.5, y + 0.5, str(sources[0][0]), ha="center", va="center", fontsize=7.5, color=ink)
