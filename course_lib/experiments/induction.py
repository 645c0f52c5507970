"""A model whose mechanism is known: two layers of attention that learn to go on with what they have read once.

    q k f T z b | T z b T z b T …      after the second T comes z

Letters that are all different, then a stretch of them again and again. To know what follows the second T, a model
must find the first T and take what came after it. One layer cannot: its head can look for a T, but the letter that it
wants stands *after* the T and says nothing of what stood before it. Two can: a head of the first layer tells every
letter which one came before it, and a head of the second then looks for the letter that came after a T. Together
they are an induction circuit, and it forms suddenly.

    python -m course_lib.experiments.induction ship       trains the model in data/models/induction, with snapshots
    python -m course_lib.experiments.induction measure    five seeds, a model of one layer, the mechanism taken apart

Sources: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Olsson et al. 2022, "In-context
Learning and Induction Heads".
"""

import argparse
import json
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from course_lib.experiments.minimise import minimise
from course_lib.experiments.results import load_results, save_results
from course_lib.experiments.shipped_models import CARD, RECORD, enter_in_manifest, machine
from course_lib.files import write_atomically
from course_lib.hub import load_model, save_model
from course_lib.interpret import HeadAt, Site, ablate, head_means, logit_difference, patch_each, patch_path
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text.bundled import data_folder
from course_lib.text.tokenizers import CharTokenizer

# ------------------------------------------------------------------------------------------- the task

LETTERS = string.ascii_letters
TIME = 48
PERIODS = (8, 20)
STARTS = (0, 8)
KINDS = ("repeated", "ambiguous", "shuffled")


class Repeats(NamedTuple):
    """Sequences in which a stretch comes again and again.

    Attributes:
        tokens: ids of `letters()`.
        start: where the stretch begins; before it stand letters that never come again.
        period: how long the stretch is; from start + period on, everything was there `period` positions before.
    """

    tokens: Int[Tensor, "batch time"]
    start: Int[Tensor, "batch"]
    period: Int[Tensor, "batch"]


def letters() -> CharTokenizer:
    """One token for each letter: ids 1 to 52."""
    return CharTokenizer(LETTERS)


def draw_repeats(
    n: int,
    generator: torch.Generator,
    kind: str = "repeated",
    *,
    time: int = TIME,
    periods: tuple[int, int] = PERIODS,
    starts: tuple[int, int] = STARTS,
) -> Repeats:
    """Draw sequences; the beginning and the stretch are letters that all differ.

    Args:
        n: how many.
        generator: where the randomness comes from.
        kind: "repeated"; "ambiguous": one letter stands twice in the stretch, and each time something else follows, so
            that the letter alone does not tell what comes next; "shuffled": the stretch comes again, each time in
            another order, so that what followed a letter tells nothing at all.
        time: length of the sequences.
        periods, starts: smallest and largest length of the stretch, and where it begins.

    Raises ValueError for another kind, and when there are too few letters.
    """
    if kind not in KINDS:
        raise ValueError(f"There is no kind {kind!r}: choose one of {', '.join(map(repr, KINDS))}.")
    if starts[1] + periods[1] > len(LETTERS):
        raise ValueError(f"{starts[1]} + {periods[1]} letters cannot all differ: there are {len(LETTERS)}.")

    def between(low: int, high: int) -> Tensor:
        return torch.randint(low, high + 1, (n, 1), generator=generator)

    order = torch.rand(n, len(LETTERS), generator=generator).argsort(dim=1) + 1  # each row all letters, in some order
    start, period = between(*starts), between(*periods)
    position = torch.arange(time)
    turn = (position - start).div(period, rounding_mode="floor")  # which time the stretch is told
    place = (position - start) % period
    if kind == "ambiguous":
        second = period // 2 + 1  # the letter at place 1 stands here too
        place = torch.where(place == second, 1, place)
    if kind == "shuffled":
        keys = torch.rand(n, 1 + int(turn.max()), periods[1], generator=generator)
        keys[:, 0] = torch.arange(periods[1])  # the first time in order
        keys = keys.masked_fill(torch.arange(periods[1]) >= period[:, :, None], torch.inf)
        shuffled = keys.argsort(dim=-1)
        place = shuffled[torch.arange(n)[:, None], turn.clamp(min=0), place]
    place = torch.where(position < start, position, start + place)
    return Repeats(order.gather(1, place), start[:, 0], period[:, 0])


