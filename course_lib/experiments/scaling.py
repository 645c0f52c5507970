"""Lesson 11's scaling law: seven sizes of one small GPT on a world whose loss floor is known, from three starts each.

The first 64 characters of tiny_world's stories; two blocks whose width goes from 8 to 64 features; the same updates on
the same batches, Muon, float32 on one thread, so that the runs can be repeated anywhere:

    python -m course_lib.experiments.scaling        # about five minutes of one core; writes scaling_results.json

It may be stopped at any time: each run is stored when it ends, and the next start goes on with what is missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from course_lib.experiments.results import load_results, save_results
from course_lib.models.counting import count_parameters, training_flops
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text import Corpus, load_corpus
from course_lib.text.tokenizers import CharTokenizer
from course_lib.training import Documents, TrainConfig, Trainer

WIDTHS = (8, 12, 16, 20, 24, 32, 64)
"""Six to fit on, and the last one to test on."""
N_LAYERS, N_HEADS, CONTEXT = 2, 2, 64
SEEDS = (0, 1, 2)
STEPS, BATCH, RATE, LOOK_EVERY = 500, 32, 0.04, 50
HELD_OUT_STORIES = 250


def config_of(width: int) -> GPTConfig:
    """The GPT of one width; all else is the same."""
    vocab_size = _tokenizer().vocab_size
    return GPTConfig(vocab_size, CONTEXT, width, N_HEADS, N_LAYERS, positions="rotary")


def parameters_of(width: int) -> int:
    """Parameters without the embedding, as scaling laws count them."""
    return count_parameters(config_of(width)).without_embeddings


def flops_of(width: int, steps: int = STEPS) -> int:
    """FLOPs of that many updates (stories that end before the context does are counted as if they filled it)."""
    return steps * training_flops(config_of(width), CONTEXT, BATCH)


@cache
def floor() -> float:
    """The loss below which no model can stay on the stories held out, in nats per character."""
    held_out = {"validation": _corpus().validation[:HELD_OUT_STORIES]}
    return type(_corpus().floor)(held_out).per_character("validation", CONTEXT)


def train_one(width: int, seed: int, *, rate: float = RATE, until: int = STEPS) -> list[tuple[int, float]]:
    """Steps and held-out losses of one run, every LOOK_EVERY updates; `until` ends it early, on the same schedule."""
    torch.manual_seed(seed)
    model = GPT(config_of(width))
    settings = TrainConfig(
        STEPS,
        batch_size=BATCH,
        learning_rate=rate,
        optimizer="muon",
        warmup_steps=40,
        seed=seed,
        evaluate_every=LOOK_EVERY,
        device="cpu",
        precision="float32",
    )
    trainer = Trainer(model, _documents("train"), _documents("validation"), settings)
    trainer.callbacks.append(lambda record: trainer.stop() if record.step == until else None)
    records = trainer.fit(progress=False)
    return [(record.step, record.validation_loss) for record in records if record.validation_loss is not None]


@dataclass(frozen=True)
class PowerLaw:
    """loss = floor + a · N^(−alpha), and how well it holds where it was fitted.

    Attributes:
        floor, a, alpha: its three numbers; losses in nats, N in parameters.
        spread: standard deviation of ln(loss − floor) around the line, with the lost degrees of freedom counted.
        sizes: the N that it was fitted on.
    """

    floor: float
    a: float
    alpha: float
    spread: float
    sizes: tuple[float, ...]

    def at(self, size: float) -> float:
        """The loss that it foretells for a size."""
        return self.floor + self.a * size**-self.alpha

    def interval(self, size: float) -> tuple[float, float]:
        """Where 95 % of new losses at that size would lie, if the law holds and its scatter is normal in logarithms.

        The textbook prediction interval of a straight line: the scatter of the new point, and what the fitted points
        leave open about height and slope, which grows with the distance from them.
        """
        x = np.log(self.sizes)
        away = (math.log(size) - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()
        reach = STUDENT_T[len(x) - 2] * self.spread * math.sqrt(1 + 1 / len(x) + away)
        excess = self.at(size) - self.floor
        return float(self.floor + excess * math.exp(-reach)), float(self.floor + excess * math.exp(reach))


STUDENT_T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306}
"""Half-widths of the 95 % interval of Student's t, by degrees of freedom."""


def fit_power_law(sizes: Sequence[float], losses: Sequence[float], floor: float) -> PowerLaw:
    """The power law with a given floor: a straight line through ln(loss − floor) against ln N, by least squares.

    Raises ValueError when a loss is not above the floor, or when there are fewer than three sizes.
    """
    if len(sizes) < 3:
        raise ValueError(f"A line and its scatter need at least 3 sizes, and there are {len(sizes)}.")
    if min(losses) <= floor:
        raise ValueError(f"Every loss must be above the floor of {floor:.4f}, but one is {min(losses):.4f}.")
    x, y = np.log(sizes), np.log(np.asarray(losses) - floor)
    slope, height = np.polyfit(x, y, 1)
    residuals = y - (height + slope * x)
    spread = math.sqrt((residuals**2).sum() / (len(x) - 2))
    return PowerLaw(floor, math.exp(height), float(-slope), spread, tuple(map(float, sizes)))


def fit_with_free_floor(sizes: Sequence[float], losses: Sequence[float]) -> PowerLaw:
    """The power law whose floor is fitted too, as one must where nobody knows it: the best of 2,000 floors from 0 up.

    Which floor is best is measured in losses, by least squares.
    """
    floors = np.linspace(0, min(losses), 2001)[:-1]
    laws = [fit_power_law(sizes, losses, float(floor)) for floor in floors]
    return min(laws, key=lambda law: sum((law.at(n) - loss) ** 2 for n, loss in zip(sizes, losses, strict=True)))


def run_all() -> None:
    """Train what is not stored yet; each run is stored as it ends."""
    recipe = {"widths": list(WIDTHS), "steps": STEPS, "batch": BATCH, "rate": RATE, "context": CONTEXT}
    try:
        stored = load_results("scaling")
    except FileNotFoundError:
        stored = {}
    if stored.get("recipe") != recipe:
        stored = {"recipe": recipe, "floor": round(floor(), 5), "runs": {}}
    for seed in SEEDS:
        for width in WIDTHS:
            runs = stored["runs"].setdefault(str(width), {})
            if str(seed) not in runs:
                runs[str(seed)] = [(step, round(loss, 5)) for step, loss in train_one(width, seed)]
                save_results("scaling", stored)
                print(width, seed, runs[str(seed)][-1], flush=True)


def stored_runs() -> dict[int, list[list[tuple[int, float]]]]:
    """Width → for each seed the steps and held-out losses, as `run_all` left them."""
    runs = load_results("scaling")["runs"]
    return {
        int(width): [[tuple(point) for point in by_seed[seed]] for seed in by_seed] for width, by_seed in runs.items()
    }


def final_losses() -> dict[int, list[float]]:
    """Width → the last held-out loss of each seed."""
    return {width: [run[-1][1] for run in runs] for width, runs in stored_runs().items()}


@cache
def _corpus() -> Corpus:
    return load_corpus("tiny_world")


@cache
def _tokenizer() -> CharTokenizer:
    return CharTokenizer.train(_corpus().train)


@cache
def _documents(split: str) -> Documents:
    stories = _corpus().train if split == "train" else _corpus().validation[:HELD_OUT_STORIES]
    return Documents([_tokenizer().encode(story) for story in stories], CONTEXT, end_id=_tokenizer().end_id)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run_all()
