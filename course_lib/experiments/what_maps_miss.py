"""What attention maps miss, on a model whose mechanism is known, so that every answer has a truth to be held to.

    g h Q w e r t Q → w        asked at the second Q, the model answers what followed the first

Two letters make this answer: the w, which is copied, and the Q before it, by which the w is found. Every way to read
a map ranks the letters before the question; it is right when those two come first.

The second part asks what Jain and Wallace asked of attention: can other weights give the same answer? The third is
the reply of Wiegreffe and Pinter: weights are not free, a model makes them. So train one that may not choose where it
looks, and one that is to answer the same and look elsewhere.

    python -m course_lib.experiments.what_maps_miss      repeats what the lesson draws (a few minutes)

Sources: Jain and Wallace 2019, "Attention is not Explanation"; Wiegreffe and Pinter 2019, "Attention is not not
Explanation"; Abnar and Zuidema 2020 (rollout, flow); Kobayashi et al. 2020 (norms).
"""

from __future__ import annotations

import argparse
import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from course_lib.experiments.induction import (
    HELD_OUT,
    NAME,
    Circuit,
    Plan,
    Repeats,
    determined,
    draw_repeats,
    find_circuit,
    held_out,
    letters,
    make_model,
    score,
    train,
    unused_letter,
)
from course_lib.experiments.minimise import minimise
from course_lib.experiments.results import load_results, save_results
from course_lib.hub import load_model
from course_lib.interpret import (
    HeadAt,
    Site,
    View,
    attention_flow,
    attention_rollout,
    edit_activations,
    edit_heads,
    reader_for,
    record_activations,
)
from course_lib.interpret.tap import AttentionCall, AttentionTap, Edit
from course_lib.models.gpt import GPT

# ------------------------------------------------------------------------------------------- rankings


@dataclass(frozen=True)
class Question:
    """A sequence cut at a letter that was there before.

    Attributes:
        tokens: ids up to the letter that asks, the last one.
        match: where this letter stood before; the answer stands at `match` + 1.
    """

    tokens: Int[Tensor, "1 time"]
    match: int

    @property
    def answer(self) -> int:
        """The position of the letter to be copied."""
        return self.match + 1

    @property
    def target(self) -> int:
        """The letter to be copied."""
        return int(self.tokens[0, self.answer])


def draw_questions(n: int, seed: int = HELD_OUT + 2) -> list[Question]:
    """Questions in the second telling of a stretch of 8 to 10 letters, so that each has one match."""
    repeats = held_out(n, seed=seed, periods=(8, 10), starts=(0, 4), time=24)
    generator = torch.Generator().manual_seed(seed)
    asked = (repeats.period - 1) * torch.rand(n, generator=generator)  # how far into the second telling
    ends = repeats.start + repeats.period + asked.long()
    return [
        Question(row[None, : end + 1], int(end - period))
        for row, end, period in zip(repeats.tokens, ends, repeats.period, strict=True)
    ]


@dataclass(frozen=True)
class Case:
    """A question, the model that is asked, and what a reader sees of it."""

    model: GPT
    question: Question
    view: View
    circuit: Circuit


Ranking = Callable[[Case], Float[NDArray, "time"]]
"""From a case to a score for every letter, the larger the more it matters."""


def last_layer(case: Case) -> NDArray:
    """Raw weights of the last layer, mean over heads: the map that is shown most often."""
    return case.view.weights[-1].mean(axis=0)[-1]


def all_layers(case: Case) -> NDArray:
    """Raw weights, mean over all heads of all layers."""
    return np.mean([weights.mean(axis=0)[-1] for weights in case.view.weights], axis=0)


def induction_head(case: Case) -> NDArray:
    """Raw weights of the one head that copies, for who knows which it is."""
    _, layer, head = case.circuit.induction
    return case.view.weights[layer][head, -1]


def rollout(case: Case) -> NDArray:
    """Attention rollout: the layers' maps multiplied, half of each the residual path."""
    return attention_rollout(case.view.weights)[-1][-1]


