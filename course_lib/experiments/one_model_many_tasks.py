"""One model that translates, summarises and answers, told what to do by the first words of what it reads.

    python -m course_lib.experiments.one_model_many_tasks

trains it from three starts (about seven minutes on one core), judges each and what needs no model beside them, and
writes `one_model_many_tasks_results.json` beside this file. A run that is cut off goes on where it was when the command
is given again. `train` with fewer steps is small enough for a lesson.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from course_lib.evaluation import bleu, rouge
from course_lib.experiments.results import FOLDER, load_results, save_results
from course_lib.experiments.shipped_models import machine
from course_lib.experiments.translator import KIND, rounded
from course_lib.generation import translate
from course_lib.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from course_lib.text.text_to_text import Exchange, text_to_text
from course_lib.text.tokenizers import WordPieceTokenizer
from course_lib.training import Pairs, Record, TrainConfig, Trainer

NAME = "one_model_many_tasks"
TASKS = ("translation", "summaries", "questions")
STEPS, SEEDS = 1_000, (0, 1, 2)
EXAMPLES = 4
"""Answers of each task that are stored with the scores."""

VOCABULARY = 2_000
CONTEXT = 160
"""Room for the longest story with its question."""
LONGEST_ANSWER = 48
"""Tokens after which an answer that has not ended is cut off."""


@dataclass(frozen=True)
class Learned:
    """A trained model, the tokenizer of its texts, and the run."""

    model: EncoderDecoder
    tokenizer: WordPieceTokenizer
    history: list[Record]


def train(
    *tasks: str,
    steps: int = 300,
    d_model: int = 128,
    seed: int = 0,
    callbacks: Sequence[Callable[[Record], None]] = (),
) -> Learned:
    """Train one model on the named tasks together (all of `text_to_text` when none is named).

    Examples that do not fit the model's positions are left out.
    """
    splits = text_to_text(*tasks)
    tokenizer = WordPieceTokenizer.train(
        [text for exchange in splits["train"] for text in (exchange.source, exchange.target)], VOCABULARY
    )
    torch.manual_seed(seed)
    model = EncoderDecoder(
        EncoderDecoderConfig(tokenizer.vocab_size, CONTEXT, d_model, 4, 2, pad_id=tokenizer.pad_id, **KIND)
    )
    config = TrainConfig(
        steps=steps, batch_size=32, learning_rate=0.01, optimizer="muon", evaluate_every=steps, seed=seed, device="cpu"
    )
    data = (as_pairs(splits[split], tokenizer) for split in ("train", "validation"))
    return Learned(model, tokenizer, Trainer(model, *data, config, callbacks=list(callbacks)).fit(progress=False))


def as_pairs(exchanges: Sequence[Exchange], tokenizer: WordPieceTokenizer) -> Pairs:
    """The exchanges whose texts fit, as pairs of ids."""
    ids = [(tokenizer.encode(exchange.source), tokenizer.encode(exchange.target)) for exchange in exchanges]
    fitting = [pair for pair in ids if max(map(len, pair)) < CONTEXT]
    sources, targets = zip(*fitting, strict=True)
    return Pairs(sources, targets, CONTEXT, end_id=tokenizer.end_id, pad_id=tokenizer.pad_id)


def scores(learned: Learned, split: str = "test", n_examples: int | None = None) -> dict[str, dict[str, float]]:
    """For each task what it is judged by: BLEU of the translations, ROUGE (F) of the summaries, exact answers.

    Capitals do not count, for a WordPiece tokenizer does not keep them. `n_examples` of each task, or all.
    """
    judged: dict[str, dict[str, float]] = {}
    for task in dict.fromkeys(exchange.task for exchange in text_to_text()[split]):
        rows = text_to_text(task)[split][:n_examples]
        found = translate(learned.model, learned.tokenizer, [row.source for row in rows], max_new_tokens=LONGEST_ANSWER)
        judged[task] = judge(task, found, [row.target.lower() for row in rows])
    return judged


def judge(task: str, found: Sequence[str], wanted: Sequence[str]) -> dict[str, float]:
    """The scores of a task's answers."""
    exact = sum(one == other for one, other in zip(found, wanted, strict=True)) / len(wanted)
    if task == "translation":
        return {"bleu": bleu(found, wanted, tokenize="zh").score, "exact": exact}
    if task == "summaries":
        return {kind: score.f for kind, score in rouge(found, wanted).items()} | {"exact": exact}
    return {"exact": exact}


def baselines(split: str = "test") -> dict[str, dict[str, float]]:
    """What the scores are to be compared with: a story's first two sentences as its summary, another story's summary,
    and always the commonest answer."""
    splits = {task: text_to_text(task) for task in ("summaries", "questions")}
    rows = splits["summaries"][split]
    wanted = [row.target.lower() for row in rows]
    stories = [row.source.removeprefix("summarize: ").lower() for row in rows]
    answers = [row.target.lower() for row in splits["questions"][split]]
    commonest = Counter(row.target.lower() for row in splits["questions"]["train"]).most_common(1)[0][0]
    return {
        "first two sentences": judge("summaries", [first_sentences(story, 2) for story in stories], wanted),
        "another story's summary": judge("summaries", [*wanted[1:], wanted[0]], wanted),
        "commonest answer": judge("questions", [commonest] * len(answers), answers),
    }


def first_sentences(text: str, n: int) -> str:
    """The first `n` sentences of a text."""
    return " ".join(re.split(r"(?<=[.!?]) ", text)[:n])


def some_answers(learned: Learned, split: str = "test", n_examples: int = EXAMPLES) -> dict[str, list[dict[str, str]]]:
    """For each task the first examples: what is read, what is wanted, and what the model writes."""
    shown = {}
    for task in TASKS:
        rows = text_to_text(task)[split][:n_examples]
        found = translate(learned.model, learned.tokenizer, [row.source for row in rows], max_new_tokens=LONGEST_ANSWER)
        shown[task] = [
            {"source": row.source, "wanted": row.target, "found": one} for row, one in zip(rows, found, strict=True)
        ]
    return shown


def one_run(seed: int, steps: int = STEPS, n_examples: int | None = None) -> dict[str, Any]:
    """Train one model on all tasks, and judge it on the test split."""
    learned = train(steps=steps, seed=seed)
    return {
        "minutes": round(learned.history[-1].seconds / 60, 1),
        "parameters": learned.model.count_parameters(),
        "validation_loss": round(learned.history[-1].validation_loss, 4),
        "scores": rounded(scores(learned, n_examples=n_examples)),
        "answers": some_answers(learned),
    }


def run_all() -> None:
    """A run from each start, stored as they come, with the baselines."""
    results = {"machine": machine(), "steps": STEPS, "baselines": rounded(baselines()), "runs": []}
    if (FOLDER / f"{NAME}_results.json").exists():
        results = stored_runs()
    for seed in SEEDS[len(results["runs"]) :]:
        results["runs"].append(one_run(seed))
        save_results(NAME, results)
        print(seed, results["runs"][-1]["scores"], flush=True)


def stored_runs() -> dict[str, Any]:
    """What `run_all` found when it was last run and stored."""
    return load_results(NAME)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run_all()
