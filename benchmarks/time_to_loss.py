"""How long until a small model of characters reaches a loss: nanoGPT's recipe for a CPU against the course's best.

    python -m benchmarks.time_to_loss                      on python_docs, which every Python carries
    python -m benchmarks.time_to_loss --text shakespeare.txt --goal 1.886
    python -m benchmarks.time_to_loss --only fast          a part at a time: plain, then fast, then 80 and 180

Writes `time_to_loss.md` beside this file (with `--text`, `time_to_loss_<name>.md`), and what was measured into a
`.json` of the same name, to which a later part is added. The plain recipe is what nanoGPT's README gives for a CPU:
4 layers of 128 with 4 heads, 64 characters × 12, 2,000 steps of AdamW in float32. Its last validation loss is the goal
unless `--goal` gives another, such as what is published for tiny Shakespeare.
The fast recipe is the course's: it differs in the switches of `FAST_KIND`, in Muon, in twice the batch, in the
precision, and in `torch.compile`, whose time is stated apart. Its rate falls to zero at the end, so how many steps it
needs has to be tried: the numbers of `LADDER`, until the loss is reached with three seeds. The Trainer runs both, on
the same windows.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks._machine import processor, threads
from course_lib.files import write_atomically
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text import load_corpus
from course_lib.text.tokenizers import CharTokenizer
from course_lib.training import Record, TrainConfig, Trainer, Windows, pick_device
from course_lib.training.device import THROUGHOUT

LADDER = (*range(110, 181, 5), 200, 250)
"""Numbers of steps to try, from the fewest on."""
CONTEXT, SIZE = 64, {"d_model": 128, "n_heads": 4, "n_layers": 4, "bias": False}
FAST_KIND = {
    "positions": "rotary",
    "norm": "rmsnorm",
    "activation": "relu2",
    "qk_norm": True,
    "zero_writers": True,
    "token_shift": True,
    "tie_embeddings": False,
}


@dataclass(frozen=True)
class Recipe:
    """A model and how it is trained."""

    name: str
    model: dict[str, Any]
    training: TrainConfig


PLAIN = Recipe(
    "nanoGPT's, for a CPU",
    SIZE,
    TrainConfig(
        steps=2_000,
        batch_size=12,
        learning_rate=1e-3,
        final_rate=0.1,
        warmup_steps=100,
        optimizer="adamw",
        precision="float32",
        device="cpu",
        evaluate_every=2_000,
    ),
)
FAST = Recipe(
    "the course's",
    {**SIZE, **FAST_KIND},
    TrainConfig(
        steps=LADDER[-1],
        batch_size=24,
        learning_rate=0.006,
        warmup_steps=20,
        optimizer="muon",
        precision=THROUGHOUT if pick_device("cpu").dtype == torch.bfloat16 else "float32",
        device="cpu",
        evaluate_every=100_000,
        compile=True,
    ),
)
SEEDS = (0, 1, 2)
WITHIN = (80, 180)
"""Seconds within which the lowest loss is asked for."""
SPARE = 0.03
"""The share of them that is left free, for steps that take longer than those that were timed."""
AIM, STRETCH = 12, 18


@dataclass(frozen=True)
class Run:
    """What a run reached, and the time of its steps: looks at the validation loss and the preparation do not count.

    `preparation` is the pre-flight: its trial steps, and the compilation that the first of them starts.
    """

    loss: float
    clock: float
    cpu: float
    steps: int
    preparation: float


class Watch:
    """Adds up the time of a training run without that of its evaluations."""

    def __init__(self, trainer: Trainer):
        self.clock = self.cpu = 0.0
        self._evaluate = trainer.evaluate
        trainer.evaluate = self.evaluate

    def evaluate(self) -> float:
        """The trainer's evaluation, in large batches, off the clock."""
        clock, cpu = time.perf_counter(), time.process_time()
        loss = self._evaluate(batch_size=256)
        self.clock -= time.perf_counter() - clock
        self.cpu -= time.process_time() - cpu
        return loss


def run(recipe: Recipe, text: "Text", seed: int = 0) -> Run:
    """Train once."""
    torch.compiler.reset()  # or the compiled models of earlier runs count against a limit
    torch.manual_seed(seed)
    model = GPT(GPTConfig(text.vocab_size, CONTEXT, **recipe.model))
    trainer = Trainer(model, text.train, text.validation, replace(recipe.training, seed=seed))
    started = time.perf_counter()
    trainer.preflight()
    preparation = time.perf_counter() - started
    watch = Watch(trainer)
    clock, cpu = time.perf_counter(), time.process_time()
    history: list[Record] = trainer.fit(progress=False)
    watch.clock += time.perf_counter() - clock
    watch.cpu += time.process_time() - cpu
    return Run(history[-1].validation_loss, watch.clock, watch.cpu, len(history), preparation)


@dataclass(frozen=True)
class Text:
    """Windows of characters to learn from and to be tested on."""

    name: str
    vocab_size: int
    train: Windows
    validation: Windows


