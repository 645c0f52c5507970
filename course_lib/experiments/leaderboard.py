"""The three-minute leader board: the lowest validation loss on tiny_world within a given time, on one machine.

    from course_lib.experiments.leaderboard import Board, Recipe, enter
    entry = enter(Recipe("mine", model={"d_model": 96, "activation": "relu2"}), seconds=180)
    Board().add(entry)

The rules. The clock runs from the moment that a recipe has the texts: cutting them into tokens, building the model and
every step count. Compilation is timed apart, and scoring does not count. The score is the mean over the characters of
the first 200 validation stories, whole, in nats per character above what the world's author knows (the floor), so that
any tokenizer and any context may enter. What may be changed is all the rest.

Four things keep an entry off the board: training texts that hold validation stories, predictions that depend on what
comes after them, a loss below the floor, and a loss on the validation stories that is better than on stories told
after the training, which nobody can have learned from.

    python -m course_lib.experiments.leaderboard            # the course's own entries; some 3 minutes of one core
"""

import json
import math
import os
import platform
import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.exercises import record
from course_lib.experiments.modern import ALL, START, started
from course_lib.experiments.results import load_results, save_results
from course_lib.experiments.shipped_models import machine, tell_fresh
from course_lib.experiments.three_curves import leak_at
from course_lib.files import write_atomically
from course_lib.models.gpt import IGNORED, GPTConfig
from course_lib.text import load_corpus
from course_lib.text.tiny_world import char_log_probabilities
from course_lib.text.tokenizers import BPETokenizer, CharTokenizer
from course_lib.training import Documents, TrainConfig, Trainer, pick_device
from course_lib.training.device import THROUGHOUT

SCORED, FRESH = 200, 100
"""Stories that make the score, and stories told after the training that it is compared with."""
TICKS = 1_000_000
"""A run's schedule is laid along its time, in millionths."""
SURE = 4.0
"""Standard errors beyond which a difference is not luck."""


@dataclass(frozen=True)
class Recipe:
    """What a learner decides.

    Attributes:
        name: as it stands on the board.
        model: settings of GPTConfig, all but the vocabulary; `context_length` too may be set.
        training: settings of TrainConfig, all but the number of steps.
        vocab_size: byte-pair tokens; None for characters.
        stories: how many stories of the corpus it reads; more take longer to cut into tokens.
        warm_up: the share of the time in which the learning rate rises.
        start: spread of the first weights.
    """

    name: str
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    vocab_size: int | None = 512
    stories: int = 6_000
    warm_up: float = 0.05
    start: float = START


@dataclass(frozen=True)
class Entry:
    """What an entry reached, and everything that it took.

    Attributes:
        name: the recipe's.
        distance: nats per character above the floor, on the validation stories; lower is better.
        error: its standard error: how far another set of as many stories would typically be from it.
        budget: the seconds it was given; clock: "wall" (what you wait) or "processor" (what the machine works).
        seconds: what it took, cutting texts into tokens included; compile_seconds: stated apart.
        steps, tokens: updates made, and predictions learned from.
        parameters: trained numbers.
        machine: where it ran.
        settings: the recipe.
        problems: why it cannot stand on the board; empty for a sound entry.
    """

    name: str
    distance: float
    error: float
    budget: float
    clock: str
    seconds: float
    compile_seconds: float
    steps: int
    tokens: int
    parameters: int
    machine: str
    settings: dict[str, Any]
    problems: list[str]


class TimedTrainer(Trainer):
    """A Trainer that stops when its time is up, and whose learning rate follows the clock instead of the steps."""

    def __init__(self, *arguments: Any, seconds: float, clock: Callable[[], float], **named: Any):
        self._ends_at = clock() + seconds
        self._seconds, self._clock = seconds, clock
        super().__init__(*arguments, **named)

    def _set_learning_rate(self, step: int) -> None:
        share = 1 - (self._ends_at - self._clock()) / self._seconds
        super()._set_learning_rate(min(TICKS - 1, int(TICKS * share)))

    def _should_stop(self) -> bool:
        return self._clock() >= self._ends_at or super()._should_stop()

    def _finish(self) -> None:
        """The time was up, as planned: nothing to say."""


