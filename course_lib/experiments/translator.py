"""The small translator that comes with the course: English to Chinese, trained on tiny_world's pairs.

    python -m course_lib.experiments.shipped_models translator

trains it, writes it to `data/models/translator` with its record and its model card, and enters the files in the data's
manifest. A run that is cut off goes on where it was when the command is given again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from course_lib.evaluation import bleu
from course_lib.experiments.shipped_models import (
    announce,
    enter_in_manifest,
    run_to_the_end,
    training_record,
    write_record_and_card,
)
from course_lib.generation import translate
from course_lib.hub import load_model, save_model
from course_lib.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from course_lib.text import load_task
from course_lib.text.bundled import data_folder
from course_lib.text.tokenizers import WordPieceTokenizer
from course_lib.training import Pairs, Record, TrainConfig, Trainer

NAME = "translator"
MEASURED = ("validation", "test", "combinations")
"""Splits that the score is reported on. In "combinations" adjectives meet things that they never met in training."""
FEW = 60
"""Sentences of each split in a quick check of the stored model."""

Rows = Sequence[dict[str, str]]

KIND = {
    "positions": "relative",
    "norm": "rmsnorm",
    "norm_position": "pre",
    "activation": "geglu",
    "bias": False,
}
"""The switches of T5 1.1, so that the model can be handed to other tools as one."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the translator.

    Attributes:
        vocab_size: the most tokens that its WordPiece tokenizer, one for both languages, may have.
        model: the EncoderDecoderConfig, without its vocabulary.
        training: as for the Trainer.
    """

    vocab_size: int
    model: dict[str, Any]
    training: TrainConfig


RECIPE = Recipe(
    vocab_size=2_000,
    model={
        "context_length": 48,
        "d_model": 128,
        "n_heads": 4,
        "n_layers": 2,
        "dropout": 0.1,
        "label_smoothing": 0.1,
        **KIND,
    },
    training=TrainConfig(
        steps=1_200,
        batch_size=64,
        learning_rate=0.01,
        optimizer="muon",
        warmup_steps=50,
        evaluate_every=300,
        save_every=100,
        keep=2,
        device="cpu",
        precision="float32",
    ),
)


@dataclass(frozen=True)
class Data:
    """What the translator reads, and what it is measured on."""

    tokenizer: WordPieceTokenizer
    train: Pairs
    validation: Pairs


def make_data(recipe: Recipe) -> Data:
    """One tokenizer for both languages, learned from the training pairs, and the batches."""
    task = load_task("translation")
    tokenizer = WordPieceTokenizer.train(
        [text for pair in task["train"] for text in (pair["en"], pair["zh"])], recipe.vocab_size
    )
    return Data(tokenizer, *(as_pairs(list(task[split]), tokenizer, recipe) for split in ("train", "validation")))


def as_pairs(rows: Rows, tokenizer: WordPieceTokenizer, recipe: Recipe) -> Pairs:
    """English to read, Chinese to write."""
    return Pairs(
        [tokenizer.encode(row["en"]) for row in rows],
        [tokenizer.encode(row["zh"]) for row in rows],
        recipe.model["context_length"],
        end_id=tokenizer.end_id,
        pad_id=tokenizer.pad_id,
    )


def train(working_folder: Path, *, recipe: Recipe = RECIPE, say: Callable[[str], None] = print) -> Path:
    """Train the translator, or go on with it, and write it to the course's data; answer its folder."""
    folder = data_folder() / "models" / NAME
    data = make_data(recipe)
    torch.manual_seed(recipe.training.seed)
    model = EncoderDecoder(
        EncoderDecoderConfig(data.tokenizer.vocab_size, pad_id=data.tokenizer.pad_id, **recipe.model)
    )

    trainer = Trainer(
        model,
        data.train,
        data.validation,
        recipe.training,
        callbacks=[lambda record: announce(record, say)],
        folder=working_folder / NAME,
    )
    history = run_to_the_end(trainer)
    save_model(folder, model, data.tokenizer, dtype=torch.float16)
    write_record(folder, recipe, history)
    enter_in_manifest(NAME)
    return folder