def read(path: Path | None) -> Text:
    """The text of a file, its last tenth for validation as in nanoGPT; or python_docs, with its own split."""
    if path is None:
        corpus = load_corpus("python_docs")
        parts = [corpus.train, corpus.validation]
    else:
        text = path.read_text(encoding="utf-8")
        parts = [[text[: len(text) * 9 // 10]], [text[len(text) * 9 // 10 :]]]
    tokenizer = CharTokenizer.train([document for part in parts for document in part])
    windows = [
        Windows([tokenizer.encode(document) for document in part], CONTEXT, end_id=tokenizer.end_id) for part in parts
    ]
    return Text(path.stem if path else "python_docs", tokenizer.vocab_size, *windows)


def with_steps(recipe: Recipe, steps: int) -> Recipe:
    """The same recipe, planned for another number of steps."""
    return replace(recipe, training=replace(recipe.training, steps=steps))


def until(goal: float, text: Text) -> list[Run]:
    """The fast recipe with three seeds and as many steps of the ladder as all of them need to reach the goal."""
    for steps in LADDER:
        runs = []
        for seed in SEEDS:
            runs.append(run(with_steps(FAST, steps), text, seed))
            if runs[-1].loss > goal and steps != LADDER[-1]:
                break
        else:
            return runs
    raise AssertionError("the last rung answers, whether it reaches the goal or not")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, help="a UTF-8 text file, such as tiny Shakespeare")
    parser.add_argument("--goal", type=float, help="the validation loss to reach; the plain recipe's last otherwise")
    parser.add_argument("--only", choices=("plain", "fast", *map(str, WITHIN)), help="one part; the others stay")
    options = parser.parse_args(arguments)
    text = read(options.text)
    name = "" if options.text is None else f"_{text.name}"
    report = Path(__file__).with_name(f"time_to_loss{name}.md")
    measured = Measured(report.with_suffix(".json"))
    for part in [options.only] if options.only else ["plain", "fast", *map(str, WITHIN)]:
        measured[part] = measure(part, text, measured, options.goal)
    lines = [*heading(text, options), *table(measured, options.goal), *lowest(measured), ""]
    write_atomically(report, "\n".join(lines).encode())
    print(report.read_text(encoding="utf-8"))


def measure(part: str, text: "Text", measured: "Measured", goal: float | None) -> list[Run]:
    """The runs of one part; "fast" needs a goal or "plain", and a budget needs the time of a step of "fast"."""
    if part == "plain":
        return [run(PLAIN, text)]
    if part == "fast":
        return until(goal or measured["plain"][0].loss, text)
    a_step = sum(one.clock for one in measured["fast"]) / sum(one.steps for one in measured["fast"])
    return [run(with_steps(FAST, max(1, int((1 - SPARE) * int(part) / a_step))), text)]


class Measured(dict[str, list[Run]]):
    """The runs of each part, kept in a file."""

    def __init__(self, path: Path):
        stored = json.loads(path.read_text("utf-8")) if path.exists() else {}
        super().__init__({part: [Run(**one) for one in runs] for part, runs in stored.items()})
        self.path = path

    def __setitem__(self, part: str, runs: list[Run]) -> None:
        super().__setitem__(part, runs)
        stored = {part: [asdict(one) for one in runs] for part, runs in self.items()}
        write_atomically(self.path, (json.dumps(stored, indent=1) + "\n").encode())


def heading(text: Text, options: argparse.Namespace) -> list[str]:
    given = [f" --text {options.text.name}"] if options.text else []
    given += [f" --goal {options.goal}"] if options.goal else []
    return [
        f"# Time to a loss: {text.name}",
        "",
        f"`python -m benchmarks.time_to_loss{''.join(given)}` on {processor()}, {threads()}, torch "
        f"{version('torch')}. {text.vocab_size} tokens (each kind of character, and the end), "
        f"{text.train.n_targets:,} to learn from, {text.validation.n_targets:,} for validation. The clock is what a "
        "user waits for, and counts whatever else the machine does; the CPU's time, added over the threads, does not. "
        "The course's recipe is compiled; that, and the trial steps of the pre-flight, count as preparation.",
        "",
    ]


def table(measured: Measured, goal: float | None) -> list[str]:
    lines = [
        "| recipe | steps | validation loss | seconds | CPU seconds | preparation, s | plain / this, clock | CPU |",
        "|---|---|---|---|---|---|---|---|",
    ]
    (plain,), fast = measured["plain"], measured.get("fast", [])
    names = [PLAIN.name, *(f"{FAST.name}, seed {seed}" for seed in SEEDS)]
    for name, one in zip(names, [plain, *fast], strict=False):
        ratios = f"{plain.clock / one.clock:.1f} | {plain.cpu / one.cpu:.1f}"
        figures = f"{one.clock:.1f} | {one.cpu:.1f} | {one.preparation:.0f} | {ratios}"
        lines.append(f"| {name} | {one.steps:,} | {one.loss:.4f} | {figures} |")
    return [*lines, "", *verdict(plain, fast, goal or plain.loss)]


def verdict(plain: Run, fast: list[Run], goal: float) -> list[str]:
    """The aim, and whether the slowest of the seeds reached it."""
    if not fast:
        return []
    slowest = min(plain.clock / one.clock for one in fast)
    there = all(one.loss <= goal for one in fast)
    words = f"1/{slowest:.1f} of the time" if there else "but not with every seed does it get there"
    reached = "missed" if not there or slowest < AIM else "reached" if slowest < STRETCH else "reached, and the stretch"
    aim = f"Aim: validation loss {goal:.4g} in 1/{AIM} of the time, 1/{STRETCH} as a stretch."
    return [f"{aim} {reached.capitalize()}: {words}.", ""]


def lowest(measured: Measured) -> list[str]:
    return [
        f"* Within {seconds} s: validation loss {one.loss:.4f} after {one.steps:,} steps ({one.clock:.0f} s)."
        for seconds in WITHIN
        for one in measured.get(str(seconds), [])
    ]


if __name__ == "__main__":
    main()
