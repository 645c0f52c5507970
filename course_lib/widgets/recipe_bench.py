"""A bench for a GPT's recipe: switch each modern piece on and off, see what it costs and brought, and train it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import traitlets
from matplotlib.figure import Figure

from course_lib import plots
from course_lib.plots.modern import effects as draw_effects
from course_lib.widgets.base import CourseWidget

if TYPE_CHECKING:
    from course_lib.experiments.modern import Interval
    from course_lib.models.gpt import GPTConfig

SWITCHES: dict[str, dict[str, dict[str, Any]]] = {
    "norm": {"LayerNorm": {}, "RMSNorm": {"norm": "rmsnorm"}},
    "constants": {"biases": {}, "no biases": {"bias": False}},
    "positions": {"learned": {}, "rotary": {"positions": "rotary"}},
    "feed-forward": {"GELU": {}, "SwiGLU": {"activation": "swiglu"}, "ReLU²": {"activation": "relu2"}},
    "queries, keys": {"as they are": {}, "QK-norm": {"qk_norm": True}},
    "key-value heads": {"one each": {}, "2 KV heads": {"shared_by": 2}, "1 KV head": {"shared_by": 4}},
    "optimiser": {"AdamW": {}, "Muon": {"optimizer": "muon"}},
}
"""Name of a switch → its positions, GPT-2's first → what that changes. `shared_by` heads share a key-value head."""


def plain() -> dict[str, str]:
    """Every switch as in GPT-2."""
    return {switch: next(iter(positions)) for switch, positions in SWITCHES.items()}


def changes_of(chosen: Mapping[str, str]) -> dict[str, Any]:
    """What the switches change, as settings of GPTConfig and `shared_by` and `optimizer` besides."""
    return {key: value for switch, name in chosen.items() for key, value in SWITCHES[switch][name].items()}


def names_of(chosen: Mapping[str, str]) -> list[str]:
    """The pieces that are on."""
    return [name for switch, name in chosen.items() if SWITCHES[switch][name]]