def enter(
    recipe: Recipe,
    seconds: float = 180.0,
    *,
    seed: int = 0,
    stories: Sequence[str] | None = None,
    build: Callable[[GPTConfig], nn.Module] | None = None,
    clock: str = "wall",
) -> Entry:
    """Train a recipe for so many seconds, score it, and look for what should not be.

    Args:
        recipe: what is trained, and how.
        seconds: its time.
        seed: of its weights and the order of its stories.
        stories: texts to learn from; the corpus's training stories when left out.
        build: makes the model of a config; `GPT` with its first weights of spread `recipe.start` when left out.
        clock: "wall" or "processor"; the second does not count what else the machine is busy with.

    Raises ValueError for a time that is not above 0, another clock, or stories that hold validation stories.
    """
    ticking = {"wall": time.perf_counter, "processor": time.process_time}
    if clock not in ticking or not seconds > 0:
        raise ValueError(
            f"An entry needs seconds above 0 and the clock 'wall' or 'processor', not {seconds}, {clock!r}."
        )
    now = ticking[clock]
    corpus = load_corpus("tiny_world")
    texts = list(corpus.train[: recipe.stories] if stories is None else stories)
    if stories is not None:
        refuse_known(texts, corpus.validation[:SCORED])

    began = now()
    if recipe.vocab_size:
        tokenizer = BPETokenizer.train(texts[:2_000], recipe.vocab_size)
    else:  # few stories lack characters that the stories it is scored on hold
        tokenizer = CharTokenizer.train([*corpus.train, *texts])
    config = GPTConfig(tokenizer.vocab_size, **{"context_length": 160 if recipe.vocab_size else 384} | recipe.model)
    torch.manual_seed(seed)
    model = build(config) if build else started(config, seed, recipe.start)
    train = Documents([tokenizer.encode(text) for text in texts], config.context_length, end_id=tokenizer.end_id)
    training = {"batch_size": 8, "learning_rate": 0.012, "device": "auto", "evaluate_every": TICKS} | recipe.training
    settings = TrainConfig(TICKS, warmup_steps=int(recipe.warm_up * TICKS), seed=seed, **training)
    compiling = _compile(model, train, settings, now) if settings.compile else 0.0

    left = seconds - (now() - began - compiling)
    trainer = TimedTrainer(model, train, train, settings, seconds=left, clock=now)
    trainer.evaluate = lambda: math.nan
    history = trainer.fit(progress=False)
    spent = now() - began - compiling

    model = model.cpu().eval()
    distance, error = score(model, tokenizer, corpus.validation[:SCORED])
    return Entry(
        name=recipe.name,
        distance=round(distance, 4),
        error=round(error, 4),
        budget=seconds,
        clock=clock,
        seconds=round(spent, 1),
        compile_seconds=round(compiling, 1),
        steps=len(history),
        tokens=history[-1].tokens if history else 0,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        machine=f"{_processor(trainer)}, {trainer.device.dtype}".replace("torch.", ""),
        settings=asdict(recipe),
        problems=problems(model, tokenizer, distance, error),
    )


def _compile(model: nn.Module, train: Documents, settings: TrainConfig, now: Callable[[], float]) -> float:
    """Seconds that translating the model takes, found by two steps that leave no trace."""
    began = now()
    Trainer(model, train, train, settings).preflight()
    return now() - began


def _processor(trainer: Trainer) -> str:
    if trainer.device.name == "cuda":
        return torch.cuda.get_device_name()
    return machine() if trainer.device.name == "cpu" else f"{platform.processor()} ({trainer.device.name})"


# ------------------------------------------------------------------------------------------------------------ the score


@torch.no_grad()
def score(model: nn.Module, tokenizer: Any, stories: Sequence[str]) -> tuple[float, float]:
    """Nats per character above the floor, over whole stories, and the standard error of that.

    The end of a story counts as one character. A story longer than the context is read in windows that overlap by half,
    and each of its tokens is scored once, with the most past that is there.
    """
    excess = torch.tensor(story_nats(model, tokenizer, stories), dtype=torch.float64)
    excess += torch.tensor([char_log_probabilities(story).sum() for story in stories])
    lengths = torch.tensor([len(story) + 1 for story in stories], dtype=torch.float64)
    distance = (excess.sum() / lengths.sum()).item()
    spread = (excess - distance * lengths).std().item()
    return distance, spread / len(stories) ** 0.5 / lengths.mean().item()


