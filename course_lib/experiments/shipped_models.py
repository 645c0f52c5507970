"""The small GPTs that come with the course: how each was trained, and what it reached.

    python -m course_lib.experiments.shipped_models story_gpt
    python -m course_lib.experiments.shipped_models code_gpt

trains one, writes it to `data/models/<name>` with its record and its model card, and enters the files in the data's
manifest. A run that is cut off goes on where it was when the command is given again.
"""

import argparse
import hashlib
import importlib
import itertools
import json
import platform
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from course_lib.files import write_atomically
from course_lib.hub import load_model, save_model
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text import load_corpus
from course_lib.text.bundled import data_folder
from course_lib.text.corpora import Corpus
from course_lib.text.tiny_world import Sampler, char_log_probabilities, tell_story
from course_lib.text.tokenizers import BPETokenizer
from course_lib.training import Documents, Record, TrainConfig, Trainer, Windows

FEW = 10
"""Documents of a quick check of a stored model."""
ANSWERED = 200
"""Stories whose answers are measured apart, at most."""
RECORD, CARD = "record.json", "README.md"
KIND = {"positions": "rotary", "norm": "rmsnorm", "activation": "swiglu", "bias": False, "zero_writers": True}
"""The switches of Llama, so that each model can be handed to other tools as one."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a shipped model.

    Attributes:
        corpus: the built-in corpus that it is trained on.
        fresh_stories: how many new stories of the same world it reads instead of the corpus's own (tiny_world only).
        vocab_size: the most tokens that its byte-pair tokenizer may have.
        model: the GPTConfig, without its vocabulary.
        training: as for the Trainer.
        snapshots: steps after which the model is kept, for watching it learn.
        validation_documents: how many documents of the validation split it is measured on; all, where None.
        note: what else one should know to make it again.
    """

    corpus: str
    vocab_size: int
    model: dict[str, Any]
    training: TrainConfig
    fresh_stories: int = 0
    snapshots: tuple[int, ...] = ()
    validation_documents: int | None = None
    note: str = ""


STORY = Recipe(
    corpus="tiny_world",
    fresh_stories=320_000,
    vocab_size=2_048,
    model={"context_length": 128, "d_model": 160, "n_heads": 5, "n_layers": 6, **KIND},
    training=TrainConfig(
        steps=12_800,
        batch_size=64,
        learning_rate=0.01,
        optimizer="muon",
        warmup_steps=100,
        evaluate_every=1_600,
        save_every=250,
        keep=2,
        compile=True,
    ),
)
RECIPES = {
    "story_gpt": STORY,
    "story_gpt_small": replace(
        STORY,
        fresh_stories=19_200,
        model={"context_length": 128, "d_model": 64, "n_heads": 4, "n_layers": 2, **KIND},
        training=replace(
            STORY.training,
            steps=600,
            batch_size=32,
            warmup_steps=50,
            evaluate_every=600,
            save_every=100,
            compile=False,
            precision="bfloat16 throughout",
        ),
        snapshots=(10, 30, 100, 300),
    ),
    "code_gpt": Recipe(
        corpus="python_source",
        vocab_size=1_024,
        model={"context_length": 256, "d_model": 192, "n_heads": 6, "n_layers": 4, **KIND},
        training=replace(
            STORY.training,
            steps=1_500,
            batch_size=8,
            warmup_steps=50,
            evaluate_every=750,
            save_every=100,
            compile=False,
            precision="bfloat16 throughout",
        ),
        validation_documents=20,
    ),
}


MODULES = {"translator": "course_lib.experiments.translator"}
"""Models of other kinds, and the modules that train them."""

WORLD = (
    "It tells stories of tiny_world and answers questions about them, and knows nothing else. The licence of the "
    "world's data, its limits and its floor are in the data card.",
    "CC BY 4.0, as the data",
)
ABOUT = {
    "story_gpt": ("a GPT that tells tiny_world stories, trained on new stories of the same world", *WORLD),
    "story_gpt_small": (
        "a smaller sibling of story_gpt, kept at several points of its training (`training/`), to watch it learn",
        *WORLD,
    ),
    "code_gpt": (
        "a GPT that completes simple Python statements, trained on the source of the standard library",
        "It has seen nothing but CPython's standard library: it completes imports, loops, signatures and other simple "
        "statements, and makes up what is not simple. Never run what it writes without reading it.",
        "its training text is under the PSF licence, version 2; the weights are offered under the same",
    ),
}


