"""Lesson 14's measurements: what a small pre-trained encoder learns from few labels, from three starts each.

    python -m course_lib.experiments.finetuning

fine-tunes some two hundred small models (about ten minutes on one core) and writes `finetuning_results.json` beside
this file. A run that is cut off goes on where it was when the command is given again.
"""

from __future__ import annotations

import dataclasses
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.evaluation import Interval, answer_score, bootstrap_interval, classification_report, entities_of
from course_lib.experiments.results import load_results, save_results
from course_lib.hub import load_model
from course_lib.models.bert import (
    BERTForQuestionAnswering,
    BERTForSequenceClassification,
    BERTForTokenClassification,
    BERTOutput,
)
from course_lib.nn.lora import add_lora
from course_lib.text import WordPieceTokenizer, load_task
from course_lib.text.augmentation import augmented, drop_words, replace_words, swap_words, unanswerable
from course_lib.training import Record, TrainConfig, Trainer
from course_lib.training.finetuning import answer_questions, classify, freeze, tag_words
from course_lib.training.labelled import (
    LabelledRows,
    encode_words,
    label_names,
    labelled_texts,
    labelled_words,
    questions,
)

SEEDS = (0, 1, 2)
FIRST_WORD = 5  # ids below it are special tokens, as WordPieceTokenizer numbers them
STEPS, LONG_STEPS, MANY, BATCH = 120, 300, 450, 16
"""Updates, of which there are more for stories from MANY on: what is to be learned is seen at least ten times."""
SIZES = {"sentiment": (30, 60, 150, 450), "entities": (5, 10, 20, 50, 150, 500)}
"""How many labelled stories, or sentences, a model learns from."""
COPIES = 3
QUESTION_STEPS, QUESTION_RATE = 400, 2e-3
BODY = ("token_embedding", "positions", "segment_embedding", "embedding_norm", "blocks")
"""The encoder without its pooler, which is new and has to learn like a head."""


class Way(NamedTuple):
    """How a model is made and taught.

    Attributes:
        start: "pre-trained", "frozen" (pre-trained, and only what is new learns) or "from scratch".
        mean: read a text's label from the mean of its words' vectors, not from [CLS].
        rank: of LoRA's thin matrices; 0 for none.
        layer_decay: as in TrainConfig.
        changes: those of the copies of its texts.
        encoder: which of the course's models.
    """

    start: str = "pre-trained"
    mean: bool = False
    rank: int = 0
    layer_decay: float = 1.0
    changes: tuple[Callable[[str, random.Random], str], ...] = ()
    encoder: str = "story_bert_small"


STARTS = ("pre-trained", "frozen", "from scratch")
WAYS = {
    **{start: Way(start) for start in STARTS},
    **{f"{start}, mean": Way(start, mean=True) for start in STARTS},
    "LoRA": Way(rank=4),
    "LoRA, mean": Way(mean=True, rank=4),
    "rates by layer": Way(layer_decay=0.5),
    "rates by layer, mean": Way(mean=True, layer_decay=0.5),
    "words replaced, mean": Way(mean=True, changes=(replace_words,)),
    "words dropped or swapped, mean": Way(mean=True, changes=(drop_words, swap_words)),
    "story_bert": Way(encoder="story_bert"),
    "story_bert, mean": Way(mean=True, encoder="story_bert"),
}
TRIED = {"frozen": (1e-2, 3e-2), "LoRA": (3e-3, 1e-2), "story_bert": (3e-4, 1e-3)}
"""Learning rates that are tried for these ways; for others, those of USUAL."""
USUAL = (5e-4, 1e-3, 3e-3)
TRIED_SIZES = {"sentiment": 150, "entities": 20}

