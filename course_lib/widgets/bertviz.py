"""BertViz's head view and model view, for any model that the attention explorer takes.

BertViz (Vig 2019) draws one line for each layer, head, query and key, with scripts that it loads from a network. Here
it draws in a frame of its own that can reach neither the notebook nor any other address; tokens enter it as text; what
would freeze the page is refused; and where its network is not there, a sentence says so.

    head_view(reader_for(model, tokenizer).read("The cat sat."))
    model_view(attentions, tokens)
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from course_lib import plots
from course_lib.interpret.reading import Reading, View
from course_lib.plots.theme import SHOWN_DPI
from course_lib.widgets.attention_explorer import shortened, visible
from course_lib.widgets.attention_shown import counted
from course_lib.widgets.page import hash_of, json_for_html

MOST_LINES = 100_000  # drawn at once: three to four seconds on a laptop, and the page still answers
MOST_WEIGHTS = 500_000  # sent to the page: about 4 MB
NETWORK = "https://cdnjs.cloudflare.com"
PICTURE_INCHES = 4.6  # the height of the picture that stands in BertViz's place
SENTENCE = 110  # pixels for what is said above it, and around it
LABELLED = 40  # tokens whose names still fit into the picture

MISSING = (
    f"BertViz cannot draw here: it loads its drawing code (d3, jQuery, RequireJS) from {NETWORK}, and this page does "
    "not get it. AttentionExplorer shows the same heads and needs no network."
)

# Runs before anything of BertViz. Until there is a drawing, a static picture stands in its place; when a script does
# not come, the sentence above it says so.
GUARD = f"""
const missing = () => {{ document.getElementById("said").textContent = {json_for_html(MISSING)}; }};
addEventListener("error", missing, true);
const waiting = setTimeout(missing, 10000);
const watch = new MutationObserver(() => {{
  if (!document.querySelector("#vis svg")) return;
  watch.disconnect();
  clearTimeout(waiting);
  document.getElementById("note").remove();
}});
watch.observe(document, {{ childList: true, subtree: true }});
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src {hashes} {network}; \
style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<title>BertViz</title>
</head>
<body>
<div id="note">
<p id="said" role="status">BertViz is loading its drawing code from {network} …</p>
<noscript><p>{missing}</p></noscript>
<img alt="{alt}" src="data:image/png;base64,{picture}" width="{width}">
</div>
<script>{guard}</script>
{body}
</body>
</html>
"""

Kind = Literal["head_view", "model_view"]


def head_view(
    source: Any,
    tokens: Any = None,
    text: str | None = None,
    *,
    layers: Iterable[int] | None = None,
    heads: Iterable[int] | None = None,
) -> BertVizView:
    """BertViz's head view: one layer at a time, a line from each query to each key, a colour for each head.

    Args:
        source: a `Reading`, anything with one as its `.reading`, a model, or (heads, query, key) attentions by layer.
        tokens: with attentions, the tokens' texts; with a model, its tokenizer.
        text: with a model, the text to read.
        layers, heads: which ones to take along; all when left out.

    Raises:
        ValueError: when the page would have to draw more than 100,000 lines at once or carry more than 500,000
            weights, when layers have different numbers of heads, or when there is no such layer or head.
    """
    return _view("head_view", reading_of(source, tokens, text), layers, heads)


def model_view(
    source: Any,
    tokens: Any = None,
    text: str | None = None,
    *,
    layers: Iterable[int] | None = None,
    heads: Iterable[int] | None = None,
) -> BertVizView:
    """BertViz's model view: a small picture for each layer and head, all at once. Arguments as for `head_view`."""
    return _view("model_view", reading_of(source, tokens, text), layers, heads)


def reading_of(source: Any, tokens: Any, text: str | None) -> Reading:
    """What `source` holds, as a reading: it is one, carries one, is a model that can make one, or a list of weights."""
    if isinstance(source, Reading):
        return source
    if isinstance(getattr(source, "reading", None), Reading):
        return source.reading
    if text is not None:
        from course_lib.interpret.readers import reader_for

        return reader_for(source, tokens).read(text)
    if tokens is None:
        raise ValueError(
            "BertViz needs a reading, attention weights and their tokens, or a model with its tokenizer and a text: "
            "head_view(reading), head_view(attentions, tokens) or head_view(model, tokenizer, text)."
        )
    names = tuple(map(str, tokens))
    weights = tuple(_one_text(plots.to_numpy(layer)) for layer in source)
    return Reading({"self": View(weights, names, names)})


def _one_text(layer: NDArray[Any]) -> NDArray[np.float32]:
    """(heads, query, key), from that or from a batch of one."""
    layer = layer[0] if layer.ndim == 4 and len(layer) == 1 else layer
    if layer.ndim != 3:
        raise ValueError(f"A layer of weights has the shape {layer.shape}; it should be (heads, query, key).")
    return layer.astype(np.float32)


