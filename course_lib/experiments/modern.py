"""What each modern piece brings a small GPT at the same compute: lesson 12's experiment.

Two blocks of 64 features learn whole tiny_world stories in byte-pair tokens. One thing is changed at a time, and every
variant gets what the base gets: as many floating-point operations, and the same seeds. A seed fixes the order of the
stories and, wherever two models have a matrix in common, its first values: so the runs of a seed are pairs. The
learning rate is chosen on a seed of its own.

    python -m course_lib.experiments.modern        # some 9 minutes of one core; goes on where it was stopped

It writes `modern_results.json` beside this file after each run. In the end it times a step of each variant anew.
"""

import math
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from course_lib.experiments.results import load_results, save_results
from course_lib.experiments.shipped_models import machine
from course_lib.interpret.tap import AttentionCall, AttentionTap
from course_lib.models.counting import training_flops
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text import load_corpus
from course_lib.text.tokenizers import BPETokenizer
from course_lib.training import Documents, TrainConfig, Trainer, TrainingDiverged

VOCAB_SIZE, CONTEXT, BATCH = 512, 160, 8
STORIES, HELD_OUT = 4_000, 120
STEPS, WARM_UP = 120, 0.1
SIZE = {"d_model": 64, "n_heads": 4, "n_layers": 2}
START = 0.1
"""Spread of the first weights: lesson 08 found it far better than GPT-2's 0.02 for so narrow a model."""

ALL = {"norm": "rmsnorm", "bias": False, "positions": "rotary", "activation": "swiglu", "qk_norm": True,
       "n_kv_heads": 2, "optimizer": "muon"}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "base": {},
    "RMSNorm": {"norm": "rmsnorm"},
    "no biases": {"bias": False},
    "rotary": {"positions": "rotary"},
    "SwiGLU": {"activation": "swiglu"},
    "ReLU²": {"activation": "relu2"},
    "QK-norm": {"qk_norm": True},
    "2 KV heads": {"n_kv_heads": 2},
    "1 KV head": {"n_kv_heads": 1},
    "Muon": {"optimizer": "muon"},
    "all together": ALL,
}
"""What is changed in GPT-2's block; "optimizer" is no setting of the model."""

RATES = (0.003, 0.006, 0.012, 0.024, 0.048)
TUNED = ("rotary", "SwiGLU", "ReLU²", "QK-norm", "Muon", "all together")
"""Changes that may move the best rate: these try the three highest, and the others take the base's best."""
EDGE = 0.096
"""Muon did best at the highest rate of all, so that a higher one was tried too."""
TUNING_SEED, SEEDS, OTHER_SEEDS = 100, (0, 1, 2, 3, 4, 5), (10, 11, 12, 13, 14, 15)
FOUR = SEEDS[:4]
"""Seeds of the runs with twice the compute, and of those at a wild rate."""
WILD_RATE, WILD_STEPS, LOOK_EVERY = 0.1, 80, 10
TIMED_STEPS, TIMED_ROUNDS = 20, 9
"""Steps of each variant in a round that times them, and how many rounds."""

STUDENT = {2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 11: 2.201}
"""Student's t for an interval of 95 %, by degrees of freedom."""