RUNS = [
    *(("entities", way, size) for size in SIZES["entities"] for way in STARTS),
    *(("entities", way, 20) for way in ("LoRA", "rates by layer")),
    *(("sentiment", way + read, size) for size in SIZES["sentiment"] for way in STARTS for read in ("", ", mean")),
    *(("sentiment", way, 150) for way in ("LoRA, mean", "rates by layer, mean")),
    *(("sentiment", way, size) for size in (30, 60)
      for way in ("words replaced, mean", "words dropped or swapped, mean")),
    *(("sentiment", way, 60) for way in ("story_bert", "story_bert, mean")),
]  # fmt: skip
"""Task, way and number of labels of every run."""


class MeanReader(BERTForSequenceClassification):
    """One label for each text, from the mean of its words' vectors: [CLS], [SEP] and padding are left out."""

    needs_pooler = False

    def read_from(self, tokens: Int[Tensor, "batch time"], encoded: BERTOutput) -> Float[Tensor, "batch d_model"]:
        """The mean over the words."""
        words = (tokens >= FIRST_WORD).unsqueeze(-1)  # (batch, time, 1)
        return (encoded.hidden * words).sum(dim=1) / words.sum(dim=1).clamp(min=1)


class Task:
    """A labelled task of tiny_world, without the rows that are too long for the encoder.

    They are left out, not cut: a story's last feeling may stand in its last words.
    """

    def __init__(self, name: str, encoder: nn.Module, tokenizer: WordPieceTokenizer):
        self.name, self.encoder, self.tokenizer = name, encoder, tokenizer
        self.room = encoder.config.context_length
        self.column = "label" if name == "sentiment" else "tags"
        self.splits = {split: [row for row in rows if self._fits(row)] for split, rows in load_task(name).items()}
        self.labels = label_names(self.splits["train"], self.column)

    def _fits(self, row: Mapping[str, Any]) -> bool:
        if self.name == "sentiment":
            return len(self.tokenizer.encode_pair(row["text"])[0]) <= self.room
        return len(encode_words(row["words"], self.tokenizer)[0]) <= self.room

    def encoded(self, rows: Sequence[Mapping[str, Any]]) -> LabelledRows:
        """The rows as the Trainer takes them."""
        make = labelled_texts if self.name == "sentiment" else labelled_words
        return make(rows, self.tokenizer, self.room, self.labels)

    def few(self, size: int, seed: int) -> list[Mapping[str, Any]]:
        """So many training rows, other ones for each seed; of texts, as many of each label."""
        rows = self.splits["train"]
        shuffled = random.Random(f"few {seed}").sample(rows, len(rows))
        if self.name != "sentiment":
            return shuffled[:size]
        by_label = {label: [row for row in shuffled if row["label"] == label] for label in self.labels}
        return [row for group in zip(*by_label.values(), strict=False) for row in group][:size]

    def model(self, way: Way, seed: int) -> nn.Module:
        """A model with a new head: on the encoder, or on one of the same shape with random weights."""
        torch.manual_seed(seed)
        kind = BERTForTokenClassification
        if self.name == "sentiment":
            kind = MeanReader if way.mean else BERTForSequenceClassification
        if way.start == "from scratch":
            config = dataclasses.replace(self.encoder.config, labels=self.labels, pooler=kind.needs_pooler)
            return kind(config)
        model = kind.on(self.encoder, self.labels)
        if way.start == "frozen":
            freeze(model, *(f"bert.{part}" for part in BODY))
        if way.rank:
            add_lora(model, way.rank)
            if model.bert.pooler is not None:
                model.bert.pooler.requires_grad_()
        return model

    def marks(self, model: nn.Module, split: str = "test") -> list[Any]:
        """For each text 1 or 0, right or wrong; for each sentence how many entities are right, found, and there."""
        rows = self.splits[split]
        if self.name == "sentiment":
            answers = classify(model, self.tokenizer, [row["text"] for row in rows])
            return [int(label == row["label"]) for (label, _), row in zip(answers, rows, strict=True)]
        found = tag_words(model, self.tokenizer, [row["words"] for row in rows])
        return [_entity_counts(row["tags"], tags) for row, tags in zip(rows, found, strict=True)]


