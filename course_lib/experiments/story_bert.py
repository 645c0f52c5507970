"""The small BERT that comes with the course: pre-trained on tiny_world, and what it reached.

    python -m course_lib.experiments.story_bert

trains it, writes it to `data/models/story_bert` with its record and its model card, and enters the files in the data's
manifest. A run that is cut off goes on where it was when the command is given again.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from course_lib.experiments.shipped_models import (
    FEW,
    announce,
    enter_in_manifest,
    run_to_the_end,
    tell_fresh,
    training_record,
    write_record_and_card,
)
from course_lib.hub import load_model, save_model
from course_lib.models.bert import BERTConfig, BERTForPretraining
from course_lib.models.gpt import IGNORED
from course_lib.text import WordPieceTokenizer, load_corpus
from course_lib.text.bundled import data_folder
from course_lib.text.sentences import sentence_pairs
from course_lib.training import Record, TrainConfig, Trainer
from course_lib.training.masking import MaskedRows

NAME = "story_bert"
COMMAND = "python -m course_lib.experiments.story_bert"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the model.

    Attributes:
        fresh_stories: how many new stories of tiny_world it reads.
        vocab_size: the most tokens that its WordPiece tokenizer, learned from the corpus, may have.
        model: the BERTConfig, without its vocabulary.
        training: as for the Trainer.
        validation_documents: how many stories of the validation split it is measured on.
    """

    fresh_stories: int
    vocab_size: int
    model: dict[str, Any]
    training: TrainConfig
    validation_documents: int


RECIPE = Recipe(
    fresh_stories=32_000,
    vocab_size=2_048,
    model={"context_length": 128, "d_model": 128, "n_heads": 4, "n_layers": 4, "dropout": 0.0},
    training=TrainConfig(
        steps=2_000,
        batch_size=32,
        learning_rate=0.005,
        optimizer="muon",
        warmup_steps=100,
        evaluate_every=500,
        save_every=100,
        keep=2,
    ),
    validation_documents=400,
)


def masked_rows(texts: Sequence[str], tokenizer: WordPieceTokenizer, recipe: Recipe) -> MaskedRows:
    """Sentence pairs of the texts, with masks."""
    return MaskedRows(sentence_pairs(texts, tokenizer, recipe.model["context_length"]), tokenizer)


def train(working_folder: Path, recipe: Recipe = RECIPE, *, say: Callable[[str], None] = print) -> Path:
    """Train the model, or go on with it, and write it to the course's data; answer its folder."""
    folder, corpus = data_folder() / "models" / NAME, load_corpus("tiny_world")
    tokenizer = WordPieceTokenizer.train(corpus.train, recipe.vocab_size)
    fresh = list(tell_fresh(recipe.fresh_stories, corpus))
    torch.manual_seed(recipe.training.seed)
    model = BERTForPretraining(BERTConfig(tokenizer.vocab_size, **recipe.model))

    trainer = Trainer(
        model,
        masked_rows(fresh, tokenizer, recipe),
        masked_rows(corpus.validation[: recipe.validation_documents], tokenizer, recipe),
        recipe.training,
        callbacks=[lambda record: announce(record, say)],
        folder=working_folder / NAME,
    )
    history = run_to_the_end(trainer)
    save_model(folder, model, tokenizer, dtype=torch.float16)
    write_record(folder, recipe, history)
    enter_in_manifest(NAME, COMMAND)
    return folder


@torch.no_grad()
def measure(n_documents: int | None = None, recipe: Recipe = RECIPE) -> dict[str, float]:
    """What the model does on validation stories, as it is stored, in float32.

    The loss of masked tokens in nats, and the shares of masked tokens and of pairs that it gets right.
    """
    model, tokenizer = load_model(NAME)
    texts = load_corpus("tiny_world").validation[: n_documents or recipe.validation_documents]
    nats, right, masked, pairs_right, pairs = 0.0, 0, 0, 0, 0
    for tokens, segments, follows, targets in masked_rows(texts, tokenizer, recipe).in_order(50):
        output = model(tokens, segments, follows, targets)
        guessed = targets != IGNORED
        nats += output.masked_loss.item() * int(guessed.sum())
        right += int((output.logits[guessed].argmax(-1) == targets[guessed]).sum())
        masked += int(guessed.sum())
        pairs_right += int((output.next_sentence_logits.argmax(-1) == follows).sum())
        pairs += len(follows)
    return {"masked_loss": nats / masked, "masked_accuracy": right / masked, "pair_accuracy": pairs_right / pairs}


def write_record(folder: Path, recipe: Recipe, history: Sequence[Record]) -> None:
    """Write how the model was made and what it reached, for programs and for people."""
    model, tokenizer = load_model(folder)
    record = training_record(COMMAND, recipe, history) | {
        "guesses": history[-1].tokens,
        "vocabulary": tokenizer.vocab_size,
        "parameters": model.count_parameters(),
        "validation": {key: round(value, 5) for key, value in measure(None, recipe).items()},
        "first_documents": {key: round(value, 5) for key, value in measure(FEW, recipe).items()},
    }
    write_record_and_card(folder, record, model_card(record))


def model_card(record: dict[str, Any]) -> str:
    """The model's card: what it is, how it was made, what it reached, what it is good for."""
    measured, recipe = record["validation"], record["recipe"]
    config = recipe["model"]
    rows = {
        "What": "a BERT pre-trained on new stories of tiny_world: masked tokens and next sentences",
        "Architecture": f"{config['n_layers']} blocks of width {config['d_model']}, {config['n_heads']} heads, "
        f"{config['context_length']} positions, post-norm: BERT's, so `to_huggingface` takes it",
        "Parameters": f"{record['parameters']:,}, stored in float16",
        "Tokenizer": f"WordPiece, {record['vocabulary']:,} tokens, trained on the corpus's training stories",
        "Made by": f"`{record['command']}`, seed {recipe['training']['seed']}",
        "Took": f"{record['minutes']:.0f} minutes for {record['steps']:,} steps, {record['guesses']:,} guesses, on "
        f"{record['machine']}",
        "Masked tokens": f"{measured['masked_accuracy']:.1%} right, {measured['masked_loss']:.4f} nats each",
        "Next sentence": f"{measured['pair_accuracy']:.1%} right",
        "Licence": "CC BY 4.0, as the data",
    }
    table = "\n".join(f"| {what} | {text} |" for what, text in rows.items())
    curve = "\n".join(f"| {step:,} | {loss:.4f} |" for step, loss in record["curve"])
    return (
        f"# Model card: {NAME}\n\n| | |\n|---|---|\n{table}\n\n"
        "It knows the sentences of tiny_world and nothing else: fine-tune it on the world's labelled tasks. The "
        "licence of the world's data and its limits are in the data card.\n\n"
        f"## Learning curve\n\n| step | validation loss, both tasks |\n|---|---|\n{curve}\n"
    )


def main() -> None:
    """Train the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--working-folder", type=Path, default=Path("runs"), help="where checkpoints go (%(default)s)")
    print(f"The model is in {train(parser.parse_args().working_folder)}.")


if __name__ == "__main__":
    main()
