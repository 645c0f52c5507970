"""Train on short texts, test on long ones: which kind of positions survives? The experiment of lesson 04.

The texts are made so that the answer never depends on *where* in the text it is asked. Each begins with a title.
Then come letters, and each letter follows from the two letters before it, in their order (a fixed table, with some
noise). Now and then a question mark asks for the title, which is the next token. So there are two things to predict:

    near: the next letter. Needs to know which letter is the last one, and which the last but one.
    far:  the title after "?". Needs to look back to the beginning, but can find the title by what it is.

The chances are known, hence the lowest loss that any model can reach; what is reported is the loss above that floor.

    python -m course_lib.experiments.length                 # trains all kinds with three seeds, and stores the results
    python -m course_lib.experiments.length alibi rotary    # only these; the others' stored results stay
"""

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.experiments.results import load_results, save_results
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.nn.positions import RelativeBias
from course_lib.training import Documents, TrainConfig, Trainer

NAME = "length"
"""Under which name the results are stored: `load_results(NAME)["excess"][kind]["near" | "far"]`, a curve a seed."""

TRAIN_LENGTH, TEST_LENGTH = 64, 512
STRETCH = 16
"""Losses are averaged over stretches of this many positions."""

N_LETTERS = N_TITLES = 6
END, ASK, FIRST_LETTER, FIRST_TITLE = 0, 1, 2, 2 + N_LETTERS
VOCAB_SIZE = FIRST_TITLE + N_TITLES
BATCH = 16
NOISE = 0.2
"""Chance that a letter is drawn at random and not read off the table."""
ASK_CHANCE = 0.1
"""Chance that a question mark stands where a letter could."""

OTHER, NEAR, FAR = 0, 1, 2
"""What kind of prediction a token is: not scored, a letter, or the title after a question mark."""


@dataclass(frozen=True)
class Texts:
    """Texts of one length, and for each token what kind of prediction it is.

    Attributes:
        tokens: END, the title, letters and questions; `tokens[:, 1:]` are what is predicted.
        kind: OTHER, NEAR or FAR.
        best: -ln of the token's true chance given what came before, where it is scored: the loss of a model that
            knows how the texts are made.
    """

    tokens: Int[Tensor, "text time"]
    kind: Int[Tensor, "text time"]
    best: Float[Tensor, "text time"]


def letter_table() -> Int[Tensor, "last before"]:
    """Which letter follows which two: row the last letter, column the one before it. Always the same table."""
    return torch.randint(0, N_LETTERS, (N_LETTERS, N_LETTERS), generator=torch.Generator().manual_seed(4))


def make_texts(n: int, length: int, generator: torch.Generator) -> Texts:
    """`n` random texts with `length` predictions each."""
    table = letter_table()
    title = torch.randint(FIRST_TITLE, VOCAB_SIZE, (n,), generator=generator)
    before, last = torch.randint(0, N_LETTERS, (2, n), generator=generator)
    tokens = [torch.full((n,), END), title, FIRST_LETTER + before, FIRST_LETTER + last]
    kind, best = [torch.full((n,), OTHER)] * 4, [torch.zeros(n)] * 4
    asked = torch.zeros(n, dtype=torch.bool)
    while len(tokens) <= length:
        noisy = torch.rand(n, generator=generator) < NOISE
        expected = table[last, before]
        letter = torch.where(noisy, torch.randint(0, N_LETTERS, (n,), generator=generator), expected)
        ask = ~asked & (torch.rand(n, generator=generator) < ASK_CHANCE)
        is_letter = ~asked & ~ask
        tokens.append(torch.where(asked, title, torch.where(ask, ASK, FIRST_LETTER + letter)))
        kind.append(torch.where(asked, FAR, torch.where(is_letter, NEAR, OTHER)))
        best.append(torch.where(is_letter, torch.where(letter == expected, *letter_losses()), 0.0))
        before, last = torch.where(is_letter, last, before), torch.where(is_letter, letter, last)
        asked = ask
    return Texts(*(torch.stack(columns[: length + 1], dim=1) for columns in (tokens, kind, best)))