def flow(case: Case) -> NDArray:
    """Attention flow: the most that can flow through the layers' maps."""
    return attention_flow(case.view.weights, len(case.view.query_tokens) - 1)


def value_norms(case: Case) -> NDArray:
    """Weight times the length of the vector that it brings, last layer, sum over heads."""
    return (case.view.weights[-1] * case.view.value_norms[-1][:, None, :]).sum(axis=0)[-1]


def gradient_times_input(case: Case) -> NDArray:
    """|gradient · embedding| of the answer's log-probability."""
    with record_activations(case.model, ["stream"]) as seen:
        logits = case.model(case.question.tokens).logits
        embedded = seen[Site("stream", 0)]
        says = logits[0, -1].log_softmax(dim=-1)[case.question.target]
        (gradient,) = torch.autograd.grad(says, embedded)
    return (gradient * embedded).sum(dim=-1)[0].abs().detach().numpy()


@torch.no_grad()
def erasing(case: Case) -> NDArray:
    """How much less likely the answer is when one letter's embedding is the mean of all letters'."""
    mean = case.model.token_embedding.weight[1:].mean(dim=0)
    time = case.question.tokens.shape[1]

    def erase(embedded: Tensor) -> Tensor:
        return torch.where(torch.eye(time, dtype=torch.bool)[:, :, None], mean, embedded)

    with edit_activations(case.model, {Site("stream", 0): erase}):
        return _drop(case, case.question.tokens.expand(time, -1))


@torch.no_grad()
def swapping(case: Case) -> NDArray:
    """How much less likely the answer is when one letter is another, which stands nowhere else: an intervention."""
    tokens = case.question.tokens
    time = tokens.shape[1]
    other = unused_letter(tokens)
    return _drop(case, torch.where(torch.eye(time, dtype=torch.bool), other, tokens))


def _drop(case: Case, changed: Int[Tensor, "changes time"]) -> NDArray:
    """How much each change takes from the log-probability of the answer; the plain text is read without any change."""
    logits = case.model(changed).logits[:, -1].log_softmax(dim=-1)
    return -logits[:, case.question.target].numpy()


RANKINGS: dict[str, Ranking] = {
    "attention, last layer": last_layer,
    "attention, all layers": all_layers,
    "attention, induction head": induction_head,
    "value-weighted norms": value_norms,
    "rollout": rollout,
    "flow": flow,
    "gradient × input": gradient_times_input,
    "erasing a letter": erasing,
    "swapping a letter": swapping,
}


class Found(NamedTuple):
    """What the two highest letters of a ranking hold: the answer, its match, and what share of the two is right."""

    answer: bool
    match: bool

    @property
    def precision(self) -> float:
        """Of the two highest, the share that is the answer or its match."""
        return (self.answer + self.match) / 2


def find(case: Case, ranking: Ranking) -> Found:
    """Rank the letters before the one that asks."""
    highest = set(np.argsort(-ranking(case)[:-1], kind="stable")[:2].tolist())
    return Found(case.question.answer in highest, case.question.match in highest)


def rank_all(
    model: GPT, n: int = 20, *, seed: int = HELD_OUT + 2, rankings: Sequence[str] = tuple(RANKINGS)
) -> dict[str, list[Found]]:
    """What each ranking finds in n questions that the model answers rightly."""
    reader, circuit = reader_for(model, letters()), find_circuit(score(model))
    cases = []
    for question in draw_questions(2 * n, seed):
        if len(cases) == n:
            break
        text = letters().decode(question.tokens[0].tolist())
        reading = reader.read(text)
        if int(reading.predictions.probabilities[0].argmax()) == question.target:
            cases.append(Case(model, question, reading.views["self"], circuit))
    return {name: [find(case, RANKINGS[name]) for case in cases] for name in rankings}