@dataclass(frozen=True)
class Interval:
    """A mean, and how far on both sides of it the true one may well lie (95 %)."""

    mean: float
    half: float

    @property
    def low(self) -> float:
        """Its lower end."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Its upper end."""
        return self.mean + self.half

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside."""
        return self.low > 0 or self.high < 0


def paired_interval(changed: Sequence[float], base: Sequence[float]) -> Interval:
    """Mean of the differences, seed by seed, with its 95 % interval: t · standard deviation / √n.

    Raises ValueError unless both have one number for each of 3 to 12 seeds.
    """
    if len(changed) != len(base) or len(base) - 1 not in STUDENT:
        raise ValueError(f"Pairs of 3 to 12 runs are needed, but there are {len(changed)} and {len(base)}.")
    differences = torch.tensor(changed, dtype=torch.float64) - torch.tensor(base, dtype=torch.float64)
    return Interval(differences.mean().item(), STUDENT[len(base) - 1] * differences.std().item() / len(base) ** 0.5)


def unpaired_interval(changed: Sequence[float], base: Sequence[float]) -> Interval:
    """The same for two groups of as many runs that have nothing to do with each other: the variances add."""
    n = len(base)
    groups = torch.tensor([list(changed), list(base)], dtype=torch.float64)
    freedom = min(2 * (n - 1), max(STUDENT))
    spread = (groups.var(dim=1).sum() / n).sqrt().item()
    return Interval((groups[0].mean() - groups[1].mean()).item(), STUDENT[freedom] * spread)


def config_of(name: str, vocab_size: int = VOCAB_SIZE, **changes: Any) -> GPTConfig:
    """The shape of a variant."""
    kind = {key: value for key, value in VARIANTS[name].items() if key != "optimizer"}
    return GPTConfig(vocab_size, CONTEXT, **SIZE | kind | changes)


def started(config: GPTConfig, seed: int, spread: float = START) -> GPT:
    """A GPT whose first weights depend on their names and the seed alone: two models share what they have in common.

    All are normal with the same spread; what writes to the stream begins smaller by √(2 · n_layers), as in GPT-2.
    """
    model = GPT(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                writes = name.endswith(("attention.output.weight", "feed_forward.down.weight"))
                generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
                weight.normal_(std=spread / math.sqrt(2 * config.n_layers) if writes else spread, generator=generator)
    return model


def muon_flops(config: GPTConfig) -> int:
    """FLOPs of Muon's five iterations for all matrices of the blocks, in one step.

    For a matrix with sides m ≤ n, an iteration makes three products: X Xᵀ, its square, and that times X.
    """
    with torch.device("meta"):
        matrices = [weight for weight in GPT(config).blocks.parameters() if weight.ndim == 2]
    sides = [sorted(matrix.shape) for matrix in matrices]
    return sum(5 * (4 * m * m * n + 2 * m**3) for m, n in sides)


class Setting:
    """The data of all these runs: whole stories in byte-pair tokens, and the floor of those held out."""

    def __init__(self, vocab_size: int = VOCAB_SIZE) -> None:
        corpus = load_corpus("tiny_world")
        texts, held_out = corpus.train[:STORIES], corpus.validation[:HELD_OUT]
        self.tokenizer = BPETokenizer.train(texts, vocab_size)
        self.train, self.validation = (
            Documents([self.tokenizer.encode(text) for text in part], CONTEXT, end_id=self.tokenizer.end_id)
            for part in (texts, held_out)
        )
        self.characters = sum(len(text) + 1 for text in held_out)  # the end of a story counts as one
        self.floor = type(corpus.floor)({"validation": held_out}).per_character("validation")
        self.mean_length = self.train.n_targets / len(texts)

    def distance(self, loss_per_token: float) -> float:
        """Nats per character above the floor."""
        return loss_per_token * self.validation.n_targets / self.characters - self.floor

    def step_flops(self, name: str) -> int:
        """FLOPs of one training step of a variant, its optimiser's products among them."""
        config = config_of(name, self.tokenizer.vocab_size)
        model = training_flops(config, round(self.mean_length), BATCH)
        return model + (muon_flops(config) if VARIANTS[name].get("optimizer") == "muon" else 0)

    def steps_for(self, name: str, budget: float = 1.0) -> int:
        """How many steps a variant can take for the compute of STEPS steps of the base, or for a share of it."""
        return round(budget * STEPS * self.step_flops("base") / self.step_flops(name))


@dataclass(frozen=True)
class Outcome:
    """What a run reached: nats per character above the floor (infinite for a run that blew up), and its step's time."""

    distance: float
    milliseconds: float


def run(
    setting: Setting,
    name: str,
    rate: float,
    seed: int,
    *,
    steps: int | None = None,
    watch: Callable[[GPT, int], None] | None = None,
) -> Outcome:
    """Train a variant for the compute of the base, or for `steps`; `watch` sees the model after each step."""
    return run_config(
        setting,
        config_of(name, setting.tokenizer.vocab_size),
        VARIANTS[name].get("optimizer", "adamw"),
        rate,
        seed=seed,
        steps=steps or setting.steps_for(name),
        watch=watch,
    )


def run_config(
    setting: Setting,
    config: GPTConfig,
    optimizer: str,
    rate: float,
    *,
    seed: int,
    steps: int,
    watch: Callable[[GPT, int], None] | None = None,
) -> Outcome:
    """Train a GPT of any shape on the setting's stories."""
    model = started(config, seed)
    settings = TrainConfig(
        steps,
        batch_size=BATCH,
        learning_rate=rate,
        warmup_steps=round(WARM_UP * steps),
        optimizer=optimizer,
        evaluate_every=steps + 1,
        device="cpu",
        precision="float32",
        seed=seed,
    )
    callbacks = [lambda record: watch(model, record.step)] if watch else []
    trainer = Trainer(model, setting.train, setting.validation, settings, callbacks=callbacks)
    trainer.evaluate = lambda: math.nan  # one look, after the clock has stopped
    began = time.process_time()
    try:
        trainer.fit(progress=False)
    except TrainingDiverged:
        return Outcome(math.inf, math.nan)
    spent = time.process_time() - began
    loss = Trainer(model, setting.train, setting.validation, settings).evaluate(batch_size=50)
    return Outcome(setting.distance(loss), 1000 * spent / steps)


@torch.no_grad()
def largest_score(model: GPT, tokens: Int[Tensor, "batch time"]) -> float:
    """The largest attention score, in size, of any head of any block for any pair that may attend.

    A score is what the softmax is given: q · k / √d_head, after rotary and QK-norm where the model has them.
    """
    found = []

    def look(call: AttentionCall) -> None:
        found.append(call.scores[call.scores.isfinite()].abs().max().item())

    was_training = model.training
    with AttentionTap(model.eval(), on_call=look):
        model(tokens)
    model.train(was_training)
    return max(found)


