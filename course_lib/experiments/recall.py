"""The recall task of lesson 01: pairs among filler, and at the end a question about one pair seen `distance` steps ago.

    well c=5 um a=0 so so h=2 but … and c?      → 5

`python -m course_lib.experiments.recall` repeats the long version whose results lesson 01 draws (some ten minutes
on a calm core) and writes them to recall_results.json beside this file.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor, nn

from course_lib.experiments.minimise import minimise
from course_lib.experiments.recall_models import CNN, LSTM, RNN, Attention, NGram, parameters
from course_lib.experiments.results import save_results

KEYS = "abcdefghijklmnopqrstuvwxyz"
FILLER = ("um", "so", "and", "then", "well", "oh", "but", "hm")


class Batch(NamedTuple):
    """Sequences and their answers."""

    tokens: Int[Tensor, "batch time"]
    answers: Int[Tensor, " batch"]


@dataclass(frozen=True)
class RecallTask:
    """Draws sequences. One token is a whole pair such as `c=5`, a filler word, or a question such as `c?`.

    Attributes:
        n_keys, n_values: how many different keys and values there are; an answer by chance is right 1/n_values
            of the time.
        n_pairs: how many pairs a sequence shows, each with another key.
        rewrite: when True the key that is asked about was already shown once, at the very beginning, with another
            value. The *later* value counts, and nothing but order tells the two apart.
    """

    n_keys: int = 6
    n_values: int = 4
    n_pairs: int = 3
    rewrite: bool = False

    @property
    def vocab_size(self) -> int:
        """Pairs, then filler words, then questions."""
        return self.n_keys * self.n_values + len(FILLER) + self.n_keys

    def text(self, token: int) -> str:
        """How a token is written."""
        n_pair_tokens = self.n_keys * self.n_values
        if token < n_pair_tokens:
            return f"{KEYS[token // self.n_values]}={token % self.n_values}"
        if token < n_pair_tokens + len(FILLER):
            return FILLER[token - n_pair_tokens]
        return f"{KEYS[token - n_pair_tokens - len(FILLER)]}?"

    def texts(self, tokens: Int[Tensor, " time"]) -> list[str]:
        """A sequence in words."""
        return [self.text(int(token)) for token in tokens]

    def batch(self, size: int, distance: int, generator: torch.Generator) -> Batch:
        """Sequences in which the pair asked about stands exactly `distance` steps before the question.

        The pairs stand side by side, and which of them is asked about is drawn evenly (near the question there is
        no room for pairs after it). Some filler, as much in each sequence of a batch, stands before them.

        Raises ValueError when the distance is smaller than 1.
        """
        if distance < 1:
            raise ValueError(f"The pair must stand at least 1 step before the question, not {distance}.")
        place = self.n_pairs + int(torch.randint(4, (), generator=generator))  # of the pair asked about
        first_filler = self.n_keys * self.n_values
        first_question = first_filler + len(FILLER)
        tokens = torch.randint(first_filler, first_question, (size, place + distance + 1), generator=generator)
        keys = torch.rand(size, self.n_keys, generator=generator).argsort(dim=-1)[:, : self.n_pairs]
        values = torch.randint(self.n_values, (size, self.n_pairs), generator=generator)
        asked = torch.randint(max(0, self.n_pairs - distance), self.n_pairs, (size, 1), generator=generator)
        places = place - asked + torch.arange(self.n_pairs)  # (size, n_pairs)
        tokens.scatter_(1, places, keys * self.n_values + values)
        key, answer = keys.gather(1, asked), values.gather(1, asked)
        tokens[:, -1:] = first_question + key
        if self.rewrite:
            other = (answer + torch.randint(1, self.n_values, (size, 1), generator=generator)) % self.n_values
            tokens[:, :1] = key * self.n_values + other
        return Batch(tokens, answer[:, 0])


@dataclass(frozen=True)
class Budget:
    """What each model may spend: optimiser steps, sequences a step; and which distances it is trained on."""

    steps: int = 500
    batch_size: int = 64
    longest: int = 32
    shortest: int = 1


def training_batches(task: RecallTask, budget: Budget, seed: int) -> Iterable[Batch]:
    """The batches of one run; the same seed gives the same batches to every model. Distances are log-uniform."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(budget.steps):
        share = torch.rand((), generator=generator)
        # Evenly on a log scale: as many from 1 to 2 as from 16 to 32.
        distance = int(budget.shortest * ((budget.longest + 1) / budget.shortest) ** share)
        yield task.batch(budget.batch_size, distance, generator)


