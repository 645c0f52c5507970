"""Where a GPT's numbers are: each component as a bar with its formula, beside the count of a model really built."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import traitlets
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.widgets.base import CourseWidget

if TYPE_CHECKING:
    from torch import nn

    from course_lib.models.gpt import GPTConfig

SIZES = ("vocab_size", "context_length", "d_model", "n_heads", "n_layers")

# Radford et al. 2019, table 2, with the numbers of heads from the published checkpoints.
GPT2: Mapping[str, Mapping[str, int]] = {
    name: {"vocab_size": 50257, "context_length": 1024, "d_model": d_model, "n_heads": n_heads, "n_layers": n_layers}
    for name, d_model, n_heads, n_layers in (
        ("GPT-2 small", 768, 12, 12),
        ("GPT-2 medium", 1024, 16, 24),
        ("GPT-2 large", 1280, 20, 36),
        ("GPT-2 XL", 1600, 25, 48),
    )
}

RANGES = {
    "vocab_size": (32, 64, 128, 256, 512, 1024, 4096, 16384, 32000, 50257, 128256),
    "context_length": (16, 32, 64, 128, 256, 512, 1024, 2048, 8192),
    "d_model": (16, 32, 64, 96, 128, 192, 256, 384, 512, 640, 768, 896, 1024, 1280, 1600, 2048),
    "n_heads": (1, 2, 3, 4, 6, 8, 12, 16, 20, 25, 32),
    "n_layers": (1, 2, 3, 4, 6, 8, 12, 16, 24, 36, 48),
}
"""Where the sliders stop."""


@dataclass(frozen=True)
class Part:
    """One component of a GPT with GPT-2's choices.

    Attributes:
        name: such as "feed-forward, up".
        holds: which parameters are its own: a pattern of their names.
        formula: how many numbers it has, in the letters of the lesson: V, T, d, L.
        count: the same, worked out.
        comes_out: the shape of what it answers, for a text of `time` tokens.
    """

    name: str
    holds: str
    formula: str
    count: int
    comes_out: str


def parts_of(config: GPTConfig) -> list[Part]:
    """The components in the order in which a text passes them, all blocks together; learned positions, d_ff = 4d."""
    v, t, d, n = config.vocab_size, config.context_length, config.d_model, config.n_layers
    untied = 0 if config.tie_embeddings else v * d
    stream, wide = "(batch, time, d)", "(batch, time, 4d)"
    return [
        Part("token embedding", r"^token_embedding\.", "V·d", v * d, stream),
        Part("positions", r"^positions\.", "T·d", t * d, "(time, d)"),
        Part("attention: query, key, value", r"attention\.(query|key|value)\.", "L·(3d² + 3d)", n * 3 * (d * d + d),
             "3 × (batch, heads, time, d/heads)"),
        Part("attention: output", r"attention\.output\.", "L·(d² + d)", n * (d * d + d), stream),
        Part("feed-forward: up", r"feed_forward\.up\.", "L·(4d² + 4d)", n * 4 * (d * d + d), wide),
        Part("feed-forward: down", r"feed_forward\.down\.", "L·(4d² + d)", n * (4 * d * d + d), stream),
        Part("norms of the blocks", r"(attention|feed_forward)_norm\.", "L·4d", n * 4 * d, stream),
        Part("final norm", r"^final_norm\.", "2d", 2 * d, stream),
        Part("unembedding", r"^unembedding\.", "V·d" if untied else "0 (tied)", untied, "(batch, time, V)"),
    ]  # fmt: skip


def count_by_part(model: nn.Module, parts: list[Part]) -> list[int]:
    """How many numbers of each part the model really has; one more at the end for parameters of no part."""
    counts = [0] * (len(parts) + 1)
    for name, parameter in model.named_parameters():  # a parameter with two names comes once
        place = next((i for i, part in enumerate(parts) if re.search(part.holds, name)), len(parts))
        counts[place] += parameter.numel()
    return counts


class ParameterExplorer(CourseWidget):
    """Choose a GPT's sizes and see where its parameters are; each count is checked against a model that is built.

    The model is built on torch's `meta` device, which knows shapes and keeps no numbers, so that even GPT-2 XL takes a
    moment and no memory. With your own class as `build`, it is your class that is counted.

    Args:
        build: makes a model of a config, such as `GPT` or the class of your own.
        config: the sizes it begins with.

    Raises ValueError for a config whose parts are not GPT-2's (learned positions, biases, d_ff = 4 · d_model).
    """

    label = "Where a GPT's parameters are"
    asked = traitlets.Dict().tag(sync=True)  # the page sets it: SIZES and tie_embeddings
    presets = traitlets.Dict().tag(sync=True)  # name → sizes
    ranges = traitlets.Dict().tag(sync=True)  # name of a size → values of its slider
    shown = traitlets.Dict().tag(sync=True)  # rows, totals, or what is wrong with the sizes

    def __init__(self, build: Callable[[GPTConfig], nn.Module], config: GPTConfig) -> None:
        if config.positions != "learned" or not config.bias or config.d_ff not in (None, 4 * config.d_model):
            raise ValueError("The explorer counts GPTs with learned positions, biases, and d_ff = 4 · d_model.")
        self.build, self.config = build, config
        own = {name: getattr(config, name) for name in SIZES}
        super().__init__(
            asked={**own, "tie_embeddings": config.tie_embeddings},
            presets={"this lesson's": own, **GPT2},
            ranges={name: sorted({*values, own[name], *(size[name] for size in GPT2.values())})
                    for name, values in RANGES.items()},
        )  # fmt: skip
        self._count()

    @traitlets.observe("asked")
    def _count(self, change: object = None) -> None:
        import torch

        if not self.presets:  # the traits are still being set
            return
        try:
            config = replace(self.config, **self.asked)
        except ValueError as problem:
            self.shown = {"problem": str(problem)}
            return
        with torch.device("meta"):
            model = self.build(config)
        parts = parts_of(config)
        built = count_by_part(model, parts)
        total = sum(part.count for part in parts)
        rows = [
            {
                "name": part.name,
                "formula": part.formula,
                "numbers": _with_numbers(part.formula, config),
                "count": part.count,
                "built": counted,
                "share": part.count / total,
                "out": part.comes_out,
            }
            for part, counted in zip(parts, built, strict=False)
        ]
        self.shown = {"rows": rows, "total": total, "built": sum(built), "other": built[-1]}

    def describe(self) -> str:
        """The sizes, and both totals."""
        if "problem" in self.shown:
            return f"ParameterExplorer({self.shown['problem']})"
        sizes = ", ".join(f"{name} {self.asked[name]:,}" for name in SIZES)
        return f"ParameterExplorer({sizes}: {self.shown['total']:,} by formula, {self.shown['built']:,} built)"

    def static_picture(self) -> tuple[Figure, str]:
        """The bars of the model it began with, beside those of GPT-2 small."""
        import torch

        small = replace(self.config, **GPT2["GPT-2 small"], tie_embeddings=True)
        figure, axes = plt.subplots(1, 2, figsize=(9.2, 3.5), sharey=True)
        totals = []
        for panel, config, name in zip(axes, (self.config, small), ("this lesson's model", "GPT-2 small"), strict=True):
            parts = parts_of(config)
            with torch.device("meta"):
                built = sum(parameter.numel() for parameter in self.build(config).parameters())
            total = sum(part.count for part in parts)
            totals.append(total)
            drawn = panel.barh(
                [f"{part.name}   {part.formula}" for part in parts],
                [100 * part.count / total for part in parts],
                color=plots.COLORS["blue"],
            )
            panel.bar_label(drawn, [f"{part.count:,}" for part in parts], fontsize=8.5, padding=3)
            agrees = "built: as many" if built == total else f"but built: {built:,}"
            panel.set(title=f"{name}: {total:,}", xlabel=f"share of all (%); {agrees}", xlim=(0, 50))
        axes[0].invert_yaxis()
        return figure, (
            f"Bars of the parameters of each component, for this lesson's model with {totals[0]:,} parameters and for "
            f"GPT-2 small with {totals[1]:,}. In both the feed-forward matrices are the longest bars of the blocks; in "
            "GPT-2 small the token embedding is longer than any."
        )


def _with_numbers(formula: str, config: GPTConfig) -> str:
    """The formula with the sizes put in for its letters."""
    letters = {"V": config.vocab_size, "T": config.context_length, "L": config.n_layers, "d": config.d_model}
    if formula.startswith("0"):
        return formula
    spaced = re.sub(r"(?<=\d)(?=d)", "·", formula)
    return re.sub("[VTLd]", lambda letter: f"{letters[letter[0]]:,}", spaced)