def tell_fresh(n_stories: int, corpus: Corpus, seed: int = 0) -> Iterator[str]:
    """New stories of tiny_world, none of which tells what a validation or test story of the corpus tells."""
    held_out = {_body(text) for text in [*corpus.validation, *corpus.test]}
    rng = random.Random(f"fresh stories {seed}")
    while n_stories:
        text = tell_story(Sampler(rng)).text
        if _body(text) not in held_out:
            n_stories -= 1
            yield text


def _body(text: str) -> str:
    """A story without its questions."""
    return text.partition("\n")[0]


@dataclass(frozen=True)
class Data:
    """What a recipe's model reads, and what it is measured on."""

    corpus: Corpus
    tokenizer: BPETokenizer
    train: Documents | Windows
    validation: Documents | Windows


def make_data(recipe: Recipe, kept: Path) -> Data:
    """The corpus, its tokenizer (learned from the training texts) and the batches.

    The ids of the training texts are kept in a file, so that a run that goes on need not make them again.
    """
    corpus = load_corpus(recipe.corpus)
    tokenizer = BPETokenizer.train(corpus.train, recipe.vocab_size)
    if not kept.exists():
        texts = tell_fresh(recipe.fresh_stories, corpus) if recipe.fresh_stories else corpus.train
        _keep([tokenizer.encode(text) for text in texts], kept)
    return Data(
        corpus,
        tokenizer,
        _batches(_kept(kept), tokenizer, recipe),
        _validation(corpus, tokenizer, recipe, recipe.validation_documents),
    )


def _keep(documents: list[list[int]], path: Path) -> None:
    """Write the ids of documents to a file, one after the other, and their lengths."""
    ids = torch.tensor([index for document in documents for index in document], dtype=torch.int16)
    lengths = torch.tensor([len(document) for document in documents])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, safetensors.torch.save({"ids": ids, "lengths": lengths}))


def _kept(path: Path) -> list[list[int]]:
    """The documents that `_keep` wrote."""
    kept = safetensors.torch.load_file(path)
    ids, ends = kept["ids"].tolist(), kept["lengths"].cumsum(0).tolist()
    return [ids[start:end] for start, end in itertools.pairwise([0, *ends])]


def _batches(documents: list[list[int]], tokenizer: BPETokenizer, recipe: Recipe) -> Documents | Windows:
    """Stories one by one, each from its beginning; longer documents in windows."""
    kind = Documents if recipe.corpus == "tiny_world" else Windows
    return kind(documents, recipe.model["context_length"], end_id=tokenizer.end_id)


def _validation(
    corpus: Corpus, tokenizer: BPETokenizer, recipe: Recipe, n_documents: int | None = None
) -> Documents | Windows:
    return _batches([tokenizer.encode(text) for text in corpus.validation[:n_documents]], tokenizer, recipe)


def train(name: str, working_folder: Path, *, say: Callable[[str], None] = print) -> Path:
    """Train a shipped model, or go on with it, and write it to the course's data; answer its folder."""
    recipe, folder = RECIPES[name], data_folder() / "models" / name
    data = make_data(recipe, working_folder / f"{name}.safetensors")
    torch.manual_seed(recipe.training.seed)
    model = GPT(GPTConfig(data.tokenizer.vocab_size, **recipe.model))

    def watch(record: Record) -> None:
        if record.step in recipe.snapshots:
            save_model(folder / "training" / f"step_{record.step:05d}", model, data.tokenizer, dtype=torch.float16)
        announce(record, say)

    trainer = Trainer(
        model, data.train, data.validation, recipe.training, callbacks=[watch], folder=working_folder / name
    )
    history = run_to_the_end(trainer)
    save_model(folder, model, data.tokenizer, dtype=torch.float16)
    write_record(folder, recipe, history)
    enter_in_manifest(name)
    return folder