def determined(repeats: Repeats) -> Bool[Tensor, "batch query"]:
    """True at the positions from which the next letter can be known: those of the second time, and of later ones."""
    position = torch.arange(repeats.tokens.shape[1])
    known = position >= (repeats.start + repeats.period)[:, None]
    known[:, -1] = False  # what follows the last letter is not there
    return known


def sources(repeats: Repeats) -> Bool[Tensor, "batch query key"]:
    """True where the key holds the letter that followed an earlier letter like the query: where the answer stands."""
    same = earlier_copies(repeats)
    return F.pad(same[:, :, :-1], (1, 0)).tril(-1)


def earlier_copies(repeats: Repeats) -> Bool[Tensor, "batch query key"]:
    """True where the key holds the same letter as the query, earlier."""
    tokens = repeats.tokens
    return (tokens[:, :, None] == tokens[:, None, :]).tril(-1)


# ------------------------------------------------------------------------------------------- the model

CONFIG = {
    "context_length": 64,
    "d_model": 64,
    "n_heads": 2,
    "positions": "rotary",
    "feed_forward": False,
    "tie_embeddings": False,
}


@dataclass(frozen=True)
class Plan:
    """How a model is trained.

    Attributes:
        steps, batch_size, learning_rate: of Adam; the rate falls to nothing over the steps.
        n_layers: blocks of attention alone.
        seed: of the weights and of the texts.
        snapshots: after which steps the weights are kept.
    """

    steps: int = 1_000
    batch_size: int = 32
    learning_rate: float = 1e-3
    n_layers: int = 2
    seed: int = 0
    snapshots: tuple[int, ...] = ()


def make_model(n_layers: int = 2, seed: int = 0) -> GPT:
    """A fresh GPT of attention alone for the letters."""
    torch.manual_seed(seed)
    return GPT(GPTConfig(letters().vocab_size, n_layers=n_layers, **CONFIG))


def train(plan: Plan, watch: Callable[[int, GPT], None] | None = None, *, model: GPT | None = None) -> GPT:
    """Train a fresh model, or the one that is given, on repeated sequences; `watch` is called before the first step
    and after each."""
    model = make_model(plan.n_layers, plan.seed) if model is None else model
    generator = torch.Generator().manual_seed(plan.seed)

    def losses() -> Iterator[Tensor]:
        for step in range(plan.steps):
            if watch is not None:
                watch(step, model)
            tokens = draw_repeats(plan.batch_size, generator).tokens
            yield model(tokens[:, :-1], tokens[:, 1:]).loss

    minimise(model, losses(), plan.steps, plan.learning_rate)
    if watch is not None:
        watch(plan.steps, model)
    return model.eval()


# ------------------------------------------------------------------------------------------- what it can do

HELD_OUT = 1_000_000
"""The seed of the sequences that models are scored on; no training run uses it."""


class Scores(NamedTuple):
    """What a model can do, and what its heads do, on some sequences.

    Attributes:
        first: loss in nats where the next letter cannot be known.
        second: loss where it can.
        accuracy: share of right answers where it can.
        previous: for each layer and head the mean weight on the letter before.
        induction: the mean weight on the letters that followed earlier ones like the query, where there are such.
        duplicate: the mean weight on earlier letters like the query, there.
        sink: the mean weight on the first letter.
    """

    first: float
    second: float
    accuracy: float
    previous: Float[NDArray, "layers heads"]
    induction: Float[NDArray, "layers heads"]
    duplicate: Float[NDArray, "layers heads"]
    sink: Float[NDArray, "layers heads"]


def held_out(n: int = 64, kind: str = "repeated", seed: int = HELD_OUT, **how: Any) -> Repeats:
    """Sequences that no model was trained on."""
    return draw_repeats(n, torch.Generator().manual_seed(seed), kind, **how)