def letter_losses() -> tuple[float, float]:
    """-ln of the chance of the letter that the table says, and of each other letter, where a "?" could stand too."""
    other = NOISE / N_LETTERS
    return -math.log((1 - ASK_CHANCE) * (1 - NOISE + other)), -math.log((1 - ASK_CHANCE) * other)


def floor(kind: int) -> float:
    """The lowest mean loss in nats that any model can reach on predictions of this kind: their entropy."""
    if kind == FAR:
        return 0.0
    expected, other = letter_losses()
    by_chance = NOISE / N_LETTERS
    return (1 - NOISE + by_chance) * expected + (N_LETTERS - 1) * by_chance * other


CONFIG = GPTConfig(VOCAB_SIZE, TEST_LENGTH, d_model=64, n_heads=4, n_layers=2, tie_embeddings=False)
"""The model of the experiment: two layers, four heads, room for the *test* length."""


def small_gpt(positions: str) -> GPT:
    """The model of the experiment with this kind of positions, untrained."""
    return GPT(replace(CONFIG, positions=positions))


class WithoutFactor(GPT):
    """A GPT that adds the sinusoids to plain token vectors, where Vaswani et al. multiply these by √d_model first."""

    def _embed(self, tokens: Tensor, past: int) -> tuple[Tensor, None, None]:
        """Token vectors plus sinusoids; attention needs nothing more."""
        return self.token_embedding(tokens) + self.sinusoids[past : past + tokens.shape[1]], None, None


class QuickRelativeBias(RelativeBias):
    """A relative bias that is ten times its parameters, so that a short training can make it large.

    Adam moves a number by about the learning rate a step: in some hundred steps a plain bias gets no further than ±1,
    and e¹ is too little to favour one key among many.
    """

    def forward(self, n_query: int, n_key: int | None = None) -> Float[Tensor, "heads query key"]:
        """The bias of each head for every query and key."""
        return 10 * super().forward(n_query, n_key)


def relative(n_buckets: int, max_distance: int) -> GPT:
    """Relative bias with its last bucket from `max_distance` on."""
    model = small_gpt("relative")
    model.positions = QuickRelativeBias(4, n_buckets=n_buckets, max_distance=max_distance)
    nn.init.normal_(model.positions.embedding.weight, std=0.02)
    return model


KINDS: dict[str, Callable[[], GPT]] = {
    "none": lambda: small_gpt("none"),
    "learned": lambda: small_gpt("learned"),
    "sinusoidal": lambda: small_gpt("sinusoidal"),
    "relative": lambda: relative(16, 32),
    "alibi": lambda: small_gpt("alibi"),
    "rotary": lambda: small_gpt("rotary"),
    "sinusoidal, no factor": lambda: WithoutFactor(replace(CONFIG, positions="sinusoidal")),
    "relative, far buckets": lambda: relative(32, 128),
}
"""The six kinds of the lesson, and two controls: the sinusoids without the factor √d_model on the token vectors, and
the relative bias with T5's own buckets, the last of which begin further away than a training text is long."""


def train(kind: str, seed: int, steps: int) -> GPT:
    """A model of this kind, trained on fresh texts of TRAIN_LENGTH tokens. The seed fixes weights and texts.

    There is no weight decay, so that vectors which training never touches keep exactly their initial values.
    """
    torch.manual_seed(seed)
    model = KINDS[kind]()
    texts = make_texts(BATCH * steps, TRAIN_LENGTH, torch.Generator().manual_seed(seed))
    rows = texts.tokens[:, 1:].tolist()
    documents = Documents(rows, TRAIN_LENGTH, end_id=END)
    few = Documents(rows[:BATCH], TRAIN_LENGTH, end_id=END)
    config = TrainConfig(
        steps,
        batch_size=BATCH,
        learning_rate=3e-3,
        weight_decay=0.0,
        evaluate_every=steps,
        device="cpu",
        precision="float32",
        seed=seed,
    )
    with one_thread():
        Trainer(model, documents, few, config).fit(progress=False)
    return model


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread meanwhile: in a model this small, threads wait for each other longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def losses(model: nn.Module, texts: Texts) -> Float[Tensor, "text time"]:
    """Cross-entropy in nats of each prediction."""
    logits = model(texts.tokens[:, :-1]).logits
    return F.cross_entropy(logits.transpose(1, 2), texts.tokens[:, 1:], reduction="none")