def wild_run(
    setting: Setting, name: str, rate: float, seed: int, *, steps: int = WILD_STEPS, every: int = LOOK_EVERY
) -> tuple[list[float], Outcome]:
    """Train at a rate that may be too high: the largest score every few steps, and where the run ended."""
    tokens = next(setting.validation.in_order(8)).tokens
    sizes: list[float] = []

    def watch(model: GPT, step: int) -> None:
        if step % every == 0:
            sizes.append(round(largest_score(model, tokens), 2))

    outcome = run(setting, name, rate, seed, steps=steps, watch=watch)
    return sizes, outcome


# ---------------------------------------------------------------------------------------------- all runs, and the store


def rates_of(name: str) -> tuple[float, ...]:
    """The learning rates that a variant may choose from; none, where it takes the base's."""
    higher = (EDGE,) if name == "Muon" else ()
    return RATES if name == "base" else (*RATES[2:], *higher) if name in TUNED else ()


def best_rate(runs: dict[str, Any], name: str) -> float:
    """The rate that did best on the seed that is for choosing."""
    rates = rates_of(name)
    return min(rates, key=lambda rate: tuning(runs, name, rate)) if rates else best_rate(runs, "base")


def tuning(runs: dict[str, Any], name: str, rate: float) -> float:
    """Distance of a variant at one rate, on the seed that is for choosing."""
    return distance(runs, "tuning", name, rate, TUNING_SEED)


def finals(runs: dict[str, Any], name: str, kind: str = "final", seeds: Sequence[int] = SEEDS) -> list[float]:
    """Distances of a variant at its best rate, one a seed; `kind` may also be "double" or "other seeds"."""
    return [distance(runs, kind, name, best_rate(runs, name), seed) for seed in seeds]


def distance(runs: dict[str, Any], kind: str, name: str, rate: float, seed: int) -> float:
    """Nats per character above the floor of one stored run; infinite for one that blew up."""
    found = runs[_key(kind, name, rate, seed)]["distance"]
    return math.inf if found is None else found


def wild(runs: dict[str, Any], name: str) -> list[list[float]]:
    """The largest score every LOOK_EVERY steps at WILD_RATE, one list a seed."""
    return [runs[_key("wild", name, WILD_RATE, seed)]["scores"] for seed in FOUR]


def _key(kind: str, name: str, rate: float, seed: int) -> str:
    return f"{kind} | {name} | {rate:g} | {seed}"


def planned(runs: dict[str, Any]) -> Iterator[tuple[str, str, float, int]]:
    """What is to be run, in order; the rates of later runs follow from `runs`, which has the earlier ones by then."""
    for name in VARIANTS:
        yield from (("tuning", name, rate, TUNING_SEED) for rate in rates_of(name))
    for seed in SEEDS:
        yield from (("final", name, best_rate(runs, name), seed) for name in VARIANTS)
    for name in ("base", "rotary", "Muon", "all together"):
        yield from (("double", name, best_rate(runs, name), seed) for seed in FOUR)
    yield from (("other seeds", "base", best_rate(runs, "base"), seed) for seed in OTHER_SEEDS)
    yield from (("wild", name, WILD_RATE, seed) for name in ("base", "QK-norm") for seed in FOUR)


def run_all(done: dict[str, Any] | None = None) -> dict[str, Any]:
    """Every run that is not in `done["runs"]`, stored as soon as it ends."""
    setting = Setting()
    runs = dict((done or {}).get("runs", {}))
    for kind, name, rate, seed in planned(runs):
        if (key := _key(kind, name, rate, seed)) in runs:
            continue
        scores = {}
        if kind == "wild":
            sizes, outcome = wild_run(setting, name, rate, seed)
            scores = {"scores": sizes}
        else:
            outcome = run(setting, name, rate, seed, steps=setting.steps_for(name, 2.0 if kind == "double" else 1.0))
        runs[key] = {"distance": None if math.isinf(outcome.distance) else round(outcome.distance, 5), **scores}
        save_results("modern", _record(setting, runs))
        print(key, runs[key]["distance"], flush=True)
    return _record(setting, runs) | {"ms": time_steps(setting)}


def time_steps(setting: Setting, steps: int = TIMED_STEPS, rounds: int = TIMED_ROUNDS) -> dict[str, float]:
    """Milliseconds of CPU that a training step of each variant takes: medians of rounds in which all take turns."""
    times: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(rounds):
        for name in VARIANTS:
            times[name].append(run(setting, name, RATES[0], seed=0, steps=steps).milliseconds)
    return {name: round(median(found), 1) for name, found in times.items()}


def _record(setting: Setting, runs: dict[str, Any]) -> dict[str, Any]:
    return {
        "command": "python -m course_lib.experiments.modern",
        "machine": f"{machine()}, float32",
        "floor": round(setting.floor, 5),
        "vocab_size": setting.tokenizer.vocab_size,
        "mean_length": round(setting.mean_length, 1),
        "steps": {name: setting.steps_for(name) for name in VARIANTS},
        "runs": runs,
    }


def stored_runs() -> dict[str, Any]:
    """What `run_all` gave when it was last run and stored."""
    return load_results("modern")


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        before = stored_runs()
    except FileNotFoundError:
        before = None
    save_results("modern", run_all(before))
