"""The attention explorer: every layer and head at once, one of them at full size, and each weight as a number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from course_lib import plots
from course_lib.widgets.base import CourseWidget
from course_lib.widgets.page import write_page

if TYPE_CHECKING:
    from torch import nn

THUMBNAIL = 48  # cells along one side of a thumbnail at most
LARGEST_PAGE = 32_000_000  # bytes of weights that a single HTML file may carry


class AttentionExplorer(CourseWidget):
    """All attention weights of one text, to look at in a notebook or in a page of their own.

    The overview shows layers downwards and heads across. Click on a thumbnail, or move with the arrow keys, to see
    that head at full size; then a cell gives its weight, its rank in the row, and the distance it looks back.

    Args:
        attentions: one (heads, query, key) or (1, heads, query, key) array or tensor for each layer.
        tokens: the tokens' texts, one for each query and key.

    Raises:
        ValueError: when the shapes do not fit each other or the tokens, a weight is not a number, or a row does
            not add to 1 (a row of zeros, a query that may look nowhere, is allowed).
    """

    label = "Attention explorer"
    tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)  # layers, heads, tokens, thumbnail
    atlas = traitlets.Bytes().tag(sync=True)  # uint8 (layers, heads, thumbnail, thumbnail): 255 · √weight
    selected = traitlets.List(traitlets.Int(), [0, 0]).tag(sync=True)  # layer, head: set by the page
    matrix = traitlets.Bytes().tag(sync=True)  # float16 (query, key) of the head that `matrix_of` names
    matrix_of = traitlets.List(traitlets.Int(), [0, 0]).tag(sync=True)

    def __init__(self, attentions: Sequence[Any], tokens: Sequence[str]) -> None:
        self.weights = checked_weights(attentions, tokens)
        atlas = square_root_atlas(self.weights)
        super().__init__(
            tokens=[str(token) for token in tokens],
            shape=[*self.weights.shape[:3], atlas.shape[-1]],
            atlas=atlas.tobytes(),
            matrix=self._half_precision(0, 0),
        )

    @classmethod
    def from_model(cls, model: nn.Module, tokenizer: Any, text: str) -> AttentionExplorer:
        """Run the model on the text and show what it attended to.

        `model(tokens, return_attentions=True)` must answer with `.attentions`; `tokenizer` has `encode` and `decode`.
        """
        import torch

        ids = tokenizer.encode(text)
        if not ids:
            raise ValueError("The text is empty: give the model at least one token to attend to.")
        was_training = model.training
        model.eval()
        with torch.no_grad():
            device = next(model.parameters()).device
            attentions = model(torch.tensor([ids], device=device), return_attentions=True).attentions
        model.train(was_training)
        return cls(attentions, [tokenizer.decode([token]) for token in ids])

    @traitlets.observe("selected")
    def _send_selected(self, change: dict[str, Any]) -> None:
        layer, head = change["new"]
        if not (0 <= layer < self.shape[0] and 0 <= head < self.shape[1]):
            return  # a page of another widget's making; the picture stays as it is
        with self.hold_sync():
            self.matrix = self._half_precision(layer, head)
            self.matrix_of = [layer, head]

    def _half_precision(self, layer: int, head: int) -> bytes:
        return self.weights[layer, head].astype("<f2").tobytes()

    def describe(self) -> str:
        """Layers, heads, tokens, and the start of the text."""
        layers, heads, count = self.weights.shape[:3]
        text = "".join(self.tokens)
        return f"AttentionExplorer({layers} layers × {heads} heads × {count} tokens: {shortened(text, 40)!r})"

    def static_picture(self) -> tuple[Figure, str]:
        """The overview on the left, the selected head on the right."""
        layers, heads, count = self.weights.shape[:3]
        layer, head = self.matrix_of
        figure = Figure(figsize=(8.4, 4.0), layout="constrained")
        overview, focus = figure.subfigures(1, 2)
        self._draw_overview(overview.subplots(), layer, head)
        axes = focus.subplots()
        image = axes.imshow(np.sqrt(self.weights[layer, head]), cmap=plots.HEATMAP, vmin=0, vmax=1)
        names = [plots.drawable(shortened(visible(token), 10)) for token in self.tokens]
        if count <= 40:
            size = 8 if count <= 24 else 6
            axes.set_xticks(range(count), names, rotation=90, fontsize=size)
            axes.set_yticks(range(count), names, fontsize=size)
        axes.set(xlabel="key", ylabel="query")
        axes.set_title(f"layer {layer}, head {head}", fontsize=9, fontweight="normal")
        bar = focus.colorbar(image, ax=axes, shrink=0.8, label="weight (√ scale)")
        bar.set_ticks(np.sqrt([0, 0.05, 0.25, 0.5, 1]), labels=["0", "0.05", "0.25", "0.5", "1"])
        query, key = np.unravel_index(self.weights[layer, head].argmax(), (count, count))
        return figure, (
            f"Attention weights of {layers} layers with {heads} heads over {count} tokens. "
            f"In layer {layer}, head {head} the largest weight is {self.weights[layer, head, query, key]:.2f}: "
            f"{self.tokens[query]!r} looking at {self.tokens[key]!r}."
        )

    def _draw_overview(self, axes: Axes, layer: int, head: int) -> None:
        """All thumbnails as one image, with a frame around the selected one."""
        layers, heads, _, side = self.shape
        gap = max(1, side // 12)
        pitch = side + gap
        atlas = np.frombuffer(self.atlas, np.uint8).reshape(layers, heads, side, side)
        spaced = np.pad(atlas / 255, [(0, 0), (0, 0), (0, gap), (0, gap)], constant_values=np.nan)
        mosaic = spaced.transpose(0, 2, 1, 3).reshape(layers * pitch, heads * pitch)
        axes.imshow(mosaic, cmap=plots.HEATMAP, vmin=0, vmax=1)
        corner = (head * pitch - 0.5 - gap / 2, layer * pitch - 0.5 - gap / 2)
        frame = Rectangle(corner, pitch, pitch, fill=False, color=plots.COLORS["red"], linewidth=2, clip_on=False)
        axes.add_patch(frame)
        axes.set_xticks([(number + 0.5) * side + number * gap for number in range(heads)], range(heads))
        axes.set_yticks([(number + 0.5) * side + number * gap for number in range(layers)], range(layers))
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set(xlabel="head", ylabel="layer")

    def to_html(self, path: str | Path) -> Path:
        """Write one HTML file that shows this explorer anywhere, with no outside reference; the file's path.

        Raises:
            ValueError: when the weights are too many for one page.
        """
        size = 2 * self.weights.size
        if size > LARGEST_PAGE:
            raise ValueError(
                f"These weights take {size / 1e6:.0f} MB and a page should hold at most {LARGEST_PAGE / 1e6:.0f} MB: "
                f"show fewer layers or a shorter text than {len(self.tokens)} tokens."
            )
        state = {name: getattr(self, name) for name in ("tokens", "shape", "selected", "matrix_of", "accessible_name")}
        binary = {"atlas": self.atlas, "matrix": self.matrix, "all_matrices": self.weights.astype("<f2").tobytes()}
        return write_page(Path(path), self, state, binary)


def checked_weights(attentions: Sequence[Any], tokens: Sequence[str]) -> NDArray[np.float32]:
    """The weights as one (layers, heads, query, key) array, or a ValueError that says what does not fit."""
    if len(attentions) == 0:
        raise ValueError("There are no attention weights: did you ask the model for return_attentions=True?")
    layers = [one_text(plots.to_numpy(layer).astype(np.float32), number) for number, layer in enumerate(attentions)]
    shapes = {layer.shape for layer in layers}
    if len(shapes) > 1:
        raise ValueError(f"All layers must have the same shape, but there are {sorted(shapes)}.")
    weights = np.stack(layers)
    queries, keys = weights.shape[2:]
    if queries != keys or keys != len(tokens):
        raise ValueError(f"The weights are for {queries} queries and {keys} keys, but there are {len(tokens)} tokens.")
    if not np.isfinite(weights).all():
        raise ValueError(f"{(~np.isfinite(weights)).sum()} of the weights are not numbers (NaN or infinite).")
    sums = weights.sum(axis=-1)
    wrong = (np.abs(sums - 1) > 0.02) & (np.abs(sums) > 1e-6)
    if wrong.any() or weights.min() < 0:
        layer, head, query = np.argwhere(wrong if wrong.any() else weights.min(axis=-1) < 0)[0]
        raise ValueError(
            f"Row {query} of layer {layer}, head {head} adds to {sums[layer, head, query]:.3f} and its smallest entry "
            f"is {weights[layer, head, query].min():.3f}; weights are not negative and add to 1. Are these raw scores?"
        )
    return weights


def one_text(layer: NDArray[np.float32], number: int) -> NDArray[np.float32]:
    """(heads, query, key) from that or from (1, heads, query, key)."""
    if layer.ndim == 4 and layer.shape[0] != 1:
        raise ValueError(
            f"Layer {number} holds {layer.shape[0]} texts: pick one, for example [layer[:1] for layer in attentions]."
        )
    layer = layer[0] if layer.ndim == 4 else layer
    if layer.ndim != 3 or 0 in layer.shape:
        raise ValueError(f"Layer {number} has the shape {layer.shape}; it should be (heads, query, key).")
    return layer


def square_root_atlas(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Thumbnails of (layers, heads, side, side): 255 · √weight, where a cell is the largest weight it stands for.

    The square root keeps small weights visible: in a row of 200 tokens a linear scale rounds nearly all to 0.
    """
    count = weights.shape[-1]
    step = math.ceil(count / THUMBNAIL)
    side = math.ceil(count / step)
    padded = np.pad(weights, [(0, 0), (0, 0), (0, side * step - count), (0, side * step - count)])
    blocks = padded.reshape(*weights.shape[:2], side, step, side, step).max(axis=(3, 5))
    return np.round(255 * np.sqrt(blocks)).clip(0, 255).astype(np.uint8)


def shortened(text: str, most: int) -> str:
    """The text, or its beginning and "…" when it has more than `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def visible(token: str) -> str:
    """The token with spaces and line ends made visible."""
    return token.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥")