def shaped(config: GPTConfig, changes: Mapping[str, Any]) -> GPTConfig:
    """A config with the changes that concern it."""
    kept = {key: value for key, value in changes.items() if key not in ("optimizer", "shared_by")}
    return replace(config, **kept, n_kv_heads=config.n_heads // changes.get("shared_by", 1))


def costs(config: GPTConfig, changes: Mapping[str, Any]) -> dict[str, float]:
    """What a model with these changes costs, by formula: name with its unit → number."""
    from course_lib.models.counting import cache_bytes, count_parameters, training_flops, training_memory

    model = shaped(config, changes)
    memory = training_memory(model, optimizer=changes.get("optimizer", "adamw"))
    return {
        "parameters": count_parameters(model).total,
        "FLOPs to learn a token": training_flops(model, model.context_length) / model.context_length,
        "cache of a token, bytes (bfloat16)": cache_bytes(model, 1, bytes_per_number=2),
        "optimiser's memory, bytes": memory.optimizer,
    }


class RecipeBench(CourseWidget):
    """Switch the pieces of a modern GPT on and off; the costs are counted at once, and a button trains the recipe.

    Args:
        effects: name of a piece → what it alone brought, in nats per character against the base, with its interval.
        sizes: name → a config with GPT-2's choices; costs are counted for the one that is chosen.
        train: `train(config changes, optimizer, seed)` trains a small model live and answers its distance from the
            floor. It runs in the kernel when the button is pressed, and once for the base at the beginning.
        together: what all pieces together brought.
    """

    label = "Recipe bench"
    switches = traitlets.Dict().tag(sync=True)  # name of a switch → its positions
    chosen = traitlets.Dict().tag(sync=True)  # the page sets it: name of a switch → its position
    sizes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    size = traitlets.Unicode().tag(sync=True)  # the page sets it
    effects = traitlets.List().tag(sync=True)  # of {name, mean, half}
    together = traitlets.Float(0.0).tag(sync=True)
    shown = traitlets.Dict().tag(
        sync=True
    )  # costs of base and choice, the pieces that are on, the sum of their effects
    runs = traitlets.List().tag(sync=True)  # of {name, distance}
    asked = traitlets.Int(0).tag(sync=True)  # the page counts up: train what is chosen
    answered = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        effects: Mapping[str, Interval],
        sizes: Mapping[str, GPTConfig],
        train: Callable[[dict[str, Any], str], float],
        together: float = 0.0,
    ) -> None:
        self.intervals, self.configs, self.train = dict(effects), dict(sizes), train
        super().__init__(
            switches={switch: list(positions) for switch, positions in SWITCHES.items()},
            sizes=list(sizes),
            effects=[{"name": n, "mean": e.mean, "half": e.half} for n, e in effects.items()],
            together=together,
        )
        with self.hold_trait_notifications():
            self.chosen, self.size = plain(), next(iter(sizes))
        self._run()

    @traitlets.observe("chosen", "size")
    def _count(self, change: object = None) -> None:
        if not self.size or not self.chosen:  # the traits are still being set
            return
        config, changes = self.configs[self.size], changes_of(self.chosen)
        base, own = costs(config, {}), costs(config, changes)
        on = names_of(self.chosen)
        self.shown = {
            "costs": [{"name": name, "base": base[name], "own": own[name]} for name in base],
            "on": on,
            "sum": sum(self.intervals[name].mean for name in on if name in self.intervals),
        }

    @traitlets.observe("asked")
    def _run(self, change: object = None) -> None:
        """Train what is chosen."""
        changes = changes_of(self.chosen)
        distance = self.train(changes, changes.get("optimizer", "adamw"))
        name = ", ".join(names_of(self.chosen)) or "GPT-2's block"
        with self.hold_sync():
            self.runs = [*self.runs, {"name": name, "distance": distance}]
            self.answered = self.asked

    def describe(self) -> str:
        """What is switched on, and what it costs."""
        on = ", ".join(self.shown["on"]) or "GPT-2's block"
        return f"RecipeBench({on}; {self.shown['costs'][0]['own']:,} parameters at the size {self.size!r})"

    def static_picture(self) -> tuple[Figure, str]:
        """What each piece alone brought, and what all together cost at each size."""
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.6), width_ratios=[1.2, 1])
        draw_effects(self.intervals, axes=left)
        everything = {switch: list(positions)[1] for switch, positions in SWITCHES.items()}
        places = range(4)
        for shift, (pen, (size, config)) in zip(
            (-0.18, 0.18), zip(("blue", "orange"), self.configs.items(), strict=False), strict=False
        ):
            base, own = costs(config, {}), costs(config, changes_of(everything))
            ratios = [own[name] / base[name] for name in base]
            drawn = right.barh([p + shift for p in places], ratios, height=0.34, color=plots.COLORS[pen], label=size)
            right.bar_label(drawn, [f"{ratio:.2f}" for ratio in ratios], fontsize=8.5, padding=3, bbox=plots.PAPER)
        right.axvline(1, color=plots.GREY, linestyle="--", linewidth=1)
        right.set_yticks(list(places), ["parameters", "FLOPs\na token", "cache\na token", "optimiser's\nmemory"])
        right.invert_yaxis()
        right.set(xlabel="all pieces on ÷ GPT-2's block", xlim=(0, 1.35))
        right.legend(fontsize=8, loc="lower right")
        said = "; ".join(f"{n} {e.mean:+.3f} ± {e.half:.3f}" for n, e in self.intervals.items())
        return figure, (
            f"Left: what each piece alone did to the distance from the floor, with its interval: {said}. Right: bars "
            "of what all pieces together cost beside GPT-2's block: about as many parameters and operations, half the "
            "cache, and less to remember for the optimiser."
        )
