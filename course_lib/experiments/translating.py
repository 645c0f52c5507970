"""Lesson 15's measurements: how many pairs translation takes, words that never met, one vector for a whole sentence.

    python -m course_lib.experiments.translating

trains some twenty small translators (about seven minutes on one core) and writes `translating_results.json` beside this
file. A run that is cut off goes on where it was when the command is given again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from course_lib.evaluation import bleu
from course_lib.experiments.results import FOLDER, load_results, save_results
from course_lib.experiments.translation_bugs import SUSPECTS
from course_lib.experiments.translator import KIND
from course_lib.generation import translate
from course_lib.models.encoder_decoder import Encoded, EncoderDecoder, EncoderDecoderConfig
from course_lib.text import load_task
from course_lib.text.tiny_world.chinese import ADJECTIVES_ZH, THINGS_ZH
from course_lib.text.tokenizers import WordPieceTokenizer
from course_lib.training import Pairs, Record, TrainConfig, Trainer

NAME = "translating"
CONTEXT = 48
LONGEST = 32
"""Tokens after which a translation that has not ended is cut off; the references have fewer."""
SEEDS = (0, 1, 2)
STEPS = 400
SIZE = {"d_model": 64, "n_heads": 4, "n_layers": 2, "label_smoothing": 0.1}
PAIRS = 4_000
WITH_A_THING = re.compile(rf"\b(?:{'|'.join(ADJECTIVES_ZH)}) (?:{'|'.join(THINGS_ZH)})\b")


def one_vector(encoded: Encoded) -> Encoded:
    """The mean of a source's vectors, padding excepted, in place of all of them."""
    real = encoded.mask[:, 0, 0, :, None]
    mean = (encoded.states * real).sum(dim=1, keepdim=True) / real.sum(dim=1, keepdim=True)
    return Encoded(mean, encoded.mask.new_ones(len(mean), 1, 1, 1), None)


def last_vector(encoded: Encoded) -> Encoded:
    """The vector of each source's end token in place of all of them."""
    last = encoded.mask[:, 0, 0].sum(dim=1) - 1
    states = encoded.states[torch.arange(len(last)), last][:, None]
    return Encoded(states, encoded.mask.new_ones(len(last), 1, 1, 1), None)


class MeanMemory(EncoderDecoder):
    """A translator whose decoder is shown one vector of each source: the mean."""

    def encode(self, source: Tensor, *, return_attentions: bool = False) -> Encoded:
        """As the encoder does, squeezed."""
        return one_vector(super().encode(source, return_attentions=return_attentions))


class LastMemory(EncoderDecoder):
    """A translator whose decoder is shown one vector of each source: that of its end token."""

    def encode(self, source: Tensor, *, return_attentions: bool = False) -> Encoded:
        """As the encoder does, all but one vector dropped."""
        return last_vector(super().encode(source, return_attentions=return_attentions))


MEMORIES: dict[str, type[EncoderDecoder]] = {"all": EncoderDecoder, "mean": MeanMemory, "last": LastMemory}

RUNS: dict[str, dict[str, Any]] = {
    **{f"{pairs} pairs": {"pairs": pairs} for pairs in (500, 1_000, 2_000, PAIRS)},
    "mean": {"memory": "mean"},
    "last": {"memory": "last"},
}
"""Each differs from 4,000 pairs and all vectors in what is named here."""


def squeezed(model: EncoderDecoder, memory: str) -> EncoderDecoder:
    """A model with the same weights whose decoder is shown less of its source: one of MEMORIES."""
    other = MEMORIES[memory](model.config)
    other.load_state_dict(model.state_dict())
    return other.eval()


