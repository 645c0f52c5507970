"""Where a GPT's numbers are: each component as a bar with its formula, beside the count of a model really built."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import traitlets
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.models.counting import count_parameters
from course_lib.models.gpt import GPTConfig
from course_lib.models.sizes import GPT2
from course_lib.widgets.base import CourseWidget

if TYPE_CHECKING:
    from torch import nn

SETTINGS = ("vocab_size", "context_length", "d_model", "n_heads", "n_layers")

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
        name: such as "feed-forward: up".
        counted_as: its attribute of `ParameterCount`.
        holds: which parameters are its own: a pattern of their names.
        formula: how many numbers it has, in the letters of the lesson: V, T, d, L.
        comes_out: the shape of what it answers, for a text of `time` tokens.
    """

    name: str
    counted_as: str
    holds: str
    formula: str
    comes_out: str

    def count(self, config: GPTConfig) -> int:
        """The formula, worked out."""
        return getattr(count_parameters(config), self.counted_as)


STREAM = "(batch, time, d)"
PARTS = (
    Part("token embedding", "token_embedding", r"^token_embedding\.", "V·d", STREAM),
    Part("positions", "positions", r"^positions\.", "T·d", "(time, d)"),
    Part("attention: query, key, value", "query_key_value", r"attention\.(query|key|value)\.", "L·(3d² + 3d)",
         "3 × (batch, heads, time, d/heads)"),
    Part("attention: output", "attention_output", r"attention\.output\.", "L·(d² + d)", STREAM),
    Part("feed-forward: up", "up", r"feed_forward\.up\.", "L·(4d² + 4d)", "(batch, time, 4d)"),
    Part("feed-forward: down", "down", r"feed_forward\.down\.", "L·(4d² + d)", STREAM),
    Part("norms of the blocks", "block_norms", r"(attention|feed_forward)_norm\.", "L·4d", STREAM),
    Part("final norm", "final_norm", r"^final_norm\.", "2d", STREAM),
    Part("unembedding", "unembedding", r"^unembedding\.", "V·d", "(batch, time, V)"),
)  # fmt: skip
"""The components in the order in which a text passes them, all blocks together; learned positions, d_ff = 4d."""


def count_by_part(model: nn.Module) -> list[int]:
    """How many numbers of each of PARTS the model really has; one more at the end for parameters of no part."""
    counts = [0] * (len(PARTS) + 1)
    for name, parameter in model.named_parameters():  # a parameter with two names comes once
        place = next((i for i, part in enumerate(PARTS) if re.search(part.holds, name)), len(PARTS))
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
    asked = traitlets.Dict().tag(sync=True)  # the page sets it: SETTINGS and tie_embeddings
    presets = traitlets.Dict().tag(sync=True)  # name → sizes
    ranges = traitlets.Dict().tag(sync=True)  # name of a size → values of its slider
    shown = traitlets.Dict().tag(sync=True)  # rows, totals, or what is wrong with the sizes

    def __init__(self, build: Callable[[GPTConfig], nn.Module], config: GPTConfig) -> None:
        if config.positions != "learned" or not config.bias or config.d_ff not in (None, 4 * config.d_model):
            raise ValueError("The explorer counts GPTs with learned positions, biases, and d_ff = 4 · d_model.")
        self.build, self.config = build, config
        own = _settings(config)
        published = {name: _settings(size) for name, size in GPT2.items()}
        super().__init__(
            asked={**own, "tie_embeddings": config.tie_embeddings},
            presets={"this lesson's": own, **published},
            ranges={name: sorted({*values, own[name], *(size[name] for size in published.values())})
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
            self.shown = {"asked": self.asked, "problem": str(problem)}
            return
        with torch.device("meta"):
            model = self.build(config)
        built, total = count_by_part(model), count_parameters(config).total
        rows = [
            {
                "name": part.name,
                "formula": _formula(part, config),
                "numbers": _with_numbers(_formula(part, config), config),
                "count": part.count(config),
                "built": counted,
                "share": part.count(config) / total,
                "out": part.comes_out,
            }
            for part, counted in zip(PARTS, built, strict=False)
        ]
        # What was asked is in it, so that each answer differs from the last and ends the page's "counting…".
        self.shown = {"asked": self.asked, "rows": rows, "total": total, "built": sum(built), "other": built[-1]}

    def describe(self) -> str:
        """The sizes, and both totals."""
        if "problem" in self.shown:
            return f"ParameterExplorer({self.shown['problem']})"
        sizes = ", ".join(f"{name} {self.asked[name]:,}" for name in SETTINGS)
        return f"ParameterExplorer({sizes}: {self.shown['total']:,} by formula, {self.shown['built']:,} built)"

    def static_picture(self) -> tuple[Figure, str]:
        """The bars of the model it began with, beside those of GPT-2 small."""
        import torch

        small = replace(self.config, **_settings(GPT2["GPT-2 small"]), tie_embeddings=True)
        figure, axes = plt.subplots(1, 2, figsize=(9.2, 3.5), sharey=True)
        totals = []
        for panel, config, name in zip(axes, (self.config, small), ("this lesson's model", "GPT-2 small"), strict=True):
            with torch.device("meta"):
                built = sum(parameter.numel() for parameter in self.build(config).parameters())
            total = count_parameters(config).total
            totals.append(total)
            drawn = panel.barh(
                [f"{part.name}   {_formula(part, config)}" for part in PARTS],
                [100 * part.count(config) / total for part in PARTS],
                color=plots.COLORS["blue"],
            )
            panel.bar_label(drawn, [f"{part.count(config):,}" for part in PARTS], fontsize=8.5, padding=3)
            agrees = "built: as many" if built == total else f"but built: {built:,}"
            panel.set(title=f"{name}: {total:,}", xlabel=f"share of all (%); {agrees}", xlim=(0, 50))
        axes[0].invert_yaxis()
        return figure, (
            f"Bars of the parameters of each component, for this lesson's model with {totals[0]:,} parameters and for "
            f"GPT-2 small with {totals[1]:,}. In both the feed-forward matrices are the longest bars of the blocks; in "
            "GPT-2 small the token embedding is longer than any."
        )


def _settings(config: GPTConfig) -> dict[str, int]:
    """What the sliders set."""
    return {name: getattr(config, name) for name in SETTINGS}


def _formula(part: Part, config: GPTConfig) -> str:
    """The part's formula; a tied unembedding has no numbers of its own."""
    return "0 (tied)" if part.name == "unembedding" and config.tie_embeddings else part.formula


def _with_numbers(formula: str, config: GPTConfig) -> str:
    """The formula with the sizes put in for its letters."""
    letters = {"V": config.vocab_size, "T": config.context_length, "L": config.n_layers, "d": config.d_model}
    if formula.startswith("0"):
        return formula
    spaced = re.sub(r"(?<=\d)(?=d)", "·", formula)
    return re.sub("[VTLd]", lambda letter: f"{letters[letter[0]]:,}", spaced)