def train(model: nn.Module, task: RecallTask, budget: Budget, seed: int, learning_rate: float = 3e-3) -> list[float]:
    """Train in place on the batches of this seed, as `minimise` does; the loss of each step."""
    batches = training_batches(task, budget, seed)
    batch_losses = (F.cross_entropy(model(tokens), answers) for tokens, answers in batches)
    return minimise(model, batch_losses, budget.steps, learning_rate)


@torch.no_grad()
def accuracy(
    model: Callable[[Tensor], Tensor], task: RecallTask, distances: Sequence[int], size: int = 512, seed: int = 999
) -> list[float]:
    """The share of right answers at each distance, on sequences that no training run saw."""
    shares = []
    for distance in distances:
        tokens, answers = task.batch(size, distance, torch.Generator().manual_seed(seed + 1000 * distance))
        shares.append((model(tokens).argmax(dim=-1) == answers).float().mean().item())
    return shares


def gradient_at_distance(
    model: nn.Module, task: RecallTask, distances: Sequence[int], size: int = 128, seed: int = 999
) -> list[float]:
    """How strongly the answer depends on the pair that holds it, at each distance.

    The length of ∂(logit of the right answer)/∂(embedding of the pair asked about), the median over sequences. The
    logit is used and not the loss, because a loss that is nearly 0 has no gradient whatever the distance.
    """
    lengths = []
    for distance in distances:
        tokens, answers = task.batch(size, distance, torch.Generator().manual_seed(seed + 1000 * distance))
        x = model.embedding(tokens).detach().requires_grad_()  # (batch, time, d_model)
        logits = model.read(x)
        (slope,) = torch.autograd.grad(logits.gather(1, answers[:, None]).sum(), x)
        lengths.append(slope[:, -1 - distance].norm(dim=-1).median().item())
    return lengths


def make_models(task: RecallTask) -> dict[str, Callable[[], nn.Module]]:
    """How to make each of the four networks, all of about the same size, by name."""
    sizes = task.vocab_size, task.n_values
    return {
        "RNN": lambda: RNN(*sizes),
        "LSTM": lambda: LSTM(*sizes),
        "CNN": lambda: CNN(*sizes),
        "attention": lambda: Attention(*sizes),
    }


def fit_ngram(task: RecallTask, budget: Budget, seed: int, n: int = 3) -> NGram:
    """A table of counts over the same training batches as the networks see."""
    model = NGram(n, task.n_values)
    for tokens, answers in training_batches(task, budget, seed):
        model.fit(tokens, answers)
    return model


# ------------------------------------------------------------------------------------------- the long version

LONG = Budget(steps=1000, batch_size=64, longest=32)
DISTANCES = (1, 2, 4, 8, 12, 14, 15, 16, 24, 32, 48, 64, 96, 128, 192, 256)
RATES = (3e-3, 1e-2)
SEEDS = (1, 2, 3, 4, 5)
PAIRS = (2, 4, 8, 16, 24)
MORE_PAIRS = 16  # with so many the LSTM is given more steps, and then a wider state
FAR_ONLY = replace(LONG, shortest=24)
REWRITE_DISTANCES = (4, 8, 16, 32)


@torch.no_grad()
def loss_over_distances(model: nn.Module, task: RecallTask, distances: Sequence[int], seed: int) -> float:
    """Cross-entropy in nats on fresh sequences, the mean over the distances."""
    batches = [task.batch(512, distance, torch.Generator().manual_seed(seed + distance)) for distance in distances]
    return sum(F.cross_entropy(model(tokens), answers).item() for tokens, answers in batches) / len(batches)


def choose_rate(make: Callable[[], nn.Module], task: RecallTask, budget: Budget) -> dict[str, float]:
    """Learning rate → loss over the trained distances, measured with a seed that the results do not use."""
    found = {}
    for rate in RATES:
        torch.manual_seed(100)
        model = make()
        train(model, task, budget, 100, rate)
        found[str(rate)] = round(loss_over_distances(model, task, (1, 2, 4, 8, 16, 32), seed=555), 4)
    return found


def measure(
    task: RecallTask,
    names: Sequence[str],
    distances: Sequence[int],
    say: Callable[[str], None],
    seeds: Sequence[int] = SEEDS,
) -> dict[str, Any]:
    """Tune, train with each seed, and measure each of the named networks on one task."""
    makers = make_models(task)
    results: dict[str, Any] = {"rates": {}, "accuracy": {}, "gradient_at_start": {}, "gradient_after": {}}
    for name in names:
        rates = choose_rate(makers[name], task, LONG)
        rate = float(min(rates, key=lambda key: rates[key]))
        results["rates"][name] = rates
        for seed in seeds:
            torch.manual_seed(seed)
            model = makers[name]()
            start = gradient_at_distance(model, task, distances)
            train(model, task, LONG, seed, rate)
            for key, values in (
                ("accuracy", accuracy(model, task, distances)),
                ("gradient_at_start", start),
                ("gradient_after", gradient_at_distance(model, task, distances)),
            ):
                results[key].setdefault(name, []).append([float(f"{value:.3g}") for value in values])
            say(f"{name} seed {seed} rate {rate:g}: {results['accuracy'][name][-1]}")
    return results


