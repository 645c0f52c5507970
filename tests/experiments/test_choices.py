"""Lesson 09: the stored runs are complete, and the programs of its hunt have exactly the bugs that they claim."""

import math

import pytest
import torch

from course_lib.experiments import choices
from course_lib.experiments.choices import SEEDS, Setting, stored_runs
from course_lib.experiments.three_curves import colleagues, first_wrong_target, leak_at


@pytest.fixture(scope="module")
def setting() -> Setting:
    return Setting()


class TestStored:
    def test_every_run_is_there(self):
        runs = stored_runs()
        assert tuple(runs["rates"]) == choices.RATES
        assert set(runs["schedules"]) == set(choices.SCHEDULES)
        assert all(len(table) == len(SEEDS) for table in runs["schedules"].values())
        assert set(runs["long"]) == set(choices.LONG)
        assert set(runs["remedies"]) == set(choices.REMEDIES)
        for seeds in runs["remedies"].values():
            assert len(seeds) == len(SEEDS)
            assert all(run["step"][-1] == choices.OVERFIT_STEPS for run in seeds)

    def test_the_floor_is_the_corpus_own_and_no_run_is_below_it(self, setting):
        runs = stored_runs()
        assert runs["floor"] == pytest.approx(setting.floor, abs=1e-4)
        assert min(min(run["new"]) for seeds in runs["remedies"].values() for run in seeds) > runs["floor"]


class TestRuns:
    @pytest.mark.slow
    def test_a_short_run_learns_and_the_seed_fixes_it(self, setting):
        stories = setting.documents(setting.stories[:50])
        first, again = (choices.schedule_run(setting, stories, "constant", 0.003, 1, steps=8) for _ in range(2))
        assert first == again < math.log(setting.tokenizer.vocab_size)

    @pytest.mark.slow
    def test_overfitting_is_measured_on_known_and_new_stories(self, setting):
        run = choices.overfit_run(setting, "100 stories", 0, steps=choices.OVERFIT_EVERY)
        assert run["step"] == [choices.OVERFIT_EVERY]
        assert len(run["known"]) == len(run["new"]) == 1

    def test_a_run_that_blows_up_ends_early(self, setting):
        stories = setting.documents(setting.stories[:50])
        model = setting.model()
        model.unembedding.register_forward_hook(lambda *_: torch.tensor(float("nan")) * _[2])
        assert choices.train(setting, model, stories, choices.settings(5, 0)) == []


@pytest.mark.slow
def test_each_colleague_has_one_bug(setting):
    found = {}
    for name, person in colleagues(setting, steps=6):
        tokens, targets = person.batches[0]
        found[name] = (
            first_wrong_target(tokens[0], targets[0]),
            person.evaluate() == person.evaluate(),
            leak_at(person.model, tokens[0, :8]),
        )
    assert found == {
        "A": (0, True, None),
        "B": (None, False, None),
        "C": (None, True, 0),
        "no bug": (None, True, None),
    }