class Setting:
    """What all runs share: one tokenizer for both languages, the pairs and the test sentences."""

    def __init__(self) -> None:
        self.task = {split: list(rows) for split, rows in load_task("translation").items()}
        self.tokenizer = WordPieceTokenizer.train(
            [text for pair in self.task["train"] for text in (pair["en"], pair["zh"])], 2_000
        )

    def pairs(self, rows: Sequence[dict[str, str]]) -> Pairs:
        """English to read, Chinese to write."""
        encode = self.tokenizer.encode
        sources, targets = ([encode(row[language]) for row in rows] for language in ("en", "zh"))
        return Pairs(sources, targets, CONTEXT, end_id=self.tokenizer.end_id, pad_id=self.tokenizer.pad_id)

    def model(self, kind: type[EncoderDecoder], seed: int) -> EncoderDecoder:
        """A small translator with weights of its own."""
        torch.manual_seed(seed)
        tokenizer = self.tokenizer
        return kind(EncoderDecoderConfig(tokenizer.vocab_size, CONTEXT, **SIZE, pad_id=tokenizer.pad_id, **KIND))

    def train(
        self, kind: type[EncoderDecoder] = EncoderDecoder, pairs: int = PAIRS, seed: int = 0, steps: int = STEPS
    ) -> tuple[EncoderDecoder, list[Record]]:
        """A translator trained on the first `pairs` pairs, and the records of its training."""
        model = self.model(kind, seed)
        config = TrainConfig(steps, 32, 0.01, optimizer="muon", evaluate_every=steps, seed=seed, device="cpu")
        data = self.pairs(self.task["train"][:pairs]), self.pairs(self.task["validation"][:100])
        return model, Trainer(model, *data, config).fit(progress=False)

    def scores(self, model: EncoderDecoder, split: str) -> dict[str, Any]:
        """BLEU over characters and the share of translations that are exact: of all, of those with an adjective before
        a thing, and by the number of words to read."""
        rows = self.task[split]
        found = translate(model, self.tokenizer, [row["en"] for row in rows], max_new_tokens=LONGEST)
        right = [one == row["zh"] for one, row in zip(found, rows, strict=True)]
        things = [hit for hit, row in zip(right, rows, strict=True) if WITH_A_THING.search(row["en"])]
        lengths = [len(row["en"].split()) for row in rows]
        return {
            "bleu": round(bleu(found, [row["zh"] for row in rows], tokenize="zh").score, 2),
            "exact": share(right),
            "with_a_thing": share(things),
            "by_length": {
                name: share([hit for hit, n in zip(right, lengths, strict=True) if low <= n < high])
                for name, (low, high) in LENGTHS.items()
            },
        }


LENGTHS = {"up to 6": (0, 7), "7 or 8": (7, 9), "9 or 10": (9, 11), "11 and more": (11, 99)}
"""Words to read: from … to, the last excluded."""


def share(hits: Sequence[bool]) -> float | None:
    """The share of hits, or None of nothing."""
    return round(sum(hits) / len(hits), 4) if hits else None


def one_run(setting: Setting, name: str, seed: int, steps: int = STEPS) -> dict[str, Any]:
    """Train one of RUNS and score it; the one with everything is scored with less to see, too."""
    changes = RUNS[name]
    model, history = setting.train(
        MEMORIES[changes.get("memory", "all")], changes.get("pairs", PAIRS), seed, steps=steps
    )
    found = {"loss": round(history[-1].validation_loss, 4)}
    found |= {split: setting.scores(model, split) for split in ("test", "combinations")}
    if not changes.get("memory") and changes["pairs"] == PAIRS:
        found["squeezed"] = {
            memory: setting.scores(squeezed(model, memory), "test") for memory in MEMORIES if memory != "all"
        }
    return found


def one_suspect(setting: Setting, name: str, steps: int = STEPS) -> dict[str, Any]:
    """What training one of the bug hunt's suspects looks like, and what it translates."""
    model, history = setting.train(SUSPECTS[name], steps=steps)
    losses = [round(record.train_loss, 3) for record in history]
    examples = [[row["en"], row["zh"]] for row in setting.task["test"][:3]]
    written = translate(model, setting.tokenizer, [english for english, _ in examples], max_new_tokens=LONGEST)
    return {
        "losses": [losses[0], *losses[19::20]],
        "loss": round(history[-1].validation_loss, 4),
        "test": setting.scores(model, "test"),
        "examples": [[*pair, found] for pair, found in zip(examples, written, strict=True)],
    }


def run_all() -> None:
    """Every run from each seed and every suspect once, stored as they come."""
    setting = Setting()
    results = load_results(NAME) if (FOLDER / f"{NAME}_results.json").exists() else {"runs": {}, "suspects": {}}
    for seed in SEEDS:
        for name in RUNS:
            done = results["runs"].setdefault(name, [])
            if len(done) == seed:
                done.append(one_run(setting, name, seed))
                save_results(NAME, results)
                print(name, seed, [done[-1][split]["bleu"] for split in ("test", "combinations")], flush=True)
    for name in SUSPECTS:
        if name not in results["suspects"]:
            results["suspects"][name] = one_suspect(setting, name)
            save_results(NAME, results)
            print(name, results["suspects"][name]["loss"], results["suspects"][name]["test"]["bleu"], flush=True)


def stored_runs() -> dict[str, Any]:
    """What `run_all` measured when it was last run and stored."""
    return load_results(NAME)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run_all()