@torch.no_grad()
def story_nats(model: nn.Module, tokenizer: Any, stories: Sequence[str], batch_size: int = 32) -> list[float]:
    """−log P of each story, by a model: the sum over its tokens and its end."""
    windows = [
        (number, window)
        for number, story in enumerate(stories)
        for window in _windows([tokenizer.end_id, *tokenizer.encode(story), tokenizer.end_id], _context(model))
    ]
    windows.sort(key=lambda pair: len(pair[1][0]))
    nats = [0.0] * len(stories)
    for first in range(0, len(windows), batch_size):
        group = windows[first : first + batch_size]
        tokens = _padded([inputs for _, (inputs, _) in group], tokenizer.end_id)
        targets = _padded([targets for _, (_, targets) in group], IGNORED)
        costs = token_costs(model(tokens).logits, targets)
        for (number, _), cost in zip(group, costs.tolist(), strict=True):
            nats[number] += cost
    return nats


def token_costs(logits: Float[Tensor, "batch time vocab"], targets: Tensor) -> Float[Tensor, " batch"]:
    """−log P of the targets that count, added up over each row."""
    log_probabilities = logits.double().log_softmax(dim=-1)
    counts = targets != IGNORED
    picked = log_probabilities.gather(2, targets.masked_fill(~counts, 0)[..., None])[..., 0]
    return -(picked * counts).sum(dim=1)


def _windows(row: list[int], context: int) -> Iterable[tuple[list[int], list[int]]]:
    """Inputs and targets of one story, in pieces that fit the context; a token is a target in one of them alone."""
    done, start = 0, 0
    while done < len(row) - 1:
        stop = min(start + context, len(row) - 1)
        yield row[start:stop], [IGNORED] * (done - start) + row[done + 1 : stop + 1]
        done, start = stop, stop - context // 2


def _padded(rows: list[list[int]], filler: int) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [filler] * (longest - len(row)) for row in rows])


def _context(model: nn.Module) -> int:
    return model.config.context_length


# ----------------------------------------------------------------------------------------------------------- the guards


def refuse_known(texts: Iterable[str], held_out: Sequence[str]) -> None:
    """Raise ValueError when texts hold held-out stories, whole or in large parts.

    A held-out story counts as held when more than half of its runs of three sentences stand in the texts. Two stories
    of this world that were told apart hardly ever share one.
    """
    known = {run for text in texts for run in _runs_of_three(text)}
    held = [story for story in held_out if len((runs := _told(story)) & known) > len(runs) / 2]
    if held:
        raise ValueError(
            f"{len(held)} of the {len(held_out)} validation stories stand in the texts to learn from, for example "
            f"{held[0][:60]!r}…: a score on them would say nothing. Leave them out."
        )


def _told(story: str) -> set[str]:
    """The runs of a story without its questions, which many stories share."""
    return _runs_of_three(story.partition("\n")[0])


def _runs_of_three(text: str) -> set[str]:
    sentences = [" ".join(part.casefold().split()) for part in re.split(r"[.?!\n]", text)]
    sentences = [sentence for sentence in sentences if sentence]
    return {". ".join(sentences[i : i + 3]) for i in range(len(sentences) - 2)}


def problems(
    model: nn.Module, tokenizer: Any, distance: float, error: float, *, fresh_seed: int | None = None
) -> list[str]:
    """What is wrong with an entry, each in a sentence: nothing, for an honest one."""
    corpus = load_corpus("tiny_world")
    found = []
    row = torch.tensor([tokenizer.end_id, *tokenizer.encode(corpus.test[0])])[: min(24, _context(model))]
    if (place := leak_at(model, row)) is not None:
        found.append(f"Its prediction at place {place} changes with later tokens: it sees what it is to predict.")
    if not math.isfinite(distance):
        found.append("Its loss is not a number.")
    elif distance < -SURE * error:
        found.append(f"It is {-distance:.3f} nats per character below the floor, where no honest model can be.")
    fresh_seed = secrets.randbelow(2**32) if fresh_seed is None else fresh_seed
    fresh, fresh_error = score(model, tokenizer, list(tell_fresh(FRESH, corpus, fresh_seed)))
    if fresh - distance > SURE * math.hypot(error, fresh_error):
        found.append(
            f"It is {distance:.3f} above the floor on the validation stories, but {fresh:.3f} on stories told after "
            "its training: it knows the validation stories by heart."
        )
    return found


