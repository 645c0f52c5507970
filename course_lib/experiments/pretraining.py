"""Lesson 13's measurements: what each choice in pre-training a BERT does at this size, from three starts each.

    python -m course_lib.experiments.pretraining

trains some thirty small BERTs (about 45 minutes on one core) and writes `pretraining_results.json` beside this file.
A run that is cut off goes on where it was when the command is given again.

    python -m course_lib.experiments.pretraining model

trains the lesson's own BERT (three minutes) and writes it to `data/models/story_bert_small`.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from course_lib.experiments.results import load_results, save_results
from course_lib.experiments.shipped_models import CARD, RECORD, enter_in_manifest
from course_lib.files import write_atomically
from course_lib.hub import load_model, save_model
from course_lib.models.bert import BERTConfig, BERTForPretraining
from course_lib.models.gpt import IGNORED
from course_lib.text import WordPieceTokenizer, load_corpus
from course_lib.text.bundled import data_folder
from course_lib.text.sentences import PretrainingRow, packed_sentences, sentence_pairs
from course_lib.training import TrainConfig, Trainer
from course_lib.training.masking import Masked, MaskedRows

CONTEXT = 64
SEEDS = (0, 1, 2)
SIZE = {"d_model": 64, "n_heads": 4, "n_layers": 2, "dropout": 0.0}
STEPS, PEAK = 800, 0.02
STORIES, FEW, VALIDATION_STORIES = 8_000, 200, 150

NAME, COMMAND, MODEL_STEPS = "story_bert_small", "python -m course_lib.experiments.pretraining model", 2_500

FATES = {"80/10/10": (0.8, 0.1), "100/0/0": (1.0, 0.0), "80/0/20": (0.8, 0.0), "80/20/0": (0.8, 0.2)}
"""[MASK] / random / unchanged, in per cent → the shares of the first two."""

RUNS: dict[str, dict[str, Any]] = {
    **{f"fates {name}": {"fates": shares} for name, shares in FATES.items()},
    "pairs, NSP": {"rows": "pairs", "next_sentence": True, "pooler": True},
    "pairs, no NSP": {"rows": "pairs"},
    "shared": {"share_layers": True},
    "factorised": {"d_embedding": 16},
    "ALBERT": {"share_layers": True, "d_embedding": 16},
    "few, dynamic": {"rows": "few"},
    "few, static": {"rows": "few", "dynamic": False},
}
"""Each differs from BERT without pairs ("fates 80/10/10") in what is named here."""


class FatedRows(MaskedRows):
    """Rows whose chosen tokens become [MASK] and random tokens with other shares than 80 % and 10 %."""

    def __init__(self, *args: Any, fates: tuple[float, float], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.fates = fates

    def _mask(self, indices: list[int], generator: torch.Generator) -> Masked:
        targets = super()._mask(indices, generator).targets
        tokens = torch.nn.utils.rnn.pad_sequence(
            [self.ids[index] for index in indices], batch_first=True, padding_value=self.pad_id
        )
        return Masked(self.hide(tokens, targets, generator), targets)

    def hide(self, tokens: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        """The tokens, with something else at most of the chosen places."""
        masked, random = self.fates
        fate = torch.rand(tokens.shape, generator=generator).masked_fill(targets == IGNORED, 1.0)
        other = self._replacements[torch.randint(len(self._replacements), tokens.shape, generator=generator)]
        return tokens.where(fate >= masked, self.mask_id).where((fate < masked) | (fate >= masked + random), other)


class Setting:
    """The data of all these runs: stories of tiny_world in WordPiece tokens."""

    def __init__(self) -> None:
        self.corpus = load_corpus("tiny_world")
        self.tokenizer = WordPieceTokenizer.train(self.corpus.train[:STORIES], 2_000)

    def rows(self, kind: str, *, validation: bool = False) -> list[PretrainingRow]:
        """Rows of a kind: "packed" whole stories, "few" of them, or "pairs"."""
        texts = self.corpus.validation[:VALIDATION_STORIES] if validation else self.corpus.train[:STORIES]
        if kind == "pairs":
            return list(sentence_pairs(texts, self.tokenizer, CONTEXT))
        return list(packed_sentences(texts[:FEW] if kind == "few" and not validation else texts,
                                     self.tokenizer, CONTEXT, across=False))  # fmt: skip

    def masked(self, rows: Sequence[PretrainingRow], fates: tuple[float, float] = (0.8, 0.1), **how: Any) -> FatedRows:
        """Rows with masks."""
        return FatedRows(rows, self.tokenizer, fates=fates, **how)

    def model(self, seed: int, **switches: Any) -> BERTForPretraining:
        """A small BERT with weights of its own; without pairs unless asked for."""
        torch.manual_seed(seed)
        switches = {"next_sentence": False, "pooler": False} | switches
        return BERTForPretraining(BERTConfig(self.tokenizer.vocab_size, CONTEXT, **SIZE | switches))

    @cached_property
    def hidden(self) -> dict[str, list[tuple[Tensor, Tensor]]]:
        """Validation rows in three guises: chosen tokens as [MASK], as random tokens, and left as they are."""
        rows = self.rows("packed", validation=True)
        guises = {"masked": (1.0, 0.0), "wrong": (0.0, 1.0), "unchanged": (0.0, 0.0)}
        return {
            name: [(batch.tokens, batch.targets) for batch in self.masked(rows, fates, seed=1).in_order(50)]
            for name, fates in guises.items()
        }


def settings(steps: int = STEPS, seed: int = 0, peak: float = PEAK) -> TrainConfig:
    """What all runs share: Muon in float32 on the CPU, so that they can be repeated anywhere."""
    return TrainConfig(
        steps, batch_size=32, learning_rate=peak, optimizer="muon", warmup_steps=20, evaluate_every=steps, seed=seed,
        device="cpu", precision="float32",
    )  # fmt: skip


def train(
    setting: Setting,
    seed: int,
    *,
    rows: str = "packed",
    fates: tuple[float, float] = (0.8, 0.1),
    dynamic: bool = True,
    steps: int = STEPS,
    peak: float = PEAK,
    **switches: Any,
) -> BERTForPretraining:
    """A small BERT after one run."""
    model = setting.model(seed, **switches)
    masked = setting.masked(setting.rows(rows), fates, dynamic=dynamic, seed=seed)
    few = setting.masked(setting.rows("packed", validation=True)[:8])  # the last look, which nobody needs, is short
    Trainer(model, masked, few, settings(steps, seed, peak)).fit(progress=False)
    return model.eval()


@torch.no_grad()
def right_at(model: BERTForPretraining, batches: Sequence[tuple[Tensor, Tensor]]) -> float:
    """The share of chosen places where the likeliest token is the true one."""
    right = [(model(tokens).logits.argmax(-1) == targets)[targets != IGNORED] for tokens, targets in batches]
    return torch.cat(right).float().mean().item()


@torch.no_grad()
def judge_pairs(setting: Setting, model: BERTForPretraining) -> dict[str, float]:
    """Of validation pairs: the share judged rightly, and the share of true pairs in the wrong order called a pair."""
    rows = setting.rows("pairs", validation=True)
    right, fooled = [], []
    for row in rows:
        answer = model(torch.tensor([row.ids]), torch.tensor([row.segments])).next_sentence_logits.argmax(-1).item()
        right.append((answer == 0) == row.follows)
        if row.follows:
            cut = row.segments.index(1)
            first, second = row.ids[1:cut], row.ids[cut:]  # each with the [SEP] that ends it
            swapped = torch.tensor([[row.ids[0], *second, *first]])
            segments = torch.tensor([[0] * (1 + len(second)) + [1] * len(first)])
            fooled.append(model(swapped, segments).next_sentence_logits.argmax(-1).item() == 0)
    return {"pairs_right": sum(right) / len(right), "swapped_called_a_pair": sum(fooled) / len(fooled)}


def one_run(setting: Setting, name: str, seed: int, steps: int = STEPS) -> dict[str, float]:
    """What one model can do after its run, and how many parameters it has."""
    model = train(setting, seed, **{"steps": steps} | RUNS[name])
    found = {guise: right_at(model, batches) for guise, batches in setting.hidden.items()}
    if model.next_sentence is not None:
        found |= judge_pairs(setting, model)
    return {key: round(value, 4) for key, value in found.items()} | {"parameters": model.count_parameters()}


def run_all(steps: int = STEPS) -> dict[str, Any]:
    """Every run from each seed; what is stored already is not run again."""
    try:
        results = load_results("pretraining")
    except FileNotFoundError:
        results = {"steps": steps, "runs": {}}
    setting = Setting()
    for name in RUNS:
        done = results["runs"].setdefault(name, [])
        for seed in SEEDS[len(done) :]:
            done.append(one_run(setting, name, seed, steps))
            save_results("pretraining", results)
            print(name, seed, done[-1], flush=True)
    return results


@torch.no_grad()
def best_guesses(model: BERTForPretraining, tokenizer: WordPieceTokenizer, texts: Sequence[str]) -> list[list[str]]:
    """Lesson 13's suspect: what stands at each [MASK] of each text, all texts in one batch."""
    ids = [[tokenizer.cls_id, *tokenizer.encode(text, allow_special=True), tokenizer.sep_id] for text in texts]
    length = max(map(len, ids))
    tokens = torch.tensor([row + [tokenizer.pad_id] * (length - len(row)) for row in ids])
    logits = model(tokens, mask=torch.ones_like(tokens, dtype=torch.bool)).logits
    places = [(tokens[row] == tokenizer.mask_id).nonzero().flatten() for row in range(len(texts))]
    return [[tokenizer.tokens[i] for i in logits[row, where].argmax(-1)] for row, where in enumerate(places)]