def measure(folder: str | Path = NAME, n_sentences: int | None = None) -> dict[str, dict[str, float]]:
    """BLEU and the share of translations that are the reference to the letter, for each split.

    As the model is stored, in float32, taking the likeliest token at each step; on the first sentences, or all.
    """
    model, tokenizer = load_model(folder)
    task = load_task("translation")
    return {split: score(model, tokenizer, list(task[split])[:n_sentences]) for split in MEASURED}


def score(model: EncoderDecoder, tokenizer: WordPieceTokenizer, rows: Rows, **settings: Any) -> dict[str, float]:
    """BLEU over Chinese characters and the share of exact translations; `settings` go to `translate`."""
    found = translate(model, tokenizer, [row["en"] for row in rows], **settings)
    references = [row["zh"] for row in rows]
    exact = sum(one == other for one, other in zip(found, references, strict=True))
    return {"bleu": bleu(found, references, tokenize="zh").score, "exact": exact / len(rows)}


def write_record(folder: Path, recipe: Recipe, history: Sequence[Record]) -> None:
    """Write how the translator was made and what it reached, for programs and for people."""
    record = training_record(f"python -m course_lib.experiments.shipped_models {NAME}", recipe, history) | {
        "tokens": history[-1].tokens,
        "parameters": load_model(folder)[0].count_parameters(),
        "scores": rounded(measure(folder)),
        "first_sentences": rounded(measure(folder, FEW)),
    }
    write_record_and_card(folder, record, model_card(record))


def rounded(scores: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Scores as they are written down."""
    return {split: {what: round(value, 4) for what, value in found.items()} for split, found in scores.items()}


def model_card(record: dict[str, Any]) -> str:
    """The translator's card: what it is, how it was made, what it reached, what it is good for."""
    recipe = record["recipe"]
    config = recipe["model"]
    rows = {
        "What": "an encoder–decoder that translates English sentences of tiny_world into Chinese",
        "Architecture": f"{config['n_layers']} + {config['n_layers']} blocks of width {config['d_model']}, "
        f"{config['n_heads']} heads, {config['context_length']} positions; relative positions, RMSNorm, gated GELU: "
        "T5 1.1's, so `to_huggingface` takes it",
        "Parameters": f"{record['parameters']:,}, stored in float16",
        "Tokenizer": "WordPiece, one for both languages, trained on the training pairs",
        "Made by": f"`{record['command']}`, seed {recipe['training']['seed']}",
        "Took": f"{record['minutes']:.0f} minutes for {record['steps']:,} steps, {record['tokens']:,} tokens to write, "
        f"on {record['machine']}, which was busy with other work",
        "Licence": "CC BY 4.0, as the data",
    }
    table = "\n".join(f"| {what} | {text} |" for what, text in rows.items())
    scores = "\n".join(
        f"| {split} | {found['bleu']:.1f} | {found['exact']:.1%} |" for split, found in record["scores"].items()
    )
    curve = "\n".join(f"| {step:,} | {loss:.4f} |" for step, loss in record["curve"])
    return (
        f"# Model card: {NAME}\n\n| | |\n|---|---|\n{table}\n\n"
        "It knows the words and the sentence patterns of tiny_world, and nothing else: another sentence gives nonsense "
        "that looks like Chinese.\n\n"
        "## Scores\n\nBLEU over Chinese characters, and translations that are the reference to the letter; the "
        "likeliest token at each step. In `combinations` adjectives meet things that they never met in training.\n\n"
        f"| split | BLEU | exact |\n|---|---|---|\n{scores}\n\n"
        f"## Learning curve\n\n| step | validation loss |\n|---|---|\n{curve}\n"
    )
