"""Mixtures take each half from where they should; what is stored has five seeds and says what the lesson says."""

import torch

from course_lib.experiments import halves
from course_lib.experiments.induction import Plan, make_model


def test_the_lower_half_is_the_embedding_and_layer_0():
    lower, upper = make_model(seed=1).state_dict(), make_model(seed=2).state_dict()
    mixed = halves.put_together(lower, upper).state_dict()
    from_lower = {name for name in mixed if torch.equal(mixed[name], lower[name])}
    from_upper = {name for name in mixed if torch.equal(mixed[name], upper[name])}
    assert from_lower | from_upper == set(mixed)
    weights = {name for name in mixed if name.endswith("weight") and "norm" not in name}
    expected = {name for name in weights if name.startswith(("token_embedding.", "blocks.0."))}
    assert from_lower & weights - from_upper == expected
    assert {"blocks.1.attention.query.weight", "unembedding.weight"} <= from_upper


def test_a_short_run_gives_every_mixture_of_every_seed():
    said = []
    found = halves.run_all(said.append, seeds=(3,), steps=(0, 2), plan=Plan(steps=2, batch_size=2))
    (run,) = found["runs"]
    assert set(run) == {"0", "2"} and all(set(row) == {"0", "2"} for row in run.values())
    assert all(0 <= share <= 1 for row in run.values() for share in row.values())
    assert len(said) == 1


def test_in_all_stored_seeds_the_early_upper_half_gains_from_a_finished_lower_half_and_not_the_other_way_round():
    runs = halves.stored_runs()["runs"]
    assert len(runs) == len(halves.SEEDS)
    for run in runs:
        assert run["1000"]["1000"] > 0.99
        assert run["1000"]["200"] > run["200"]["200"] + 0.1
        assert run["200"]["1000"] < run["200"]["200"] + 0.1