@torch.no_grad()
def score(model: GPT, repeats: Repeats | None = None) -> Scores:
    """A model's scores, on `held_out()` unless told otherwise.

    The heads' are those of `course_lib.interpret.head_scores`, for many texts at once.
    """
    repeats = held_out() if repeats is None else repeats
    output = model(repeats.tokens, return_attentions=True)
    known, targets = determined(repeats)[:, :-1], repeats.tokens[:, 1:]
    costs = F.cross_entropy(output.logits[:, :-1].transpose(1, 2), targets, reduction="none")  # (batch, time)
    right = output.logits[:, :-1].argmax(dim=-1) == targets
    weights = torch.stack(output.attentions)  # (layers, batch, heads, query, key)
    copies = earlier_copies(repeats)
    queries = copies.any(dim=-1).sum()

    def mean_on(places: Tensor) -> NDArray:
        return (torch.einsum("lbhqk,bqk->lh", weights, places.float()) / queries).numpy()

    return Scores(
        costs[~known].mean().item(),
        costs[known].mean().item(),
        right[known].float().mean().item(),
        weights.diagonal(-1, dim1=-2, dim2=-1).mean(dim=(1, 3)).numpy(),
        mean_on(sources(repeats)),
        mean_on(copies),
        weights[..., 1:, 0].mean(dim=(1, 3)).numpy(),
    )


def rounded(scores: Scores) -> dict[str, Any]:
    """The scores as lists of numbers with four decimals, for a file."""
    return {
        name: round(value, 4) if isinstance(value, float) else np.round(value.astype(float), 4).tolist()
        for name, value in scores._asdict().items()
    }


class Circuit(NamedTuple):
    """The two heads that do it: the first layer's that looks one back, the second's that looks for the answer."""

    previous: HeadAt
    induction: HeadAt


def find_circuit(scores: Scores) -> Circuit:
    """The head of the first layer with the highest previous-letter score, and of the second with the highest
    induction score."""
    return Circuit(
        HeadAt("self", 0, int(scores.previous[0].argmax())), HeadAt("self", 1, int(scores.induction[1].argmax()))
    )


# ------------------------------------------------------------------------------------------- the mechanism


def knocked_out(
    model: GPT, head: HeadAt | tuple[int, int], *, by: str = "zero", repeats: Repeats | None = None
) -> Scores:
    """The scores while one head is switched off, by "zero" or by its "mean" over other sequences."""
    means = head_means(model, [held_out(seed=HELD_OUT + 1).tokens]) if by == "mean" else None
    with ablate(model, [head], means):
        return score(model, repeats)


class Pair(NamedTuple):
    """Two runs for patching, which differ in one letter.

    Attributes:
        clean: sequences cut behind the first letter that repeats another: the model knows what follows.
        corrupted: the same, but where that letter first stood is another one: nothing repeats.
        right: the letter that follows in the clean run; wrong: another letter of the stretch.
        changed: the position of the changed letter; the answer stands behind it.
    """

    clean: Int[Tensor, "batch time"]
    corrupted: Int[Tensor, "batch time"]
    right: Int[Tensor, "batch"]
    wrong: Int[Tensor, "batch"]
    changed: int