@dataclass(frozen=True)
class Part:
    """One view of a reading, and the numbers of the layers and heads to show of it."""

    name: str
    view: View
    layers: tuple[int, ...]
    heads: tuple[int, ...]

    @property
    def longest(self) -> int:
        """How many rows of text it takes: queries stand on the left, keys on the right."""
        return max(len(self.view.query_tokens), len(self.view.key_tokens))


@dataclass(frozen=True)
class BertVizView:
    """One of BertViz's views, to show as the last line of a cell.

    Attributes:
        kind: "head_view" or "model_view".
        parts: what it shows: one part, or encoder, decoder and cross-attention, each as deep as it is.
        text: what was read.
    """

    kind: Kind
    parts: tuple[Part, ...]
    text: str

    def page(self, part: Part) -> str:
        """A whole document that shows one part with BertViz, for a frame that has no rights."""
        body = self._drawn_by_bertviz(part)
        scripts = re.findall(r'<script type="text/javascript">(.*?)</script>', body, re.DOTALL)
        hashes = " ".join(hash_of(script) for script in [GUARD, *scripts])
        data, metadata = _bundle([part])
        return PAGE.format(
            hashes=hashes,
            network=NETWORK,
            missing=MISSING,
            guard=GUARD,
            body=body,
            alt=html.escape(metadata["image/png"]["alt"]),
            picture=data["image/png"],
            width=metadata["image/png"]["width"],
        )

    def _drawn_by_bertviz(self, part: Part) -> str:
        """What BertViz makes of one part, with the tokens put in afterwards as text that cannot leave its place."""
        import bertviz
        import torch

        sides = {"query": part.view.query_tokens, "key": part.view.key_tokens}
        names = {side: [f"course-{side}-{i}" for i in range(len(tokens))] for side, tokens in sides.items()}
        heads = "heads" if self.kind == "head_view" else "include_heads"
        light = {} if self.kind == "head_view" else {"display_mode": "light"}
        made = getattr(bertviz, self.kind)(
            # Four decimals are more than the opacity of a line can show; longer numbers only make the page larger.
            cross_attention=[torch.tensor(layer.astype(np.float64).round(4))[None] for layer in part.view.weights],
            decoder_tokens=names["query"],
            encoder_tokens=names["key"],
            prettify_tokens=False,
            include_layers=list(part.layers),
            html_action="return",
            **{heads: list(part.heads)},
            **light,
        ).data
        made = re.sub(r"// HACK: .*", "", made)  # a comment that repeats all the data
        made = re.sub(r"\bbertviz-[0-9a-f]{32}\b", "bertviz-drawing", made)  # alone in its frame, so not at random
        return re.sub(r'"course-(query|key)-(\d+)"', lambda name: json_for_html(sides[name[1]][int(name[2])]), made)

    def _height(self, part: Part) -> int:
        """How high BertViz's drawing is, in pixels: it is laid out in constants. The picture without it fits too."""
        if self.kind == "head_view":
            drawing = 22.5 * part.longest + 90
        else:
            thumbnails = len(part.layers) * (part.longest * 7 * 12 / part.view.n_heads + 10) + 40
            detail = 18 * part.longest + 55
            drawing = max(thumbnails, detail) + 50
        return round(max(drawing, PICTURE_INCHES * SHOWN_DPI + SENTENCE))

    def __repr__(self) -> str:
        return f"{self.kind}({'; '.join(_size_of(part) for part in self.parts)})"

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        """BertViz in a frame for each part, a picture of the same lines, and a line of text."""
        frames = "".join(
            f"<p>{html.escape(_size_of(part))}</p>"
            f'<iframe sandbox="allow-scripts" title="BertViz, {html.escape(part.name)} attention" '
            f'style="width: 100%; min-width: 1000px; height: {self._height(part)}px; border: 0; background: #fff" '
            f'srcdoc="{html.escape(self.page(part))}"></iframe>'
            for part in self.parts
        )
        picture, metadata = _bundle(self.parts)
        return {**picture, "text/html": frames, "text/plain": repr(self)}, metadata


