"""Which half of the circuit forms first? Models put together from two moments of one training.

The induction model (see `course_lib.experiments.induction`) changes within some fifty steps. Its lower half (embedding
and layer 0) is taken from one step, its upper half (layer 1, last norm and unembedding) from another: a mixture that
answers rightly shows that the half from the early step was ready.

    python -m course_lib.experiments.halves      trains five seeds (about five minutes)
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from course_lib.experiments.induction import Plan, make_model, score, train
from course_lib.experiments.results import load_results, save_results
from course_lib.models.gpt import GPT

EXPERIMENT = "halves"
SEEDS = (0, 1, 2, 3, 4)
STEPS = (200, 300, 1_000)
LOWER = ("token_embedding", "blocks.0")

Weights = Mapping[str, Tensor]


def put_together(lower: Weights, upper: Weights) -> GPT:
    """A model with the embedding and layer 0 of one set of weights, and all the rest of another."""
    model = make_model()
    model.load_state_dict({name: (lower if name.startswith(LOWER) else upper)[name] for name in upper})
    return model.eval()


def mixtures(weights: Mapping[int, Weights]) -> dict[str, dict[str, float]]:
    """Share of right answers of each mixture: {step of the lower half: {step of the upper half: share}}."""
    return {
        str(lower): {
            str(upper): round(score(put_together(weights[lower], weights[upper])).accuracy, 4) for upper in weights
        }
        for lower in weights
    }


def run_all(
    say: Callable[[str], None], seeds: Sequence[int] = SEEDS, steps: Sequence[int] = STEPS, plan: Plan | None = None
) -> dict[str, Any]:
    """Train a model for each seed, keep its weights at some steps, and score all mixtures."""
    plan = Plan() if plan is None else plan
    runs = []
    for seed in seeds:
        kept: dict[int, Weights] = {}

        def watch(step: int, model: GPT, kept: dict[int, Weights] = kept) -> None:
            if step in steps:
                kept[step] = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

        train(Plan(plan.steps, plan.batch_size, plan.learning_rate, seed=seed), watch)
        runs.append(mixtures(kept))
        say(f"seed {seed}: {runs[-1]}")
    return {"command": "python -m course_lib.experiments.halves", "steps": list(steps), "runs": runs}


def stored_runs() -> dict[str, Any]:
    """What `run_all` gave when it was last run and stored."""
    return load_results(EXPERIMENT)


if __name__ == "__main__":
    save_results(EXPERIMENT, run_all(lambda line: print(line, flush=True)))
