"""`course train`: from a corpus to a trained model in a folder, stopped and resumed as you like.

    course train --corpus tiny_world --tokenizer char --size nano --steps 500 --out runs/stories
    course train --out runs/stories --resume

The folder holds `settings.json` (what was asked for), `tokenizer.json`, `checkpoints/`, `loss.png`, with `--stream` the
corpus as tokens in `shards/`, and at the end `model/`, which `course_lib.hub.load_model` reads. To end a run as Ctrl-C
does, `touch runs/stories/checkpoints/stop`.

Several processes train together under `torchrun --nproc-per-node 2 -m course_lib.cli train …`.
"""

import argparse
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from course_lib.files import write_atomically

SMALL_SIZES: dict[str, dict[str, int]] = {
    "nano": {"d_model": 64, "n_heads": 4, "n_layers": 2},
    "micro": {"d_model": 128, "n_heads": 4, "n_layers": 4},
    "mini": {"d_model": 256, "n_heads": 8, "n_layers": 4},
    "small": {"d_model": 384, "n_heads": 6, "n_layers": 6},
}
"""Sizes for a laptop; larger ones are in `course_lib.models.sizes`."""

KINDS: dict[str, dict[str, Any]] = {
    "gpt2": {},
    "modern": {"positions": "rotary", "norm": "rmsnorm", "activation": "relu2", "bias": False, "qk_norm": True},
}


@dataclass(frozen=True)
class Settings:
    """What `course train` was asked for: written into the folder, so that `--resume` needs nothing else."""

    corpus: str = "tiny_world"
    stream: bool = False
    tokenizer: str = "char"
    vocab_size: int = 1024
    size: str = "micro"
    kind: str = "modern"
    context: int = 256
    dropout: float = 0.0
    steps: int = 1000
    batch_size: int = 16
    learning_rate: float | None = None
    optimizer: str = "muon"
    warmup_steps: int = 50
    evaluate_every: int = 100
    save_every: int | None = None
    patience: int | None = None
    seed: int = 0
    micro_batch_size: int | None = None
    device: str = "auto"
    precision: str = "auto"
    compile: bool = False
    fsdp: bool = False
    validation: int = 200
    prompt: str = ""