def make_pair(n: int = 100, *, start: int = 4, period: int = 12) -> Pair:
    """Clean and corrupted sequences of start + period + 1 letters."""
    clean = held_out(n, time=start + period + 1, starts=(start, start), periods=(period, period)).tokens
    corrupted = clean.clone()
    corrupted[:, start] = unused_letter(clean)
    return Pair(clean, corrupted, clean[:, start + 1], clean[:, start + period // 2], start)


def unused_letter(tokens: Int[Tensor, "batch time"]) -> Int[Tensor, "batch"]:
    """For each sequence the first letter that does not stand in it."""
    there = torch.zeros(len(tokens), len(LETTERS) + 1, dtype=torch.bool).scatter_(1, tokens, True)
    there[:, 0] = True
    return (~there).float().argmax(dim=1)


# ------------------------------------------------------------------------------------------- many seeds

SEEDS = (0, 1, 2, 3, 4)
EVERY = 25


def learn(plan: Plan, every: int = EVERY) -> dict[str, Any]:
    """Train one model; its scores every so many steps, and, when it has two layers, what holds of its mechanism."""
    curve: dict[int, Scores] = {}

    def watch(step: int, model: GPT) -> None:
        if step % every == 0:
            curve[step] = score(model)

    model = train(plan, watch)
    found: dict[str, Any] = {"seed": plan.seed, "curve": {str(step): rounded(scores) for step, scores in curve.items()}}
    return found | (take_apart(model) if plan.n_layers == 2 else {})


def take_apart(model: GPT) -> dict[str, Any]:
    """What holds of the mechanism of a model of two layers.

    Which heads make up the circuit; the scores while each head is off; how much of a clean answer patching brings
    back (the stream at each place, each head, and the path from each head of the first layer into those of the second
    alone); the scores on ambiguous and on shuffled sequences.
    """
    circuit, heads = find_circuit(score(model)), range(model.config.n_heads)
    pair = make_pair()
    metric = logit_difference(pair.right, pair.wrong)
    second_layer = [Site("head", 1, head) for head in heads]

    def patched(part: str) -> list[Any]:
        return np.round(patch_each(model, pair.clean, pair.corrupted, metric, part).effect, 4).tolist()

    def through(sender: int) -> float:
        return round(patch_path(model, pair.clean, pair.corrupted, metric, Site("head", 0, sender), *second_layer), 4)

    def off(by: str) -> dict[str, Any]:
        return {
            f"{layer}.{head}": rounded(knocked_out(model, (layer, head), by=by)) for layer in (0, 1) for head in heads
        }

    return {
        "circuit": [list(head) for head in circuit],
        "off": {by: off(by) for by in ("zero", "mean")},
        "patched": {part: patched(part) for part in ("stream", "head")},
        "paths": {f"0.{head}": through(head) for head in heads},
        "kinds": {kind: rounded(score(model, held_out(kind=kind))) for kind in KINDS},
    }


def phase_change(curve: Mapping[str, Mapping[str, Any]], share: float = 0.5) -> int:
    """The first step at which the model is right in this share of the places where it can know; −1 if it never is."""
    return next((int(step) for step, scores in curve.items() if scores["accuracy"] >= share), -1)


def run_all(
    say: Callable[[str], None], seeds: Sequence[int] = SEEDS, steps: int = Plan.steps, every: int = EVERY
) -> dict[str, Any]:
    """Models of two layers and of one, several seeds each."""
    found: dict[str, Any] = {
        "command": "python -m course_lib.experiments.induction measure",
        "machine": machine(),
        "steps": steps,
    }
    for n_layers in (2, 1):
        found[f"{n_layers} layers"] = runs = []
        for seed in seeds:
            began = perf_counter()
            runs.append(learn(Plan(steps=steps, n_layers=n_layers, seed=seed), every))
            curve = runs[-1]["curve"]
            say(
                f"{n_layers} layers, seed {seed}, {perf_counter() - began:.0f} s: accuracy "
                f"{curve[str(steps)]['accuracy']:.3f}, half right from step {phase_change(curve)} on (-1: never)"
            )
    return found


def stored_runs() -> dict[str, Any]:
    """What `run_all` gave when it was last run and stored."""
    return load_results("induction")


# ------------------------------------------------------------------------------------------- the model that ships

NAME = "induction"
SNAPSHOTS = Path("training") / "snapshots.safetensors"
SHIPPED = Plan(
    snapshots=(0, 50, 100, 150, 180, 200, 210, 220, 225, 230, 235, 240, 250, 260, 275, 300, 350, 400, 500, 700, 1000)
)


def ship(plan: Plan = SHIPPED) -> Path:
    """Train the model that comes with the course, with its snapshots; write its record and card; answer its folder."""
    folder = data_folder() / "models" / NAME
    began = perf_counter()
    kept: dict[int, dict[str, Tensor]] = {}

    def watch(step: int, model: GPT) -> None:
        if step in plan.snapshots:
            kept[step] = {name: tensor.detach().half() for name, tensor in model.state_dict().items()}

    model = train(plan, watch)
    seconds = perf_counter() - began
    save_model(folder, model, letters(), dtype=torch.float16)
    stacked = {name: torch.stack([weights[name] for weights in kept.values()]) for name in next(iter(kept.values()))}
    stacked["steps"] = torch.tensor(list(kept))
    (folder / SNAPSHOTS).parent.mkdir(exist_ok=True)
    write_atomically(folder / SNAPSHOTS, safetensors.torch.save(stacked))
    record = {
        "command": "python -m course_lib.experiments.induction ship",
        "plan": asdict(plan),
        "model": CONFIG,
        "machine": machine(),
        "torch": torch.__version__,
        "seconds": round(seconds),
        "parameters": model.count_parameters(),
        "snapshots": {str(step): rounded(score(snapshot)) for step, snapshot in snapshots().items()},
        **take_apart(load_model(NAME)[0]),
    }
    write_atomically(folder / RECORD, (json.dumps(record, indent=1) + "\n").encode())
    write_atomically(folder / CARD, model_card(record).encode())
    enter_in_manifest(NAME, command=record["command"])
    return folder


def snapshots() -> dict[int, GPT]:
    """The shipped model at each kept step of its training, the first before any: {step: model}."""
    path = data_folder() / "models" / NAME / SNAPSHOTS
    if not path.exists():
        raise FileNotFoundError(f"{path.name} is missing: `python -m course_lib.experiments.induction ship` makes it.")
    stacked = safetensors.torch.load_file(path)
    found = {}
    for index, step in enumerate(stacked.pop("steps").tolist()):
        model = make_model()
        model.load_state_dict({name: tensor[index].float() for name, tensor in stacked.items()})
        found[step] = model.eval()
    return found


def model_card(record: Mapping[str, Any]) -> str:
    """The model's card: what it is, how it was made, how its mechanism shows, and its history."""
    plan, config = record["plan"], record["model"]
    (_, _, previous), (_, _, induction) = record["circuit"]
    last = record["snapshots"][str(plan["steps"])]
    without = record["off"]["zero"][f"0.{previous}"]
    rows = {
        "What": "two layers of attention, without feed-forward networks, that go on with letters that repeat: a model "
        "whose mechanism is known, to try tools of interpretation on",
        "Architecture": f"{plan['n_layers']} blocks of width {config['d_model']}, {config['n_heads']} heads, context "
        f"{config['context_length']}; rotary positions, LayerNorm, no feed-forward networks",
        "Parameters": f"{record['parameters']:,}, stored in float16",
        "Tokenizer": "one token for each letter, A to Z and a to z",
        "Made by": f"`{record['command']}`, seed {plan['seed']}",
        "Took": f"{record['seconds']} seconds for {plan['steps']:,} steps of {plan['batch_size']} sequences, on "
        f"{record['machine']}",
        "Right": f"{last['accuracy']:.1%} where the next letter can be known, on sequences it never saw",
        "Mechanism": f"head 0.{previous} looks one letter back (mean weight {last['previous'][0][previous]:.2f}); head "
        f"1.{induction} looks at what followed the same letter before (mean weight "
        f"{last['induction'][1][induction]:.2f}). Without the first, the second's is "
        f"{without['induction'][1][induction]:.2f} and {without['accuracy']:.1%} are right",
        "Licence": "CC BY 4.0",
    }
    table = "\n".join(f"| {what} | {text} |" for what, text in rows.items())
    history = "\n".join(
        f"| {int(step):,} | {scores['first']:.2f} | {scores['second']:.2f} | {scores['accuracy']:.1%} | "
        f"{scores['previous'][0][previous]:.2f} | {scores['induction'][1][induction]:.2f} |"
        for step, scores in record["snapshots"].items()
    )
    return (
        f"# Model card: {NAME}\n\n| | |\n|---|---|\n{table}\n\n"
        "It has seen nothing but letters that all differ, then a stretch of 8 to 20 of them again and again; on other "
        "texts it says little.\n\n"
        f"## How it learned\n\n`{SNAPSHOTS.as_posix()}` holds the weights at each of these steps. Losses are in nats, "
        "where the next letter cannot be known, and where it can.\n\n"
        f"| step | loss, unknown | loss, known | right | one back, 0.{previous} | induction, 1.{induction} |\n"
        f"|---|---|---|---|---|---|\n{history}\n"
    )


def main() -> None:
    """Train and ship the model, or measure many."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("ship", "measure"))
    if parser.parse_args().what == "ship":
        print(f"The model is in {ship()}.")
    else:
        save_results("induction", run_all(lambda line: print(line, flush=True)))


if __name__ == "__main__":
    main()