def announce(record: Record, say: Callable[[str], None]) -> None:
    """Say a record in a line: every hundredth, and each with a validation loss."""
    if record.validation_loss is not None or record.step % 100 == 0:
        validation = "" if record.validation_loss is None else f", validation {record.validation_loss:.4f}"
        say(f"step {record.step}, {record.seconds:.0f} s: {record.train_loss:.4f}{validation}")


def run_to_the_end(trainer: Trainer) -> list[Record]:
    """Train, going on where an earlier run was cut off. Ends the command when training is stopped before its end."""
    history = trainer.fit(progress=False, resume=True)
    if len(history) < trainer.config.steps:
        raise SystemExit("Training was stopped before its end: the same command goes on with it.")
    return history


def measure(name: str, n_documents: int | None = None) -> dict[str, float]:
    """The validation loss of a shipped model as it is stored, on the first documents or on all of its, in float32.

    In nats per token; where the corpus has a floor, that too, and the loss in nats per character, on whole stories.
    """
    model, tokenizer = load_model(name)
    recipe = RECIPES[name]
    corpus, n_documents = load_corpus(recipe.corpus), n_documents or recipe.validation_documents
    validation = _validation(corpus, tokenizer, recipe, n_documents)
    settings = TrainConfig(steps=1, batch_size=50, device="cpu", precision="float32")
    loss = Trainer(model, validation, validation, settings).evaluate()
    measured = {"loss": loss}
    if corpus.floor:
        texts = corpus.validation[:n_documents]
        floor = replace(corpus.floor, stories={"validation": texts})
        measured["loss_per_character"] = loss * validation.n_targets / sum(len(text) + 1 for text in texts)
        measured["floor"] = floor.per_token(tokenizer)
        measured["floor_per_character"] = floor.per_character()
        measured["answer_loss"], measured["answer_floor"] = answer_loss(model, tokenizer, texts[:ANSWERED])
    return measured


@torch.no_grad()
def answer_loss(model: GPT, tokenizer: BPETokenizer, stories: Sequence[str]) -> tuple[float, float]:
    """Nats per token of the answers alone, and the floor of that: 0, for the world decides every answer."""
    rows = [torch.tensor([tokenizer.end_id, *tokenizer.encode(story)]) for story in stories]
    nats, floor, n_tokens = 0.0, 0.0, 0
    for story, row in zip(stories, rows, strict=True):
        log_probabilities = model(row[None, :-1]).logits[0].log_softmax(dim=-1)
        costs = -log_probabilities.gather(1, row[1:, None])[:, 0]
        starts = [0, *itertools.accumulate(len(tokenizer.decode([index])) for index in row[1:-1].tolist())]
        per_character = -char_log_probabilities(story)
        for start, stop in _answers(story):
            inside = torch.tensor([start <= place < stop for place in starts])
            nats, n_tokens = nats + costs[inside].sum().item(), n_tokens + int(inside.sum())
            floor += per_character[start:stop].sum()
    return nats / n_tokens, float(floor / n_tokens)


def _answers(story: str) -> Iterator[tuple[int, int]]:
    """Where each answer begins (with its space) and ends."""
    stop = story.find("\n")
    while 0 <= stop < len(story):
        start = story.index("? ", stop) + 1
        stop = story.find("\n", start) if "\n" in story[start:] else len(story)
        yield start, stop


def write_record(folder: Path, recipe: Recipe, history: Sequence[Record]) -> None:
    """Write how a model was made and what it reached, for programs and for people."""
    record = training_record(f"python -m course_lib.experiments.shipped_models {folder.name}", recipe, history) | {
        "tokens": history[-1].tokens,
        "parameters": load_model(folder)[0].count_parameters(),
        "validation": {key: round(value, 5) for key, value in measure(folder.name).items()},
        "first_documents": {key: round(value, 5) for key, value in measure(folder.name, FEW).items()},
    }
    write_record_and_card(folder, record, model_card(folder.name, record))