HELP = {
    "corpus": "tiny_world, python_docs, python_source, a path, or the id of a Hugging Face dataset",
    "stream": "for a corpus larger than memory: its tokens are written to the run's folder and read from there",
    "tokenizer": "char, bpe, or a tokenizer.json",
    "vocab_size": "tokens of a new bpe tokenizer",
    "size": f"{', '.join(SMALL_SIZES)}, or a larger one: gpt2, gpt2-medium, …, modern-small, …",
    "kind": "of the small sizes: modern (rotary, RMSNorm, squared ReLU, no biases) or gpt2",
    "context": "the most tokens the model sees at once",
    "learning_rate": "its peak; by default 0.01 for muon and 0.003 for adamw",
    "optimizer": "muon or adamw",
    "save_every": "steps between two checkpoints; by default as evaluate-every",
    "patience": "stop after this many evaluations without a lower validation loss",
    "micro_batch_size": "rows that go through the model at once; by default the whole batch",
    "precision": "auto, float32, bfloat16 or float16",
    "compile": "let torch.compile translate the model: slow to start, faster after",
    "fsdp": "with several processes: split the model among them instead of copying it",
    "validation": "documents or windows of the validation split that are looked at",
    "prompt": "how the samples begin",
}
MAY_CHANGE = {"steps", "evaluate_every", "save_every", "patience", "micro_batch_size", "device", "precision", "compile",
              "fsdp", "prompt"}  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `course train`."""
    parser.add_argument("--out", required=True, type=Path, help="the folder of the run")
    parser.add_argument("--resume", action="store_true", help="continue the run in the folder")
    parser.add_argument("--tensorboard", action="store_true", help="write curves for TensorBoard too")
    parser.add_argument("--no-samples", action="store_true", help="write no samples during training")
    types = {"learning_rate": float, "save_every": int, "patience": int, "micro_batch_size": int}
    for field in fields(Settings):
        name, default = "--" + field.name.replace("_", "-"), field.default
        about = HELP.get(field.name, "")
        if default is False:
            parser.add_argument(name, action="store_true", default=None, help=about)
        else:
            shown = "" if default in (None, "") else f" ({default})"
            parser.add_argument(name, type=types.get(field.name, type(default)), help=about + shown)


def train_command(options: argparse.Namespace) -> int:
    """Run `course train`; its exit status."""
    from course_lib.training import pick_device
    from course_lib.training.parallel import Processes, joined_processes

    settings = read_settings(options)
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    with joined_processes(pick_device(settings.device, settings.precision).name):
        run = Run(options.out, settings, resume=options.resume, first=Processes().first)
        run.prepare()
        run.train(samples=not options.no_samples, tensorboard=options.tensorboard)
    return 0


def read_settings(options: argparse.Namespace) -> Settings:
    """What is asked for now; a resumed run has what it began with, but for what may change on the way."""
    given = {field.name: value for field in fields(Settings) if (value := getattr(options, field.name)) is not None}
    file = options.out / "settings.json"
    if not options.resume:
        if file.exists():
            raise ValueError(f"{options.out} holds a run already. Continue it with --resume, or choose another --out.")
        return check_settings(Settings(**given))
    if not file.exists():
        raise ValueError(f"There is no run in {options.out} to resume: {file.name} is missing.")
    try:
        begun = Settings(**json.loads(file.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file} is damaged or of another version of the course ({error}).") from None
    other = [name for name, value in given.items() if name not in MAY_CHANGE and value != getattr(begun, name)]
    if other:
        words = "; ".join(f"{name} was {getattr(begun, name)} and is {given[name]}" for name in other)
        raise ValueError(
            f"The run in {options.out} was begun otherwise: {words}. Leave that out, or use another --out."
        )
    return check_settings(replace(begun, **given))


def check_settings(settings: Settings) -> Settings:
    """The settings with every default filled in. Raises ValueError for a name that there is not."""
    from course_lib.models.sizes import SIZES

    for name, choices in (("size", SMALL_SIZES | SIZES), ("kind", KINDS)):
        if getattr(settings, name) not in choices:
            raise ValueError(f"There is no {name} {getattr(settings, name)!r}: choose one of {', '.join(choices)}.")
    if settings.learning_rate is None:
        return replace(settings, learning_rate=0.01 if settings.optimizer == "muon" else 0.003)
    return settings


def model_config(settings: Settings, vocab_size: int) -> Any:
    """The GPTConfig of a size."""
    from course_lib.models.gpt import GPTConfig
    from course_lib.models.sizes import named_config

    own = {"vocab_size": vocab_size, "context_length": settings.context, "dropout": settings.dropout}
    if settings.size in SMALL_SIZES:
        return GPTConfig(**own, **SMALL_SIZES[settings.size], **KINDS[settings.kind])
    return named_config(settings.size, **own)


class Run:
    """One run in its folder: corpus and tokenizer, data, model and trainer, and what is left at the end."""

    def __init__(self, out: Path, settings: Settings, *, resume: bool, first: bool):
        self.out, self.settings, self.resume, self.first = out, settings, resume, first

    def prepare(self) -> None:
        """Read the corpus, make or load the tokenizer, encode, and build the model and its trainer."""
        from course_lib.models.gpt import GPT
        from course_lib.notebook import seed_everything
        from course_lib.text import load_corpus
        from course_lib.training import TrainConfig, Trainer

        settings = self.settings
        self.corpus = load_corpus(settings.corpus, streaming=settings.stream)
        self.tokenizer = self._tokenizer()
        self.start = self._encode_prompt()
        train, validation = self._sources()
        seed_everything(settings.seed)
        model = GPT(model_config(settings, self.tokenizer.vocab_size))
        shared = {field.name for field in fields(TrainConfig)} & {field.name for field in fields(Settings)}
        config = TrainConfig(**{name: getattr(settings, name) for name in shared})
        checkpoints = self.out / "checkpoints"
        self.trainer = Trainer(model, train, validation, config, folder=checkpoints, shard=settings.fsdp)
        processes = self.trainer.processes
        if processes.count > 1:  # each draws its own dropout
            seed_everything(settings.seed + processes.rank)
        self._say(f"{self.corpus}; {self.tokenizer.vocab_size:,} tokens; {train.n_targets:,} predictions a pass")
        self._say(f"{settings.size} GPT, {model.count_parameters():,} parameters, on {self.trainer.device}")
        self.floor = self._floor(type(validation).__name__)

    def train(self, *, samples: bool, tensorboard: bool) -> None:
        """Predict, train, draw the loss, and save the model."""
        from course_lib.hub import save_model
        from course_lib.training import TensorBoard

        trainer = self.trainer
        if self.floor is not None:
            self._say(f"Floor: {self.floor:.4f} nats per token; no model can do better on average.")
        self._say(str(trainer.preflight()))
        if samples and not (self.settings.fsdp and trainer.processes.count > 1):  # a split model needs all processes
            trainer.callbacks.append(self._show)
        if tensorboard and self.first:
            trainer.callbacks.append(TensorBoard(self.out / "tensorboard", self.floor))
        if self.first and not self.resume:
            write_atomically(self.out / "settings.json", json.dumps(asdict(self.settings), indent=1).encode())
        history = trainer.fit(resume=self.resume)
        if self.first:
            self._draw(history)
        self._save(save_model)

    def _tokenizer(self) -> Any:
        """The run's own tokenizer: made by the first process, read by the others and by a resumed run."""
        from course_lib.text.tokenizers import BPETokenizer, CharTokenizer, load_tokenizer
        from course_lib.training.parallel import Processes

        file, asked = self.out / "tokenizer.json", self.settings.tokenizer
        if self.first and not (self.resume and file.exists()):
            if asked == "char":  # of every split: a character that only the validation texts hold needs an id too
                splits = (self.corpus.train, self.corpus.validation, self.corpus.test)
                tokenizer = CharTokenizer.train(text for texts in splits for text in texts)
            elif asked == "bpe":
                tokenizer = BPETokenizer.train(self.corpus.train, self.settings.vocab_size)
            elif Path(asked).exists():
                tokenizer = load_tokenizer(asked)
            else:
                raise ValueError(f"There is no tokenizer {asked!r}: choose char, bpe, or the path of a tokenizer.json.")
            self.out.mkdir(parents=True, exist_ok=True)
            tokenizer.save(file)
        Processes().wait()
        return load_tokenizer(file)

    def _encode_prompt(self) -> list[int]:
        """What each sample begins with: the token that stands before a document, then the prompt."""
        start = [self.tokenizer.end_id, *self.tokenizer.encode(self.settings.prompt)]
        if len(start) >= self.settings.context:
            raise ValueError(f"The prompt is {len(start)} tokens long, and the context is {self.settings.context}.")
        return start

    def _sources(self) -> tuple[Any, Any]:
        """Whole documents where most of them fit the context, windows cut from all of them where they do not."""
        from course_lib.training import Documents, ShardWindows, Windows

        context, most = self.settings.context, self.settings.validation
        if self.settings.stream:
            held_out = first_tokens(map(self.tokenizer.encode, self.corpus.validation), most * context)
            return ShardWindows(self._shards(), context), Windows(held_out, context, end_id=self.tokenizer.end_id)
        train = [self.tokenizer.encode(text) for text in self.corpus.train]
        lengths = sorted(map(len, train))
        if not train or lengths[len(lengths) // 2] <= 2 * context:
            source = Documents
            validation = [self.tokenizer.encode(text) for text in self.corpus.validation[:most]]
        else:
            source = Windows
            validation = first_tokens(map(self.tokenizer.encode, self.corpus.validation), most * context)
        return tuple(source(documents, context, end_id=self.tokenizer.end_id) for documents in (train, validation))

    def _shards(self) -> Any:
        """The corpus as tokens on the disk: written by the first process, read by all, and by a resumed run."""
        from course_lib.text.shards import TokenShards, write_shards
        from course_lib.training.parallel import Processes

        folder = self.out / "shards"
        if self.first and not self.resume:
            write_shards(self.corpus.train, self.tokenizer, folder)
        Processes().wait()
        return TokenShards(folder)

    def _floor(self, source: str) -> float | None:
        """The lowest loss possible on the validation documents, where the corpus knows it."""
        if self.corpus.floor is None or source != "Documents":
            return None
        stories = self.corpus.validation[: self.settings.validation]
        return type(self.corpus.floor)({"validation": stories}).per_token(
            self.tokenizer, "validation", self.settings.context
        )

    def _show(self, record: Any) -> None:
        """After each evaluation: the loss, and what the model writes now, from the same random draws each time."""
        if record.validation_loss is None:
            return
        floor = "" if self.floor is None else f", {record.validation_loss - self.floor:.4f} above the floor"
        print(f"\nstep {record.step}: validation loss {record.validation_loss:.4f}{floor}\n  {self._sample()!r}")

    def _sample(self, length: int = 120) -> str:
        import torch

        from course_lib.generation import generate

        model = self.trainer.model
        device = next(model.parameters()).device
        generator = torch.Generator(device).manual_seed(0)
        n_new = min(length, self.settings.context - len(self.start))
        tokens = torch.tensor([self.start], device=device)
        ids = generate(model, tokens, n_new, temperature=0.8, generator=generator, stop_id=self.tokenizer.end_id)
        return self.tokenizer.decode([token for token in ids[0, 1:].tolist() if token != self.tokenizer.end_id])

    def _draw(self, history: list[Any]) -> None:
        """The curve as a picture in the folder."""
        from course_lib.plots.training import loss_curve

        loss_curve(history, self.settings.steps, self.floor).savefig(self.out / "loss.png", dpi=110)

    def _save(self, save_model: Any) -> None:
        from course_lib.training.parallel import whole

        weights = whole(self.trainer.model.state_dict())  # every process takes part
        if not self.first:
            return
        model = type(self.trainer.model)(self.trainer.model.config)
        model.load_state_dict(weights)
        save_model(self.out / "model", model, self.tokenizer)
        print(f"The model is in {self.out / 'model'}.")

    def _say(self, text: str) -> None:
        if self.first:
            print(text, flush=True)


def first_tokens(documents: Iterable[list[int]], n_tokens: int) -> list[list[int]]:
    """The first `n_tokens` tokens of some documents, or all of them if there are fewer."""
    kept: list[list[int]] = []
    for document in documents:
        if n_tokens <= 0:
            break
        kept.append(document[:n_tokens])
        n_tokens -= len(document)
    return kept
