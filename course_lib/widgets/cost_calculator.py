"""What a training run costs: sliders for the model and the machines, bars for the memory, days and money."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import matplotlib.pyplot as plt
import traitlets
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.models.costs import DEVICES, PRECISIONS, SPLITS, Cost, Device, Plan, cost_of
from course_lib.models.gpt import GPTConfig
from course_lib.widgets.base import CourseWidget

KINDS = ("GPT-2", "LLaMA")
PARTS = ("weights", "gradients", "optimiser", "activations")
PENS = {"weights": "blue", "gradients": "orange", "optimiser": "green", "activations": "purple"}

PRESETS: dict[str, dict[str, Any]] = {
    name: {"kind": kind, "n_layers": layers, "d_model": width, "context_length": context, "tokens": tokens}
    for name, kind, layers, width, context, tokens in (
        ("GPT-2 small", "GPT-2", 12, 768, 1024, 3e11),
        ("GPT-2 medium", "GPT-2", 24, 1024, 1024, 3e11),
        ("GPT-2 large", "GPT-2", 36, 1280, 1024, 3e11),
        ("GPT-2 XL", "GPT-2", 48, 1600, 1024, 3e11),
        ("7 B", "LLaMA", 32, 4096, 2048, 1e12),
    )
}
"""Models by name. How long GPT-2 was trained is not published: 3e11 tokens are what its reproductions use."""

RANGES: dict[str, tuple[float, ...]] = {
    "n_layers": (1, 2, 4, 6, 8, 12, 16, 24, 32, 36, 48, 64, 80),
    "d_model": (64, 128, 256, 384, 512, 768, 1024, 1280, 1600, 2048, 3072, 4096, 5120, 8192),
    "context_length": (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768),
    "batch": (1, 2, 4, 8, 16, 32, 64, 128),
    "tokens": (*(m * 10.0**e for e in range(6, 13) for m in (1, 3)), 1e13),
    "n_devices": tuple(2**e for e in range(13)),
    "utilization": (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0),
}
"""Where the sliders stop."""


def config_for(kind: str, n_layers: int, d_model: int, context_length: int) -> GPTConfig:
    """A GPT with the choices of GPT-2 or of LLaMA, heads 64 wide (LLaMA's: 128 where the width allows it)."""
    sizes = {"context_length": context_length, "d_model": d_model, "n_layers": n_layers}
    if kind == "GPT-2":
        return GPTConfig(50_257, n_heads=d_model // 64, **sizes)
    return GPTConfig(
        32_000,
        n_heads=d_model // (64 if d_model % 128 else 128),
        d_ff=math.ceil(8 * d_model / 3 / 256) * 256,
        positions="rotary",
        norm="rmsnorm",
        activation="swiglu",
        bias=False,
        tie_embeddings=False,
        **sizes,
    )


class CostCalculator(CourseWidget):
    """Choose a model and machines; see parameters, FLOPs, memory by part, what fits, days, and money.

    The numbers are those of `course_lib.models.costs`. The price is what you type: it changes from week to week and
    from shop to shop, so the calculator knows none.

    Args:
        devices: name → Device; such as DEVICES with your own machine added, as you measured it.
        **asked: what it begins with, such as `preset="7 B"`, `n_devices=8`, `split="everything"`.

    Raises ValueError for a preset or a setting that there is not.
    """

    label = "What a training run costs"
    asked = traitlets.Dict().tag(sync=True)  # the page sets it: the settings
    options = traitlets.Dict().tag(sync=True)  # presets, ranges of the sliders, names to choose from
    shown = traitlets.Dict().tag(sync=True)  # what the settings come to

    def __init__(self, devices: Mapping[str, Device] = DEVICES, preset: str = "GPT-2 small", **asked: Any) -> None:
        start = {
            "batch": 8,
            "precision": "mixed",
            "optimizer": "adamw",
            "device": next((name for name in devices if name == "A100"), next(iter(devices))),
            "n_devices": 1,
            "split": "nothing",
            "checkpointing": False,
            "utilization": 0.4,
            "price": 2.0,
        }
        unknown = set(asked) - set(start) - set(PRESETS["7 B"])
        if preset not in PRESETS or unknown:
            raise ValueError(
                f"The calculator knows the models {', '.join(PRESETS)} and the settings "
                f"{', '.join([*PRESETS['7 B'], *start])}, but was given {preset!r}, {', '.join(sorted(unknown))}."
            )
        self.devices = dict(devices)
        settings = {**start, **PRESETS[preset], **asked}
        super().__init__(
            asked=settings,
            options={
                "presets": PRESETS,
                "ranges": {name: sorted({*values, settings[name]}) for name, values in RANGES.items()},
                "device": list(self.devices),
                "precision": list(PRECISIONS),
                "optimizer": ["adamw", "muon"],
                "split": list(SPLITS),
                "kind": list(KINDS),
                "parts": list(PARTS),
            },
        )
        self._count()

    def plan(self) -> Plan:
        """The plan that the settings describe."""
        a = self.asked
        return Plan(
            config_for(a["kind"], a["n_layers"], a["d_model"], a["context_length"]),
            tokens=a["tokens"],
            batch=a["batch"],
            precision=a["precision"],
            optimizer=a["optimizer"],
            device=self.devices[a["device"]],
            n_devices=a["n_devices"],
            split=a["split"],
            checkpointing=a["checkpointing"],
            utilization=a["utilization"],
        )

    @traitlets.observe("asked")
    def _count(self, change: object = None) -> None:
        if not self.options:  # the traits are still being set
            return
        plan = self.plan()
        cost = cost_of(plan)
        hours = plan.n_devices * cost.seconds / 3600
        self.shown = {
            "parameters": cost.parameters,
            "flops": cost.flops,
            "tokens_per_parameter": plan.tokens / cost.parameters,
            "capacity": plan.device.memory,
            "splits": [
                {"name": split, "memory": one.memory, "fits": one.fits(plan.device)}
                for split in SPLITS
                for one in [cost_of(replace(plan, split=split))]
            ],
            "fits": cost.fits(plan.device),
            "largest_batch": _largest_batch(plan, cost),
            "seconds": cost.seconds,
            "device_hours": hours,
            "money": hours * float(self.asked["price"] or 0),
        }

    def describe(self) -> str:
        """The plan and what it comes to, in a line."""
        shown, a = self.shown, self.asked
        return (
            f"CostCalculator({a['n_devices']} × {a['device']}: {shown['parameters'] / 1e6:,.0f} M parameters, "
            f"{shown['flops']:.2g} FLOPs, {shown['seconds'] / 86400:,.1f} days, "
            f"{'fits' if shown['fits'] else 'does not fit'})"
        )

    def static_picture(self) -> tuple[Figure, str]:
        """Memory on each device for each way of splitting, and the totals in words."""
        figure, (axes, words) = plt.subplots(1, 2, figsize=(9.4, 2.9), width_ratios=[2.1, 1])
        shown, a = self.shown, self.asked
        rows = shown["splits"]
        left = [0.0] * len(rows)
        for part in PARTS:
            sizes = [row["memory"][part] / 1e9 for row in rows]
            axes.barh([row["name"] for row in rows], sizes, left=left, color=plots.COLORS[PENS[part]], label=part)
            left = [before + size for before, size in zip(left, sizes, strict=True)]
        for place, total in enumerate(left):
            axes.text(total, place, f" {total:,.3g} GB", va="center", fontsize=9)
        axes.axvline(shown["capacity"] / 1e9, color=plots.COLORS["red"], linestyle="--", label=f"one {a['device']} has")
        axes.set(xlabel=f"memory on each of {a['n_devices']} {a['device']} (GB)", ylabel="split among devices:")
        axes.set_xlim(0, 1.22 * max(*left, shown["capacity"] / 1e9))
        axes.invert_yaxis()
        axes.legend(
            fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=5, columnspacing=1.0, handlelength=1.3
        )
        words.axis("off")
        words.text(0, 0.95, "\n".join(self._words()), va="top", fontsize=9.5, linespacing=1.5)
        return figure, self._alt(left)

    def _words(self) -> list[str]:
        shown, a = self.shown, self.asked
        return [
            f"{a['kind']} shape, {a['n_layers']} layers × {a['d_model']}",
            f"{shown['parameters'] / 1e9:,.3g} billion parameters",
            f"{a['tokens'] / 1e9:,.6g} billion tokens",
            f"{shown['flops']:.2g} FLOPs",
            f"at {a['utilization']:.0%} of the peak:",
            f"{shown['seconds'] / 86400:,.3g} days, {shown['device_hours']:,.0f} device hours",
            f"at {a['price']:g} an hour: {shown['money']:,.0f}",
        ]

    def _alt(self, totals: list[float]) -> str:
        rows = [f"{row['name']} {total:.3g} GB" for row, total in zip(self.shown["splits"], totals, strict=True)]
        return (
            f"Memory on each device, by what is split among {self.asked['n_devices']}: {', '.join(rows)}; one "
            f"{self.asked['device']} has {self.shown['capacity'] / 1e9:.3g} GB. {'; '.join(self._words())}."
        )


def _largest_batch(plan: Plan, cost: Cost) -> int:
    """Texts that one device could work on at once; 0 where not even one fits."""
    for_one = cost.memory["activations"] / plan.batch
    left = plan.device.memory - sum(size for part, size in cost.memory.items() if part != "activations")
    return max(0, int(left // for_one))