def loss_above_floor(model: nn.Module, texts: Texts, kind: int, stretch: int = STRETCH) -> Float[Tensor, "stretches"]:
    """Mean loss above the floor, in nats, over the predictions of one kind in each stretch of positions.

    What is taken off is the best possible loss on *these* texts: a stretch with more noise than usual is hard for every
    model and for the best one alike, so that the difference varies less from stretch to stretch.
    """
    counts = (texts.kind[:, 1:] == kind).float()
    n_stretches = counts.shape[1] // stretch

    def per_stretch(values: Tensor) -> Tensor:
        return values[:, : n_stretches * stretch].sum(dim=0).view(n_stretches, stretch).sum(dim=1)

    return per_stretch((losses(model, texts) - texts.best[:, 1:]) * counts) / per_stretch(counts)


def test_texts(n: int = 64) -> Texts:
    """The long texts that every model is tested on."""
    return make_texts(n, TEST_LENGTH, torch.Generator().manual_seed(1_000))


def run(
    kinds: Sequence[str] = tuple(KINDS), seeds: Sequence[int] = (0, 1, 2), steps: int = 700, n_texts: int = 64
) -> dict[str, Any]:
    """Train and test each of these kinds with every seed; what is stored, as far as these kinds go."""
    texts = test_texts(n_texts)
    table: dict[str, dict[str, list[list[float]]]] = {kind: {"near": [], "far": []} for kind in kinds}
    for seed in seeds:
        for kind in kinds:
            model = train(kind, seed, steps)
            for name, which in (("near", NEAR), ("far", FAR)):
                curve = [round(value, 3) for value in loss_above_floor(model, texts, which).tolist()]
                table[kind][name].append(curve)
                print(
                    f"seed {seed} · {kind:25s} {name:5s} {curve[0]:6.2f} {curve[3]:6.2f} … {curve[-1]:6.2f}", flush=True
                )
    return {
        "command": f"python -m course_lib.experiments.{NAME}",
        "unit": "nats above the floor, mean over each stretch of positions",
        "stretch": STRETCH,
        "train_length": TRAIN_LENGTH,
        "test_length": TEST_LENGTH,
        "steps": steps,
        "seeds": list(seeds),
        "excess": table,
    }


def merge(stored: dict[str, Any], fresh: dict[str, Any]) -> dict[str, Any]:
    """The stored results with the kinds measured afresh in place of their old ones; kinds that are gone are dropped.

    Raises ValueError when the two were not measured alike.
    """
    for name in fresh:
        if name != "excess" and fresh[name] != stored[name]:
            raise ValueError(
                f"The stored results have {name} = {stored[name]}, not {fresh[name]}, so that curves could not be "
                "compared. Run the experiment for all kinds."
            )
    curves = stored["excess"] | fresh["excess"]
    return fresh | {"excess": {kind: curves[kind] for kind in KINDS if kind in curves}}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the experiment and store its results beside this module."""
    parser = argparse.ArgumentParser(prog=f"python -m course_lib.experiments.{NAME}", description=main.__doc__)
    parser.add_argument("kinds", nargs="*", choices=KINDS, metavar="kind", help="only these; the others stay as stored")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args(arguments)
    results = run(options.kinds or tuple(KINDS), options.seeds, options.steps)
    save_results(NAME, merge(load_results(NAME), results) if options.kinds else results)


if __name__ == "__main__":
    main()