def make_model() -> None:
    """Train the lesson's own BERT, without pairs, and write it to the course's data with its card and its record."""
    setting = Setting()
    model, masked = setting.model(0), setting.masked(setting.rows("packed"))
    few = setting.masked(setting.rows("packed", validation=True)[:8])
    config = dataclasses.replace(settings(MODEL_STEPS), warmup_steps=30)
    Trainer(model, masked, few, config).fit(progress=False)
    save_model(data_folder() / "models" / NAME, model.eval(), setting.tokenizer, dtype=torch.float16)
    describe_model()


def measure_model() -> dict[str, float]:
    """What the stored model does at validation tokens in each guise, and how many parameters it has."""
    setting, model = Setting(), load_model(NAME)[0]
    found = {guise: round(right_at(model, batches), 3) for guise, batches in setting.hidden.items()}
    return found | {"parameters": model.count_parameters()}


def describe_model() -> None:
    """Write the stored model's record and card, and enter it in the manifest."""
    folder, measured = data_folder() / "models" / NAME, measure_model()
    record = {"command": COMMAND, "steps": MODEL_STEPS, "validation": measured}
    write_atomically(folder / RECORD, (json.dumps(record, indent=1) + "\n").encode())
    card = (
        f"# Model card: {NAME}\n\nA BERT of {measured['parameters']:,} parameters (2 blocks of width 64, 4 heads, "
        f"{CONTEXT} positions), pre-trained by `{COMMAND}` on {STORIES:,} stories of tiny_world, masked words alone, "
        f"{MODEL_STEPS:,} steps, seed 0; stored in float16. Of masked validation tokens it guesses "
        f"{measured['masked']:.1%}. It is lesson 13's model and knows nothing but tiny_world.\n\n"
        "Licence: CC BY 4.0, as the data.\n"
    )
    write_atomically(folder / CARD, card.encode())
    enter_in_manifest(NAME, COMMAND)


def stored_runs() -> dict[str, Any]:
    """What `run_all` gave when it was last run and stored."""
    return load_results("pretraining")


if __name__ == "__main__":
    torch.set_num_threads(1)
    make_model() if sys.argv[1:] == ["model"] else run_all()