def _entity_counts(truth: Sequence[str], predicted: Sequence[str]) -> list[int]:
    there, found = set(entities_of(truth)), set(entities_of(predicted))
    return [len(there & found), len(found), len(there)]


def score(marks: Sequence[Any]) -> float:
    """The accuracy of texts, or the span F1 of sentences, from their marks."""
    if isinstance(marks[0], int):
        return sum(marks) / len(marks)
    right, found, there = map(sum, zip(*marks, strict=True))
    return 2 * right / (found + there) if found + there else 0.0


def mean_of_seeds(items: Sequence[Sequence[Any]]) -> float:
    """The mean of the seeds' scores, from items that hold a mark for each seed."""
    runs = list(zip(*items, strict=True))
    return sum(map(score, runs)) / len(runs)


def fine_tune(
    model: nn.Module,
    rows: LabelledRows,
    *,
    rate: float,
    seed: int = 0,
    steps: int = STEPS,
    layer_decay: float = 1.0,
    watch: Sequence[Callable[[Record], None]] = (),
) -> list[Record]:
    """Teach the model, with AdamW in float32 on the CPU, so that it can be repeated anywhere."""
    config = TrainConfig(
        steps, batch_size=BATCH, learning_rate=rate, warmup_steps=min(15, steps), weight_decay=0.01,
        layer_decay=layer_decay, evaluate_every=steps, seed=seed, device="cpu", precision="float32",
    )  # fmt: skip
    last_look = LabelledRows(rows.rows[:4], rows.pad_id)  # nobody needs it, so it is short
    return Trainer(model, rows, last_look, config, callbacks=watch).fit(progress=False)


def one_run(
    task: Task, way: Way, size: int, seed: int, *, rate: float, split: str = "test", steps: int | None = None
) -> dict[str, Any]:
    """The marks of a model that learned from `size` rows, and how many numbers of it could learn."""
    model, rows = task.model(way, seed), task.few(size, seed)
    if way.changes:
        rows = list(augmented(rows, COPIES, seed=seed, changes=way.changes))
    steps = steps or (LONG_STEPS if task.name == "sentiment" and size >= MANY else STEPS)
    learning = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    fine_tune(model, task.encoded(rows), rate=rate, seed=seed, steps=steps, layer_decay=way.layer_decay)
    return {"marks": task.marks(model, split), "learning": learning}


@cache
def task_on(name: str, encoder: str) -> Task:
    """A task with one of the course's encoders."""
    return Task(name, *load_model(encoder))


def try_rates(name: str, way: str) -> dict[str, float]:
    """Validation scores of a way at each rate tried, with a seed that the runs do not have."""
    tried = next((rates for word, rates in TRIED.items() if word in way), USUAL)
    size, task = TRIED_SIZES[name], task_on(name, WAYS[way].encoder)
    return {
        f"{rate:g}": round(score(one_run(task, WAYS[way], size, 9, rate=rate, split="validation")["marks"]), 4)
        for rate in tried
    }


def run_all() -> dict[str, Any]:
    """Every run from each seed; what is stored already is not run again."""
    try:
        results = load_results("finetuning")
    except FileNotFoundError:
        results = {"steps": [STEPS, LONG_STEPS], "rates": {}, "runs": {}}
    for name, way, size in RUNS:
        if f"{name}/{way}" not in results["rates"]:
            results["rates"][f"{name}/{way}"] = try_rates(name, way)
        done = results["runs"].setdefault(f"{name}/{way}/{size}", [])
        for seed in SEEDS[len(done) :]:
            rate = best_rate(results, name, way)
            done.append(one_run(task_on(name, WAYS[way].encoder), WAYS[way], size, seed, rate=rate))
            save_results("finetuning", results)
        print(name, way, size, [round(score(run["marks"]), 3) for run in done], flush=True)
    answered = results.setdefault("questions", [])
    for seed in SEEDS[len(answered) :]:
        answered.append(run_questions(seed))
        save_results("finetuning", results)
        print("questions", seed, round(score(answered[-1]), 3), flush=True)
    return results