def training_record(command: str, recipe: Any, history: Sequence[Record]) -> dict[str, Any]:
    """What the record of every shipped model says about its training; `recipe` is a dataclass."""
    return {
        "command": command,
        "recipe": asdict(recipe),
        "machine": machine(),
        "torch": torch.__version__,
        "minutes": round(history[-1].seconds / 60, 1),
        "steps": history[-1].step,
        "curve": [[r.step, round(r.validation_loss, 4)] for r in history if r.validation_loss is not None],
    }


def write_record_and_card(folder: Path, record: dict[str, Any], card: str) -> None:
    """Write both beside the weights."""
    write_atomically(folder / RECORD, (json.dumps(record, indent=1, default=str) + "\n").encode())
    write_atomically(folder / CARD, card.encode())


def model_card(name: str, record: dict[str, Any]) -> str:
    """A model's card: what it is, how it was made, what it reached, what it is good for."""
    measured, recipe = record["validation"], record["recipe"]
    config = recipe["model"]
    about, use, licence = ABOUT[name]
    rows = {
        "What": about,
        "Architecture": f"{config['n_layers']} blocks of width {config['d_model']}, {config['n_heads']} heads, context "
        f"{config['context_length']}; rotary positions, RMSNorm, SwiGLU: Llama's, so `to_huggingface` takes it",
        "Parameters": f"{record['parameters']:,}, stored in float16",
        "Tokenizer": "byte-level BPE, trained on the training texts",
        "Made by": f"`{record['command']}`, seed {recipe['training']['seed']}",
        "Took": f"{record['minutes']:.0f} minutes for {record['steps']:,} steps, {record['tokens']:,} tokens, on "
        f"{record['machine']}" + (f"; {recipe['note']}" if recipe["note"] else ""),
        "Validation loss": f"{measured['loss']:.4f} nats per token",
        "Licence": licence,
    }
    if "floor" in measured:
        rows["Validation loss"] += (
            f" on whole stories; no model can do better than {measured['floor']:.4f} on average, so it misses the "
            f"floor by {measured['loss'] / measured['floor'] - 1:.1%}. On the answers alone it is "
            f"{measured['answer_loss']:.4f}, and {measured['answer_floor']:.4f} is the least"
        )
    table = "\n".join(f"| {what} | {text} |" for what, text in rows.items())
    curve = "\n".join(f"| {step:,} | {loss:.4f} |" for step, loss in record["curve"])
    return (
        f"# Model card: {name}\n\n| | |\n|---|---|\n{table}\n\n{use}\n\n"
        f"## Learning curve\n\n| step | validation loss |\n|---|---|\n{curve}\n"
    )


def machine() -> str:
    """The processor and how many threads torch uses."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {torch.get_num_threads()} threads"


def enter_in_manifest(name: str, command: str | None = None) -> None:
    """Enter every file of a model in the data's manifest, with its checksum and the command that makes it."""
    command = command or f"python -m course_lib.experiments.shipped_models {name}"
    root = data_folder()
    manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    kept = {file: entry for file, entry in manifest["files"].items() if not file.startswith(f"models/{name}/")}
    made = {
        path.relative_to(root).as_posix(): {
            "sha256": hashlib.sha256(content := path.read_bytes()).hexdigest(),
            "bytes": len(content),
            "made_by": command,
        }
        for path in sorted((root / "models" / name).rglob("*"))
        if path.is_file()
    }
    content = {"files": dict(sorted({**kept, **made}.items()))}
    write_atomically(root / "manifest.json", (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode())


def main() -> None:
    """Train the model that the command names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=[*RECIPES, *MODULES])
    parser.add_argument("--working-folder", type=Path, default=Path("runs"), help="where checkpoints go (%(default)s)")
    arguments = parser.parse_args()
    if arguments.name in MODULES:
        folder = importlib.import_module(MODULES[arguments.name]).train(arguments.working_folder)
    else:
        folder = train(arguments.name, arguments.working_folder)
    print(f"The model is in {folder}.")


if __name__ == "__main__":
    main()