def interval(values: Sequence[float], *, level: float = 0.95, draws: int = 2_000) -> tuple[float, float]:
    """A bootstrap interval of the mean: the middle share `level` of the means of so many draws with replacement."""
    array = np.asarray(values, dtype=float)
    rng = np.random.default_rng(0)
    means = array[rng.integers(len(array), size=(draws, len(array)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def summary(found: dict[str, list[Found]]) -> dict[str, dict[str, Any]]:
    """For each ranking its mean precision with an interval, and how often it finds the answer and the match."""
    return {
        name: {
            "precision": round(float(np.mean([each.precision for each in all_found])), 4),
            "interval": [round(end, 4) for end in interval([each.precision for each in all_found])],
            "answer": round(float(np.mean([each.answer for each in all_found])), 4),
            "match": round(float(np.mean([each.match for each in all_found])), 4),
        }
        for name, all_found in found.items()
    }


def by_chance(n: int, seed: int = HELD_OUT + 2) -> float:
    """The mean precision of a random order: two of all letters before the one that asks."""
    return float(np.mean([2 / (question.tokens.shape[1] - 1) for question in draw_questions(n, seed)]))


# ------------------------------------------------------------------------------------------- other weights

ALLOWED = 0.05
"""How far an answer may move, in total variation, and still count as the same."""


STRENGTH = 1.0
"""How much an imitator is rewarded for looking elsewhere: as much as for its answers."""


class Frozen(NamedTuple):
    """A batch of questions of one length, with what the heads of the last layer mix."""

    tokens: Int[Tensor, "batch time"]
    weights: Float[Tensor, "batch heads time"]
    values: Float[Tensor, "batch heads time d_head"]
    answers: Float[Tensor, "batch vocab_size"]


def frozen_questions(model: GPT, n: int = 100) -> Frozen:
    """Questions at the second letter of the second telling, each 4 + 12 + 2 letters long."""
    tokens = held_out(n, time=18, starts=(4, 4), periods=(12, 12), seed=HELD_OUT + 3).tokens
    calls: list[AttentionCall] = []
    with torch.no_grad(), AttentionTap(model, on_call=calls.append):
        answers = model(tokens).logits[:, -1].softmax(dim=-1)
    return Frozen(tokens, calls[-1].weights[:, :, -1], calls[-1].value, answers)


def answer_with(
    model: GPT, frozen: Frozen, heads: Sequence[int], weights: Float[Tensor, "batch some_heads time"]
) -> Float[Tensor, "batch vocab_size"]:
    """What the model answers when some heads of the last layer have these weights at the letter that asks."""
    mixed = torch.einsum("bhk,bhkd->bhd", weights, frozen.values[:, list(heads)])

    def put_in(vector: Tensor) -> Edit:
        return lambda output: torch.cat([output[:, :-1], vector[:, None]], dim=1)

    last = model.config.n_layers - 1
    edits = {HeadAt("self", last, head): put_in(mixed[:, place]) for place, head in enumerate(heads)}
    with edit_heads(model, edits):
        return model(frozen.tokens).logits[:, -1].softmax(dim=-1)


def variation(p: Float[Tensor, "*batch outcomes"], q: Float[Tensor, "*batch outcomes"]) -> Float[Tensor, "*batch"]:
    """Total variation ½ Σ |p − q|: 0 for the same distribution, 1 for two that share nothing."""
    return (p - q).abs().sum(dim=-1) / 2


def divergence(p: Float[Tensor, "*batch outcomes"], q: Float[Tensor, "*batch outcomes"]) -> Float[Tensor, "*batch"]:
    """Jensen and Shannon's divergence in nats: 0 for the same distribution, ln 2 for two that share nothing."""
    middle = ((p + q) / 2).clamp(min=1e-12).log()

    def relative(one: Tensor) -> Tensor:
        return (one * (one.clamp(min=1e-12).log() - middle)).sum(dim=-1)

    return (relative(p) + relative(q)) / 2


@torch.no_grad()
def permuted(model: GPT, frozen: Frozen, heads: Sequence[int], draws: int = 20) -> Float[NDArray, "batch"]:
    """How far the answer moves when the heads' weights are dealt out anew among the letters: the median of the draws.

    Source: Jain and Wallace 2019, section 4.2.1.
    """
    own = frozen.weights[:, list(heads)]
    generator = torch.Generator().manual_seed(0)
    moved = []
    for _ in range(draws):
        dealt = own.gather(-1, torch.rand(own.shape, generator=generator).argsort(dim=-1))
        moved.append(variation(answer_with(model, frozen, heads, dealt), frozen.answers))
    return torch.stack(moved).median(dim=0).values.numpy()


def adversarial(model: GPT, frozen: Frozen, heads: Sequence[int], steps: int = 300) -> Float[NDArray, "batch"]:
    """How different the heads' weights can be while the answer stays the same: Jensen and Shannon's divergence from
    the model's own, the mean over the heads.

    Gradient ascent on the divergence, with a price on every answer that moves by more than half of ALLOWED; what counts
    is the largest divergence that was reached within ALLOWED. A lower bound: better searches may find more.

    Source: Jain and Wallace 2019, section 4.2.2.
    """
    own = frozen.weights[:, list(heads)]
    generator = torch.Generator().manual_seed(0)
    free = (own.clamp(min=1e-6).log() + torch.randn(own.shape, generator=generator)).requires_grad_(True)
    optimizer = torch.optim.Adam([free], lr=0.1)
    best = torch.zeros(len(own))
    for _ in range(steps):
        weights = free.softmax(dim=-1)
        moved = variation(answer_with(model, frozen, heads, weights), frozen.answers)
        apart = divergence(weights, own).mean(dim=-1)
        best = torch.where(moved.detach() <= ALLOWED, torch.maximum(best, apart.detach()), best)
        loss = (-apart + 20 * (moved - ALLOWED / 2).clamp(min=0)).sum()
        optimizer.zero_grad()
        loss.backward(inputs=[free])
        optimizer.step()
    return best.numpy()


def other_weights(model: GPT, n: int = 100) -> dict[str, dict[str, Any]]:
    """What permuted and adversarial weights do, for each head of the last layer and for all of them; with intervals."""
    frozen = frozen_questions(model, n)
    last, heads = model.config.n_layers - 1, range(model.config.n_heads)

    def described(values: NDArray) -> dict[str, Any]:
        return {
            "mean": round(float(values.mean()), 4),
            "interval": [round(end, 4) for end in interval(values.tolist())],
        }

    return {
        " + ".join(f"{last}.{head}" for head in chosen): {
            "permuted": described(permuted(model, frozen, chosen)),
            "adversarial": described(adversarial(model, frozen, chosen)),
        }
        for chosen in [*([head] for head in heads), list(heads)]
    }


# ------------------------------------------------------------------------------------------- no weights at all


def uniform_layer(model: GPT, layer: int) -> None:
    """Make every head of a layer look at all letters evenly, for good: its queries are 0 and are not trained."""
    query = model.blocks[layer].attention.query
    for parameter in query.parameters():
        nn.init.zeros_(parameter)
        parameter.requires_grad_(False)


def trained_with_uniform(layer: int, plan: Plan) -> dict[str, float]:
    """What a model learns whose layer may not choose where it looks.

    Source: Wiegreffe and Pinter 2019, section 3.2 (uniform weights as the baseline).
    """
    model = make_model(plan.n_layers, plan.seed)
    uniform_layer(model, layer)
    scores = score(train(plan, model=model))
    return {"accuracy": round(scores.accuracy, 4), "second": round(scores.second, 4)}


# ------------------------------------------------------------------------------------------- another model


def imitated(model: GPT, strength: float, steps: int = 300, seed: int = 0) -> dict[str, float]:
    """Train a copy to answer as the model does and to look elsewhere; how far both came, where the answer is known.

    The loss is KL(model's answer ‖ copy's) − strength · JSD(where the last layer looks, mean over heads). Unlike
    weights that are put in by hand for one text, the copy's are those of a model, which must do for every text.

    Source: Wiegreffe and Pinter 2019, section 4.
    """
    copied = copy.deepcopy(model).requires_grad_(True).train()
    generator = torch.Generator().manual_seed(seed)

    def compare(repeats: Repeats) -> tuple[Tensor, Tensor, Tensor]:
        """KL, variation and divergence at the places where the answer is known."""
        known = determined(repeats)
        with torch.no_grad():
            own = model(repeats.tokens, return_attentions=True)
        new = copied(repeats.tokens, return_attentions=True)
        own_answers, new_answers = own.logits[known].log_softmax(-1), new.logits[known].log_softmax(-1)
        looks = [output.attentions[-1].mean(dim=1)[known] for output in (own, new)]
        return (
            F.kl_div(new_answers, own_answers, log_target=True, reduction="batchmean"),
            variation(own_answers.exp(), new_answers.exp()).mean(),
            divergence(*looks).mean(),
        )

    def losses() -> Iterator[Tensor]:
        for _ in range(steps):
            answers, _, apart = compare(draw_repeats(32, generator))
            yield answers - strength * apart

    minimise(copied, losses(), steps, 1e-3)
    copied.eval()
    with torch.no_grad():
        _, moved, apart = compare(held_out())
    return {
        "strength": strength,
        "variation": round(moved.item(), 4),
        "divergence": round(apart.item(), 4),
        "accuracy": round(score(copied).accuracy, 4),
    }


# ------------------------------------------------------------------------------------------- all of it

EXPERIMENT = "what_maps_miss"
SEEDS = (0, 1, 2)
QUESTIONS = 300
UNIFORM = Plan(steps=500)
"""How models with a layer that may not choose are trained; with both layers free, half is right after 250 steps."""


def measure_rankings(model: GPT) -> dict[str, Any]:
    """What each ranking finds."""
    rankings = summary(rank_all(model, QUESTIONS))
    circuit = [list(head) for head in find_circuit(score(model))]
    return {"questions": QUESTIONS, "chance": round(by_chance(QUESTIONS), 4), "rankings": rankings, "circuit": circuit}


def measure_other_weights(model: GPT) -> dict[str, Any]:
    """What other weights do to the answers."""
    return {"allowed": ALLOWED, "most": round(math.log(2), 4), "other weights": other_weights(model)}


def measure_uniform(_: GPT) -> dict[str, Any]:
    """What models learn whose first, or second, layer may not choose."""
    runs = {
        f"layer {layer}": [trained_with_uniform(layer, replace(UNIFORM, seed=seed)) for seed in SEEDS]
        for layer in (0, 1)
    }
    return {"uniform steps": UNIFORM.steps, "uniform": runs}


def measure_imitators(model: GPT) -> dict[str, Any]:
    """How far from the model's attention a copy can come that answers the same."""
    told = [imitated(model, STRENGTH, seed=seed) for seed in SEEDS]
    return {"imitated": told, "imitated as a control": imitated(model, 0.0)}


PARTS = {
    "rankings": measure_rankings,
    "weights": measure_other_weights,
    "uniform": measure_uniform,
    "imitators": measure_imitators,
}


def stored_runs() -> dict[str, Any]:
    """What was measured when the command was last run."""
    return load_results(EXPERIMENT)


def main() -> None:
    """Measure all parts, or those that are named, and store what each found as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar=f"{{{','.join(PARTS)}}}")
    model, _ = load_model(NAME)
    for part in parser.parse_args().parts or PARTS:
        new = PARTS[part](model)
        print(part, new, flush=True)
        try:
            found = stored_runs()
        except FileNotFoundError:
            found = {"command": "python -m course_lib.experiments.what_maps_miss"}
        save_results(EXPERIMENT, found | new)


if __name__ == "__main__":
    main()