def _view(kind: Kind, reading: Reading, layers: Iterable[int] | None, heads: Iterable[int] | None) -> BertVizView:
    """The view of the reading's chosen layers and heads, unless it would freeze the page."""
    layers, heads = (None if some is None else list(some) for some in (layers, heads))
    deepest = max(view.n_layers for view in reading.views.values())
    widest = max(view.n_heads for view in reading.views.values())
    _check_numbers("layer", layers, deepest)
    _check_numbers("head", heads, widest)
    parts = []
    for name, view in reading.views.items():
        counts = sorted({len(layer) for layer in view.weights})
        if len(counts) > 1:
            raise ValueError(
                f"BertViz needs as many heads in each layer, and the layers of {name!r} have {counts[0]} to "
                f"{counts[-1]}. AttentionExplorer shows such a model."
            )
        chosen = [
            tuple(i for i in range(count) if some is None or i in some)
            for count, some in ((view.n_layers, layers), (view.n_heads, heads))
        ]
        if all(chosen):  # a decoder may be less deep than the layers that were asked for
            parts.append(Part(name, view, *chosen))
            _check_size(kind, parts[-1])
    return BertVizView(kind, tuple(parts), reading.text)


def _check_numbers(what: str, numbers: Sequence[int] | None, count: int) -> None:
    """Raise ValueError unless there is at least one number and each of them exists."""
    if numbers is not None and not (numbers and all(0 <= number < count for number in numbers)):
        raise ValueError(f"There is no {what} to show in {numbers}: they are numbered from 0 to {count - 1}.")


def _check_size(kind: Kind, part: Part) -> None:
    """Raise ValueError for what would freeze the page."""
    queries, keys = len(part.view.query_tokens), len(part.view.key_tokens)
    drawn_layers = 1 if kind == "head_view" else len(part.layers)
    heads = part.view.n_heads if kind == "head_view" else len(part.heads)
    lines = drawn_layers * heads * queries * keys
    weights = len(part.layers) * part.view.n_heads * queries * keys
    smaller = "Choose fewer with layers=[…] or a shorter text, or use AttentionExplorer, which shows them all at once."
    if lines > MOST_LINES:
        raise ValueError(
            f"BertViz would draw {lines:,} lines ({drawn_layers} layers × {heads} heads × {queries} × {keys} tokens), "
            f"and above {MOST_LINES:,} the page freezes. {smaller}"
        )
    if weights > MOST_WEIGHTS:
        raise ValueError(
            f"BertViz would put {weights:,} weights into the page ({len(part.layers)} layers × {part.view.n_heads} "
            f"heads × {queries} × {keys} tokens), and {MOST_WEIGHTS:,} are as many as it should hold. {smaller}"
        )
    if not all(np.isfinite(layer).all() for layer in part.view.weights):
        raise ValueError("Some of the weights are not numbers (NaN or infinite), and BertViz cannot draw those.")


def _size_of(part: Part) -> str:
    """The part's name and what it holds."""
    queries, keys = len(part.view.query_tokens), len(part.view.key_tokens)
    tokens = f"{queries} tokens" if queries == keys else f"{queries} queries, {keys} keys"
    return f"{part.name} attention, {counted(len(part.layers), 'layer')} × {counted(len(part.heads), 'head')}, {tokens}"


def _bundle(parts: Sequence[Part]) -> tuple[dict[str, str], dict[str, Any]]:
    """A picture of the first layer of each part, as lines from queries to keys: a notebook output with alt text."""
    plots.style()
    figure = Figure(figsize=(3.1 * len(parts), PICTURE_INCHES), layout="constrained")
    for axes, part in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
        _draw_lines(axes, part)
    sizes = "; ".join(_size_of(part) for part in parts)
    said = f"The first layer, as lines from each query on the left to the keys it looks at on the right: {sizes}."
    return plots.png_bundle(figure, said)


def _draw_lines(axes: Axes, part: Part) -> None:
    """The lines of the part's first layer, a colour for each head; what is too faint to be seen is left out."""
    weights = part.view.weights[part.layers[0]]
    for number, head in enumerate(part.heads):
        queries, keys = np.nonzero(weights[head] * 3 > 0.05 * len(part.heads))
        ends = np.stack([np.zeros_like(queries), queries, np.ones_like(keys), keys], axis=-1).reshape(-1, 2, 2)
        opacity = np.clip(weights[head][queries, keys] * 3 / len(part.heads), 0, 1)
        color = list(plots.COLORS.values())[number % len(plots.COLORS)]
        axes.add_collection(LineCollection(list(ends), colors=color, alpha=opacity, linewidths=1.5))
    if part.longest <= LABELLED:
        for x, side, tokens in ((-0.05, "right", part.view.query_tokens), (1.05, "left", part.view.key_tokens)):
            for y, token in enumerate(tokens):
                axes.text(
                    x,
                    y,
                    plots.drawable(shortened(visible(token), 12)),
                    ha=side,
                    va="center",
                    fontsize=8,
                    parse_math=False,
                )
    axes.set(xlim=(-0.9, 1.9), ylim=(part.longest - 0.5, -0.5))
    axes.set_title(f"{part.name}, layer {part.layers[0]}", fontsize=9, fontweight="normal")
    axes.axis("off")