def learned(
    make: Callable[[], nn.Module], task: RecallTask, budget: Budget, rate: float, seed: int, distance: int = 32
) -> float:
    """Train a fresh model; its share of right answers at this distance."""
    torch.manual_seed(seed)
    model = make()
    train(model, task, budget, seed, rate)
    return float(f"{accuracy(model, task, [distance])[0]:.3g}")


def measure_capacity(rates: Mapping[str, float], say: Callable[[str], None]) -> dict[str, list[list[float]]]:
    """Accuracy at distance 32 of LSTM and attention, each trained anew for each number of pairs to hold."""
    tasks = [RecallTask(n_keys=24, n_pairs=n_pairs) for n_pairs in PAIRS]
    results: dict[str, list[list[float]]] = {}
    for name in ("LSTM", "attention"):
        for seed in SEEDS[:3]:
            shares = [learned(make_models(task)[name], task, LONG, rates[name], seed) for task in tasks]
            results.setdefault(name, []).append(shares)
            say(f"{name} seed {seed}, {PAIRS} pairs: {shares}")
    return results


def measure_more(
    rate: float, say: Callable[[str], None], budget: Budget = LONG, seeds: Sequence[int] = SEEDS[:3]
) -> dict[str, Any]:
    """What more steps, or a wider state, give an LSTM with many pairs to hold: accuracy at 32 for each seed."""
    task = RecallTask(n_keys=24, n_pairs=MORE_PAIRS)

    def lstm(d_hidden: int = 32) -> LSTM:
        return LSTM(task.vocab_size, task.n_values, d_hidden)

    longer = replace(budget, steps=4 * budget.steps)
    shares = {
        "steps x 4": [learned(lstm, task, longer, rate, seed) for seed in seeds],
        "state x 4": [learned(lambda: lstm(4 * 32), task, budget, rate, seed) for seed in seeds],
    }
    say(f"LSTM, {MORE_PAIRS} pairs: {shares}")
    return {"pairs": MORE_PAIRS, "accuracy": shares}


def measure_far_only(
    rates: Mapping[str, float],
    say: Callable[[str], None],
    budget: Budget = FAR_ONLY,
    seeds: Sequence[int] = SEEDS,
) -> dict[str, list[float]]:
    """Accuracy at distance 32 when no short distance was trained, one number for each seed."""
    task = RecallTask()
    shares = {
        name: [learned(make_models(task)[name], task, budget, rates[name], seed) for seed in seeds]
        for name in ("LSTM", "attention")
    }
    say(f"trained on distances {budget.shortest} to {budget.longest} only: {shares}")
    return shares


def run_all(say: Callable[[str], None] = print) -> dict[str, Any]:
    """The whole long experiment: distance, how many pairs to hold, far questions only, and where only order tells."""
    task, rewriting = RecallTask(), RecallTask(rewrite=True)
    recall = measure(task, list(make_models(task)), DISTANCES, say)
    recall["accuracy"]["3-gram"] = [
        [float(f"{share:.3g}") for share in accuracy(fit_ngram(task, LONG, seed), task, DISTANCES)] for seed in SEEDS
    ]
    rates = {name: float(min(found, key=lambda rate: found[rate])) for name, found in recall["rates"].items()}
    return {
        "command": "python -m course_lib.experiments.recall",
        "budget": {"steps": LONG.steps, "batch_size": LONG.batch_size, "longest": LONG.longest},
        "seeds": list(SEEDS),
        "parameters": {name: parameters(make()) for name, make in make_models(task).items()},
        "distances": list(DISTANCES),
        "recall": recall,
        "pairs": list(PAIRS),
        "capacity": measure_capacity(rates, say),
        "more": measure_more(rates["LSTM"], say),
        "far_only": measure_far_only(rates, say),
        "rewrite_distances": list(REWRITE_DISTANCES),
        "rewrite": measure(rewriting, ["LSTM", "attention"], REWRITE_DISTANCES, say, SEEDS[:3]),
    }


def main() -> None:
    """Run the long version and store what it found."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    save_results("recall", run_all(lambda line: print(line, flush=True)))


if __name__ == "__main__":
    main()
