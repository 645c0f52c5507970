"""One model that translates, summarises and answers, told what to do by the first words of what it reads.

Sizes are small enough for a lesson; `train` with more steps is the experiment at full length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from course_lib.evaluation import bleu, rouge
from course_lib.experiments.translator import KIND
from course_lib.generation import translate
from course_lib.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from course_lib.text.text_to_text import Exchange, text_to_text
from course_lib.text.tokenizers import WordPieceTokenizer
from course_lib.training import Pairs, Record, TrainConfig, Trainer

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