def asked_rows(split: str) -> list[dict[str, Any]]:
    """The questions of a split, and a quarter as many that their stories do not answer."""
    rows = list(load_task("questions")[split])
    return [*rows, *unanswerable(rows, len(rows) // 4)]


def run_questions(seed: int, steps: int = QUESTION_STEPS, n_rows: int | None = None) -> list[int]:
    """For each test question 1 or 0, whether a reader on the larger encoder answers it exactly ("" for no answer)."""
    encoder, tokenizer = load_model("story_bert")
    torch.manual_seed(seed)
    model = BERTForQuestionAnswering.on(encoder)
    learned_from = questions(asked_rows("train")[:n_rows], tokenizer, encoder.config.context_length)
    fine_tune(model, learned_from, rate=QUESTION_RATE, seed=seed, steps=steps)
    rows = asked_rows("test")[:n_rows]
    found = answer_questions(model, tokenizer, [row["question"] for row in rows], [row["context"] for row in rows])
    return [int(answer_score([row["answer"]], [answer.text]).exact) for row, answer in zip(rows, found, strict=True)]


def best_rate(results: Mapping[str, Any], name: str, way: str) -> float:
    """The learning rate that did best on validation rows."""
    tried = results["rates"][f"{name}/{way}"]
    return float(max(tried, key=tried.get))


@cache
def stored_runs() -> dict[str, Any]:
    """What `run_all` gave when it was last run and stored."""
    return load_results("finetuning")


def run_again(name: str, way: str, size: int, seed: int = 0) -> dict[str, Any]:
    """One of the stored runs, once more."""
    rate = best_rate(stored_runs(), name, way)
    return one_run(task_on(name, WAYS[way].encoder), WAYS[way], size, seed, rate=rate)


def stored_scores(task: str, way: str, size: int) -> list[float]:
    """The seeds' scores of a stored run."""
    return [score(run["marks"]) for run in stored_runs()["runs"][f"{task}/{way}/{size}"]]


def stored_interval(task: str, way: str, size: int, *, minus: str | None = None) -> Interval:
    """The mean of the seeds' scores with its 95 % interval over test items; or by how much it beats another way.

    The same items are drawn for all seeds, and for both ways.
    """
    runs = stored_runs()["runs"]
    items = [list(zip(*(run["marks"] for run in runs[f"{task}/{each}/{size}"]), strict=True))
             for each in (way, minus) if each]  # fmt: skip
    return bootstrap_interval(lambda one, other=None: mean_of_seeds(one) - (mean_of_seeds(other) if other else 0),
                              *items)  # fmt: skip


# Lesson 14's suspect


def colleagues_score(
    encoder: nn.Module,
    tokenizer: WordPieceTokenizer,
    rows: Sequence[Mapping[str, str]],
    *,
    copies: int = 5,
    steps: int = STEPS,
    seed: int = 0,
) -> float:
    """Lesson 14's suspect: more texts from few, a part set aside, a classifier, and its accuracy on that part."""
    more = list(augmented(rows, copies, seed=seed))
    random.Random(seed).shuffle(more)
    cut = len(more) // 5
    held_out, learned_from = more[:cut], more[cut:]
    torch.manual_seed(seed)
    labels = label_names(rows, "label")
    model = MeanReader.on(encoder, labels)
    room = encoder.config.context_length
    fine_tune(model, labelled_texts(learned_from, tokenizer, room, labels), rate=2e-3, seed=seed, steps=steps)
    answers = [label for label, _ in classify(model, tokenizer, [row["text"] for row in held_out])]
    return classification_report([row["label"] for row in held_out], answers).accuracy


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(not run_all())
