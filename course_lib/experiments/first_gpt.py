"""Lesson 00's training run from three random starts, in three orders of the stories: how much of it is luck.

    python -m course_lib.experiments.first_gpt

trains three times (about a minute each on two cores) and writes `first_gpt_results.json` beside this file.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from course_lib.experiments.results import load_results, save_results
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text import load_corpus
from course_lib.text.tokenizers import CharTokenizer
from course_lib.training import Documents, TrainConfig, Trainer

CONTEXT = 256
SEEDS = (0, 1, 2)
VALIDATION_STORIES = 160
SIZE = {"d_model": 128, "n_heads": 4, "n_layers": 2}
KIND = {"positions": "rotary", "norm": "rmsnorm", "activation": "relu2", "bias": False}
SETTINGS = TrainConfig(
    steps=550, batch_size=8, learning_rate=0.01, optimizer="muon", warmup_steps=20, evaluate_every=110
)


def run_all() -> dict[str, Any]:
    """Train once for each seed of `SEEDS`; the steps of the evaluations, the losses of each run, and the floor."""
    corpus = load_corpus("tiny_world")
    tokenizer = CharTokenizer.train(corpus.train)
    train, validation = (
        Documents([tokenizer.encode(text) for text in texts], CONTEXT, end_id=tokenizer.end_id)
        for texts in (corpus.train, corpus.validation[:VALIDATION_STORIES])
    )
    losses, steps = [], []
    for seed in SEEDS:
        torch.manual_seed(seed)
        model = GPT(GPTConfig(tokenizer.vocab_size, CONTEXT, **SIZE, **KIND))
        history = Trainer(model, train, validation, replace(SETTINGS, seed=seed)).fit(progress=False)
        print(f"seed {seed}: {history[-1].validation_loss:.4f}", flush=True)
        evaluations = [record for record in history if record.validation_loss is not None]
        steps = [record.step for record in evaluations]
        losses.append([round(record.validation_loss, 4) for record in evaluations])
    floor = corpus.floor.per_character("validation", context_length=CONTEXT)
    return {"steps": steps, "losses": losses, "floor": round(floor, 4)}


def stored_runs() -> dict[str, Any]:
    """What `run_all` gave when it was last run and stored."""
    return load_results("first_gpt")


if __name__ == "__main__":
    save_results("first_gpt", run_all())
