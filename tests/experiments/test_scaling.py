"""The scaling law's fit on laws that are known, and the stored runs against their recipe."""

import json
import math

import numpy as np
import pytest

from course_lib.experiments import results, scaling
from course_lib.experiments.scaling import fit_power_law, fit_with_free_floor

SIZES = [1e3, 3e3, 1e4, 3e4, 1e5, 3e5]


def law(floor, a, alpha, noise=()):
    excess = [a * size**-alpha for size in SIZES]
    return [floor + e * math.exp(n) for e, n in zip(excess, noise or [0] * len(SIZES), strict=True)]


def test_a_law_without_noise_is_found_again():
    found = fit_power_law(SIZES, law(0.3, 20.0, 0.4), 0.3)
    assert (found.a, found.alpha) == (pytest.approx(20.0), pytest.approx(0.4))
    assert found.spread == pytest.approx(0, abs=1e-9)
    assert found.at(1e6) == pytest.approx(0.3 + 20 * 1e6**-0.4)
    assert fit_with_free_floor(SIZES, law(0.3, 20.0, 0.4)).floor == pytest.approx(0.3, abs=1e-3)


def test_the_interval_holds_as_often_as_it_says():
    random, inside = np.random.default_rng(0), 0
    for _ in range(400):
        noise = random.normal(0, 0.1, len(SIZES) + 1)
        low, high = fit_power_law(SIZES, law(0.3, 20.0, 0.4, list(noise[:-1])), 0.3).interval(1e6)
        inside += low <= 0.3 + 20 * 1e6**-0.4 * math.exp(noise[-1]) <= high
    assert 0.92 < inside / 400 < 0.98


def test_a_loss_at_the_floor_and_too_few_sizes_are_refused():
    with pytest.raises(ValueError, match=r"above the floor of 0\.3"):
        fit_power_law(SIZES, [1.0] * 5 + [0.3], 0.3)
    with pytest.raises(ValueError, match="at least 3"):
        fit_power_law(SIZES[:2], [1.0, 0.9], 0.3)


def test_the_stored_runs_are_those_of_the_recipe():
    recipe = results.load_results("scaling")["recipe"]
    assert recipe["widths"] == list(scaling.WIDTHS)
    assert (recipe["steps"], recipe["rate"]) == (scaling.STEPS, scaling.RATE)
    losses = scaling.final_losses()
    assert list(losses) == list(scaling.WIDTHS)
    assert all(len(seeds) == len(scaling.SEEDS) for seeds in losses.values())
    assert all(loss > scaling.floor() for seeds in losses.values() for loss in seeds)


@pytest.mark.slow
def test_a_run_begins_as_the_stored_one_did():
    step, loss = scaling.train_one(8, seed=0, until=50)[0]
    then = scaling.stored_runs()[8][0][0]
    assert step == then[0]
    assert loss == pytest.approx(then[1], abs=0.05)


def test_stopped_and_started_again_it_makes_what_is_missing(tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(scaling, "train_one", lambda width, seed: trained.append((width, seed)) or [(1, 0.5)])
    scaling.run_all()
    whole = json.loads((tmp_path / "scaling_results.json").read_text())
    del whole["runs"]["16"]["2"]
    results.save_results("scaling", whole)
    trained.clear()
    scaling.run_all()
    assert trained == [(16, 2)]


def test_compute_is_counted_for_the_model_that_was_trained():
    assert scaling.flops_of(16, 200) == 2 * scaling.flops_of(16, 100)
    assert scaling.parameters_of(64) > 3 * scaling.parameters_of(32)
