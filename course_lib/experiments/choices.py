"""Lesson 09's measurements: schedules of the learning rate, and what helps against overfitting, from three starts each.

    python -m course_lib.experiments.choices

trains some eighty small models (about ten minutes on two cores) and writes `choices_results.json` beside this file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from course_lib.experiments.results import load_results, save_results
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text import load_corpus
from course_lib.text.tokenizers import CharTokenizer
from course_lib.training import Documents, Record, TrainConfig, Trainer

CONTEXT = 64
SEEDS = (0, 1, 2)
SIZE = {"d_model": 64, "n_heads": 4, "n_layers": 2}
VALIDATION_STORIES = 100

RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {"warmup_steps": 0, "final_rate": 1.0},
    "warm-up, then constant": {"warmup_steps": 20, "final_rate": 1.0},
    "cosine": {"warmup_steps": 0},
    "warm-up, then cosine": {"warmup_steps": 20},
}
SCHEDULE_STEPS = 150
LONG_STEPS, LONG_RATE = 600, 0.01
LONG = ("warm-up, then constant", "warm-up, then cosine")
"""The two that begin alike, over four times as many steps."""

FEW, MANY = 100, 3000
"""Stories that the overfitting runs learn from, and ten lessons' worth more."""
REMEDIES: dict[str, dict[str, Any]] = {
    "100 stories": {},
    "dropout 0.2": {"dropout": 0.2},
    "weight decay 1": {"weight_decay": 1.0},
    "3,000 stories": {"stories": MANY},
}
OVERFIT_STEPS = 600
OVERFIT_EVERY = 30


class Setting:
    """The data of all these runs: beginnings of tiny_world stories, character by character, and their floor."""

    def __init__(self) -> None:
        corpus = load_corpus("tiny_world")
        self.tokenizer = CharTokenizer.train(corpus.train)
        self.stories = [self.tokenizer.encode(text) for text in corpus.train[:MANY]]
        held_out = corpus.validation[:VALIDATION_STORIES]
        self.validation = self.documents([self.tokenizer.encode(text) for text in held_out])
        self.floor = type(corpus.floor)({"validation": held_out}).per_character("validation", CONTEXT)

    def documents(self, stories: Sequence[Sequence[int]]) -> Documents:
        """Stories as batches."""
        return Documents(stories, CONTEXT, end_id=self.tokenizer.end_id)

    def model(self, seed: int = 0, **changes: Any) -> GPT:
        """A small GPT with weights of its own."""
        torch.manual_seed(seed)
        return GPT(GPTConfig(self.tokenizer.vocab_size, CONTEXT, **SIZE | changes))


def train(
    setting: Setting,
    model: GPT,
    stories: Documents,
    config: TrainConfig,
    callbacks: Sequence[Callable[[Record], None]] = (),
) -> list[Record]:
    """The records of one run; a run that blows up ends early."""
    trainer = Trainer(model, stories, setting.validation, config, callbacks=callbacks)
    try:
        return trainer.fit(progress=False)
    except ValueError as error:
        if "loss is" not in str(error) and "gradient's length" not in str(error):
            raise
        return trainer.history


def settings(steps: int, seed: int, **changes: Any) -> TrainConfig:
    """What all runs share: AdamW in float32 on the CPU, so that they can be repeated anywhere."""
    shared = {"batch_size": 16, "learning_rate": 3e-3, "warmup_steps": 20, "device": "cpu", "precision": "float32"}
    return TrainConfig(steps, seed=seed, **shared | changes)


def schedule_run(
    setting: Setting, stories: Documents, schedule: str, rate: float, seed: int, steps: int = SCHEDULE_STEPS
) -> float | None:
    """The validation loss at the end, or None for a run that blew up."""
    config = settings(steps, seed, learning_rate=rate, evaluate_every=steps, **SCHEDULES[schedule])
    history = train(setting, setting.model(seed), stories, config)
    return round(history[-1].validation_loss, 4) if len(history) == steps else None


def overfit_run(setting: Setting, remedy: str, seed: int, steps: int = OVERFIT_STEPS) -> dict[str, list[float]]:
    """Loss on the stories learned from (dropout off) and on others, every OVERFIT_EVERY steps."""
    changes = dict(REMEDIES[remedy])
    stories = setting.documents(setting.stories[: changes.pop("stories", FEW)])
    known = setting.documents(setting.stories[:FEW])
    optimizing = {"weight_decay": changes.pop("weight_decay", 0.0)}
    model = setting.model(seed, **changes)
    losses: dict[str, list[float]] = {"step": [], "known": [], "new": []}

    def look(record: Record) -> None:
        if record.validation_loss is not None:
            losses["step"].append(record.step)
            losses["known"].append(round(Trainer(model, known, known, config).evaluate(), 4))
            losses["new"].append(round(record.validation_loss, 4))

    config = settings(steps, seed, evaluate_every=OVERFIT_EVERY, final_rate=0.1, **optimizing)
    train(setting, model, stories, config, [look])
    return losses


def run_all() -> dict[str, Any]:
    """Every schedule at every rate, every remedy, from each seed."""
    setting = Setting()
    stories = setting.documents(setting.stories)
    schedules = {}
    for name in SCHEDULES:
        schedules[name] = [[schedule_run(setting, stories, name, rate, seed) for rate in RATES] for seed in SEEDS]
        print(name, schedules[name], flush=True)
    long = {
        name: [schedule_run(setting, stories, name, LONG_RATE, seed, LONG_STEPS) for seed in SEEDS] for name in LONG
    }
    print(long, flush=True)
    remedies = {}
    for name in REMEDIES:
        remedies[name] = [overfit_run(setting, name, seed) for seed in SEEDS]
        print(name, [min(run["new"]) for run in remedies[name]], [run["new"][-1] for run in remedies[name]], flush=True)
    floor = round(setting.floor, 4)
    return {"floor": floor, "rates": RATES, "schedules": schedules, "long": long, "remedies": remedies}


def stored_runs() -> dict[str, Any]:
    """What `run_all` gave when it was last run and stored."""
    return load_results("choices")


if __name__ == "__main__":
    torch.set_num_threads(1)
    save_results("choices", run_all())