# ------------------------------------------------------------------------------------------------------------ the board


def board_path() -> Path:
    """Where a learner's board is kept: beside their progress."""
    place = record.location()
    folder = Path.cwd() if str(place) == os.devnull else place.parent
    return folder / "leaderboard.json"


class Board:
    """Entries in a local file, the best first, beside the course's own.

    A file that cannot be read is set aside under another name, and a new one begun: `note` says so.
    """

    def __init__(self, path: Path | None = None):
        self.path = path or board_path()
        self.note = ""
        self.own: list[Entry] = self._read()

    def add(self, entry: Entry) -> None:
        """Enter it, and write the file: whole, or not at all. Raises ValueError for an entry with a problem."""
        if entry.problems:
            raise ValueError(f"{entry.name!r} cannot stand on the board. {' '.join(entry.problems)}")
        self.own = [*self.own, entry]
        content = {"version": 1, "entries": [asdict(one) for one in self.own]}
        write_atomically(self.path, (json.dumps(content, indent=1) + "\n").encode())

    def entries(self, budget: float | None = None) -> list[Entry]:
        """The course's entries and the learner's, the best first; only those of one budget, where it is given."""
        both = [*course_entries(), *self.own]
        return sorted((e for e in both if budget is None or e.budget == budget), key=lambda entry: entry.distance)

    def table(self, budget: float | None = None) -> str:
        """The entries as text."""
        head = "     above the floor        given   steps    tokens   parameters   name"
        rows = [
            f"{place:2d}.  {e.distance:.4f} ± {e.error:.4f}   {e.budget:5.0f} s {e.steps:7,} {e.tokens:9,} "
            f"{e.parameters:12,}   {e.name}{'' if e in self.own else ' (course)'}"
            for place, e in enumerate(self.entries(budget), start=1)
        ]
        return "\n".join([head, *rows])

    def _read(self) -> list[Entry]:
        try:
            stored = json.loads(self.path.read_text(encoding="utf-8"))["entries"]
            return [_entry(one) for one in stored]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            aside = self.path.with_suffix(".damaged.json")
            self.path.replace(aside)
            self.note = f"The board could not be read ({error}); it was set aside as {aside.name}."
            return []


def _entry(stored: dict[str, Any]) -> Entry:
    return Entry(**{one.name: stored[one.name] for one in fields(Entry)})


# ------------------------------------------------------------------------------------- the course's own entries

PLAIN = {"d_model": 64, "n_heads": 4, "n_layers": 2}
KIND = {key: value for key, value in ALL.items() if key != "optimizer"}
FAST = THROUGHOUT if pick_device("cpu").dtype == torch.bfloat16 else "float32"
ADAMW, MUON = ({"learning_rate": 0.012, "optimizer": name, "precision": FAST} for name in ("adamw", "muon"))
RECIPES = (
    Recipe("GPT-2's block, characters", PLAIN, ADAMW, vocab_size=None, stories=20_000),
    Recipe("GPT-2's block, 512 tokens", PLAIN, ADAMW, stories=20_000),
    Recipe("modern block, Muon", PLAIN | KIND, MUON, stories=20_000),
    Recipe(
        "wider and deeper",
        {"d_model": 96, "n_heads": 6, "n_layers": 4} | KIND | {"token_shift": True, "zero_writers": True},
        MUON | {"batch_size": 12},
        stories=20_000,
    ),
)
PLANNED = [*((12.0, recipe) for recipe in RECIPES), (60.0, RECIPES[-1])]
"""Seconds, and what is run for them."""


def course_entries() -> list[Entry]:
    """What the course's recipes reached when they were last run and stored."""
    return [_entry(stored) for stored in load_results("leaderboard")["entries"]]


def run_all(done: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Run what is PLANNED, on the processor's clock and one thread; store each entry as it ends."""
    entries = list(done or [])
    for budget, recipe in PLANNED:
        if any(one["name"] == recipe.name and one["budget"] == budget for one in entries):
            continue
        entry = enter(recipe, budget, clock="processor")
        print(entry.name, entry.budget, entry.distance, entry.error, entry.steps, entry.problems, flush=True)
        entries.append(asdict(entry))
        save_results("leaderboard", {"entries": entries})
    return {"entries": entries}


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        before = load_results("leaderboard")["entries"]
    except FileNotFoundError:
        before = []
    run_all(before)
