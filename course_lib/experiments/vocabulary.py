"""How many tokens a vocabulary should have: small GPTs on tiny_world that differ in their tokenizer only (lesson 07).

Byte-level BPE with no merges (257 tokens), and with more and more of them. Two ways of being fair:

* "same tokens": every model sees as many tokens an update, so an update costs about the same; a model with longer
  tokens reads more text.
* "same text": every window holds about as many bytes, so all models read as much text, and look as far back in it; a
  model with longer tokens computes less.

    python -m course_lib.experiments.vocabulary        # about ten minutes on two cores; writes vocabulary_results.json
"""

import math
from functools import cache
from typing import Any

import torch

from course_lib.experiments.results import load_results, save_results
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text import Corpus, load_corpus
from course_lib.text.tokenizers import BPETokenizer
from course_lib.training import TrainConfig, Trainer, Windows

SIZES = (257, 320, 512, 1024)
SEEDS = (0, 1, 2)
STEPS, BATCH, TOKENS, BYTES = 300, 16, 64, 128
"""Updates, windows an update, tokens in a window ("same tokens"), bytes in a window ("same text")."""

TRAIN_STORIES, HELD_OUT = 4000, 100


def bits_per_byte(nats_per_token: float, n_tokens: int, n_bytes: int) -> float:
    """What a model pays for a text, in a unit that does not depend on how the text was cut."""
    return nats_per_token * n_tokens / (n_bytes * math.log(2))


def floor_in_bits() -> float:
    """The lowest bits per byte that any model can reach on the held-out stories, their ends included."""
    stories = _corpus().validation
    nats = _corpus().floor.per_character("validation") * sum(len(story) + 1 for story in stories)
    return nats / (sum(len(story.encode()) for story in stories) * math.log(2))


def train_one(tokenizer: BPETokenizer, fair: str, seed: int, *, steps: int = STEPS) -> dict[str, float]:
    """Train one small GPT; its loss in nats per token and in bits per byte, on held-out stories.

    Raises ValueError for a `fair` that is neither "same tokens" nor "same text".
    """
    if fair not in ("same tokens", "same text"):
        raise ValueError(f'Fair is "same tokens" or "same text", and not {fair!r}.')
    stories = _corpus().train[:TRAIN_STORIES]
    ids = [tokenizer.encode(story) for story in stories]
    bytes_per_token = sum(map(len, stories)) / sum(map(len, ids))
    context = TOKENS if fair == "same tokens" else round(BYTES / bytes_per_token)
    held_out = Windows([tokenizer.encode(story) for story in _held_out()], context, end_id=tokenizer.end_id)
    torch.manual_seed(seed)
    model = GPT(GPTConfig(tokenizer.vocab_size, context, d_model=64, n_heads=4, n_layers=2))
    settings = TrainConfig(
        steps=steps,
        batch_size=BATCH,
        learning_rate=0.01,
        optimizer="muon",
        warmup_steps=20,
        seed=seed,
        evaluate_every=steps,
    )
    history = Trainer(model, Windows(ids, context, end_id=tokenizer.end_id), held_out, settings).fit(progress=False)
    loss = history[-1].validation_loss
    n_bytes = sum(len(story.encode()) for story in _held_out())
    return {"nats_per_token": loss, "bits_per_byte": bits_per_byte(loss, held_out.n_targets, n_bytes)}


def run_all() -> dict[str, Any]:
    """Each size, each kind of fairness, each seed: bits per byte and nats per token on held-out stories."""
    stories = _corpus().train[:TRAIN_STORIES]
    found: dict[str, Any] = {"same tokens": {}, "same text": {}}
    lengths = {}
    for size in SIZES:
        tokenizer = BPETokenizer.train(stories, size)
        lengths[size] = sum(map(len, stories)) / sum(len(tokenizer.encode(story)) for story in stories)
        for fair, runs in found.items():
            runs[size] = [train_one(tokenizer, fair, seed) for seed in SEEDS]
            print(size, fair, [round(run["bits_per_byte"], 3) for run in runs[size]], flush=True)
    return {"sizes": list(SIZES), "steps": STEPS, "bytes_per_token": lengths, "runs": found, "floor": floor_in_bits()}


def stored_runs() -> dict[str, Any]:
    """What `run_all` gave when it was last run and stored."""
    return load_results("vocabulary")


def stored_table(unit: str) -> dict[str, list[list[float]]]:
    """The stored runs in one unit ("nats_per_token" or "bits_per_byte"): kind of fairness → (seeds, sizes)."""
    return {
        fair: [[runs[seed][unit] for runs in by_size.values()] for seed in range(len(SEEDS))]
        for fair, by_size in stored_runs()["runs"].items()
    }


@cache
def _corpus() -> Corpus:
    return load_corpus("tiny_world")


def _held_out() -> list[str]:
    return _corpus().validation[:HELD_OUT]


if __name__ == "__main__":
    save_results("vocabulary", run_all())
