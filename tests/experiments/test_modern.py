"""Lesson 12's race: the same compute, the same chance, the right intervals; and what is stored is complete."""

import dataclasses
import math

import pytest
import torch

from course_lib.experiments import modern
from course_lib.experiments.modern import VARIANTS, Interval, config_of, paired_interval, started, unpaired_interval
from course_lib.models.gpt import GPT


@pytest.fixture(scope="module")
def setting():
    kept = modern.STORIES, modern.HELD_OUT
    modern.STORIES, modern.HELD_OUT = 200, 20
    yield modern.Setting(vocab_size=300)
    modern.STORIES, modern.HELD_OUT = kept


class TestFairness:
    def test_a_pair_shares_every_matrix_that_both_models_have(self):
        base = dict(started(config_of("base"), seed=3).named_parameters())
        for name in ("RMSNorm", "no biases", "rotary", "ReLU²", "QK-norm"):
            for key, weight in started(config_of(name), seed=3).named_parameters():
                assert torch.equal(weight, base[key]), (name, key)
        other = dict(started(config_of("base"), seed=4).named_parameters())
        assert not torch.equal(other["token_embedding.weight"], base["token_embedding.weight"])

    def test_first_weights_have_their_spread_and_writers_a_smaller_one(self):
        block = started(config_of("base"), seed=0).blocks[0]
        assert block.feed_forward.up.weight.std().item() == pytest.approx(0.1, rel=0.03)
        assert block.feed_forward.down.weight.std().item() == pytest.approx(0.1 / 2, rel=0.03)

    def test_muons_products_are_counted(self):
        config = dataclasses.replace(config_of("base"), n_layers=1, d_model=4, n_heads=1, d_ff=8, bias=False)
        square, wide = 5 * (4 * 4 * 4 * 4 + 2 * 4**3), 5 * (4 * 4 * 4 * 8 + 2 * 4**3)
        assert modern.muon_flops(config) == 4 * square + 2 * wide

    def test_every_variant_spends_what_the_base_spends(self, setting):
        budget = modern.STEPS * setting.step_flops("base")
        for name in VARIANTS:
            spent = setting.steps_for(name) * setting.step_flops(name)
            assert abs(spent - budget) <= setting.step_flops(name) / 2, name
        assert setting.steps_for("Muon") < modern.STEPS < setting.steps_for("1 KV head")

    def test_one_thing_is_changed_at_a_time(self):
        for name, changes in VARIANTS.items():
            assert len(changes) == {"base": 0, "all together": len(modern.ALL)}.get(name, 1), name


class TestIntervals:
    def test_by_hand(self):
        interval = paired_interval([0.48, 0.53, 0.45, 0.46], [0.50, 0.54, 0.46, 0.50])
        assert interval.mean == pytest.approx(-0.02)
        assert interval.half == pytest.approx(3.182 * 0.0141421 / 2, rel=1e-4)
        assert not interval.excludes_zero

    def test_it_covers_the_truth_as_often_as_it_says(self):
        generator = torch.Generator().manual_seed(0)
        covered = {paired_interval: 0, unpaired_interval: 0}
        for _ in range(1000):
            shared = torch.randn(5, generator=generator)
            for interval in covered:
                common = shared if interval is paired_interval else torch.randn(5, generator=generator)
                changed = common + 0.5 + 0.3 * torch.randn(5, generator=generator)
                found = interval(changed.tolist(), shared.tolist())
                covered[interval] += found.low <= 0.5 <= found.high
        assert all(0.93 <= count / 1000 <= 0.97 for count in covered.values()), covered

    def test_what_the_pairs_share_cancels(self):
        base = [0.1, 0.9, 0.4, 0.6]
        changed = [x - 0.05 + e for x, e in zip(base, (0.001, -0.001, 0.002, -0.002), strict=True)]
        assert paired_interval(changed, base).half < 0.1 * unpaired_interval(changed, base).half

    @pytest.mark.parametrize("changed, base", [([1.0, 2.0], [1.0, 2.0]), ([1.0] * 4, [1.0] * 5)])
    def test_too_few_or_unequal(self, changed, base):
        with pytest.raises(ValueError, match="Pairs of 3 to 12"):
            paired_interval(changed, base)

    def test_ends(self):
        assert Interval(-0.3, 0.2).excludes_zero and Interval(0.3, 0.2).excludes_zero
        assert not Interval(-0.1, 0.2).excludes_zero


class TestRuns:
    @pytest.mark.slow
    def test_a_run_learns_and_its_seed_fixes_it(self, setting):
        first, again = (modern.run(setting, "base", 0.012, 1, steps=6) for _ in range(2))
        untrained = modern.run(setting, "base", 1e-9, 1, steps=1)
        assert first.distance == again.distance < untrained.distance
        assert first.milliseconds > 0

    def test_a_run_that_blows_up_is_infinitely_far(self, setting, monkeypatch):
        monkeypatch.setattr(GPT, "_loss", lambda *_: torch.tensor(math.nan, requires_grad=True))
        assert modern.run(setting, "base", 0.012, 0, steps=3).distance == math.inf

    def test_the_norm_bounds_the_largest_score(self, setting):
        tokens = next(setting.validation.in_order(4)).tokens
        for name in ("base", "QK-norm"):
            model = started(config_of(name, setting.tokenizer.vocab_size), 0)
            with torch.no_grad():
                for block in model.blocks:
                    block.attention.query.weight *= 100
            largest = modern.largest_score(model, tokens)
            assert (largest <= 4.0001) is (name == "QK-norm")

    def test_a_wild_run_looks_every_few_steps(self, setting):
        sizes, outcome = modern.wild_run(setting, "QK-norm", 0.01, 0, steps=4, every=2)
        assert len(sizes) == 2 and math.isfinite(outcome.distance)

    @pytest.mark.slow
    def test_steps_are_timed_variant_by_variant(self, setting):
        times = modern.time_steps(setting, steps=1, rounds=1)
        assert times.keys() == VARIANTS.keys() and min(times.values()) > 0


class TestStored:
    def test_every_planned_run_is_there(self):
        runs = modern.stored_runs()["runs"]
        planned = {modern._key(*one) for one in modern.planned(runs)}
        assert planned == set(runs)

    def test_the_steps_are_those_of_equal_compute_and_no_run_is_below_the_floor(self):
        stored = modern.stored_runs()
        assert stored["steps"]["base"] == modern.STEPS
        assert min(run["distance"] for run in stored["runs"].values() if run["distance"] is not None) > 0
        assert "python -m course_lib.experiments.modern" in stored["command"] and stored["machine"]
        assert stored["ms"].keys() == stored["steps"].keys()

    def test_the_rate_is_chosen_on_other_seeds(self):
        assert modern.TUNING_SEED not in {*modern.SEEDS, *modern.OTHER_SEEDS}
        assert not set(modern.SEEDS) & set(modern.OTHER_SEEDS)
