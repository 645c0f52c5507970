import math

import pytest
import torch

from course_lib.experiments import length as experiment
from course_lib.experiments.results import load_results, save_results
from course_lib.models.gpt import GPT


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def texts():
    return experiment.make_texts(200, 120, generator())


def test_every_question_mark_is_followed_by_the_title(texts):
    title = texts.tokens[:, 1]
    text, place = (texts.tokens[:, :-1] == experiment.ASK).nonzero(as_tuple=True)
    assert len(text) > 500
    assert (texts.tokens[text, place + 1] == title[text]).all()
    assert (texts.kind[text, place + 1] == experiment.FAR).all()
    assert (texts.tokens[:, 1] >= experiment.FIRST_TITLE).all()


def test_letters_follow_the_table_except_for_the_noise(texts):
    table = experiment.letter_table()
    right = total = 0
    for row, kind in zip(texts.tokens.tolist(), texts.kind.tolist(), strict=True):
        letters = []
        for token, what in zip(row, kind, strict=True):
            if not experiment.FIRST_LETTER <= token < experiment.FIRST_TITLE:
                continue
            letter = token - experiment.FIRST_LETTER
            if what == experiment.NEAR:
                right += letter == table[letters[-1], letters[-2]]
                total += 1
            letters.append(letter)
    expected = 1 - experiment.NOISE + experiment.NOISE / experiment.N_LETTERS
    assert right / total == pytest.approx(expected, abs=4 * math.sqrt(0.14 / total))


def test_the_best_possible_loss_has_the_floor_as_its_mean(texts):
    for kind in (experiment.NEAR, experiment.FAR):
        best = texts.best[texts.kind == kind]
        spread = best.std().item() / math.sqrt(len(best))
        assert best.mean().item() == pytest.approx(experiment.floor(kind), abs=4 * spread + 1e-9)
    assert experiment.floor(experiment.NEAR) > 0.8


def test_the_chances_of_everything_that_can_follow_add_to_one():
    expected, other = (math.exp(-loss) for loss in experiment.letter_losses())
    assert expected + (experiment.N_LETTERS - 1) * other + experiment.ASK_CHANCE == pytest.approx(1)


def test_a_model_that_guesses_evenly_is_above_the_floor_by_a_known_amount(texts):
    class Even(torch.nn.Module):
        def forward(self, tokens):
            return type("Output", (), {"logits": torch.zeros(*tokens.shape, experiment.VOCAB_SIZE)})

    excess = experiment.loss_above_floor(Even(), texts, experiment.NEAR, stretch=120)
    best = texts.best[texts.kind == experiment.NEAR].mean().item()
    assert excess.tolist() == pytest.approx([math.log(experiment.VOCAB_SIZE) - best], abs=1e-4)


def test_the_same_seed_trains_the_same_model_and_leaves_unreached_rows_alone():
    one, same = (experiment.train("learned", seed=1, steps=3) for _ in range(2))
    torch.manual_seed(1)
    fresh = experiment.KINDS["learned"]()
    for parameter, other in zip(one.parameters(), same.parameters(), strict=True):
        assert torch.equal(parameter, other)
    rows, before = one.positions.embedding.weight, fresh.positions.embedding.weight
    assert torch.equal(rows[experiment.TRAIN_LENGTH :], before[experiment.TRAIN_LENGTH :])
    assert (rows[: experiment.TRAIN_LENGTH] != before[: experiment.TRAIN_LENGTH]).any(dim=1).all()


def test_short_training_reaches_every_bucket_of_one_relative_bias_and_not_of_the_other():
    reached = {}
    for kind in ("relative", "relative, far buckets"):
        bias = experiment.KINDS[kind]().positions
        bias.embedding.weight.data.copy_(torch.arange(bias.n_buckets)[:, None].expand(-1, 4).float())
        used = bias(experiment.TRAIN_LENGTH)[0] / 10
        reached[kind] = used.max().item() == bias.n_buckets - 1
    assert reached == {"relative": True, "relative, far buckets": False}


@pytest.mark.parametrize("kind", list(experiment.KINDS))
def test_every_kind_reads_the_test_length(kind):
    model = experiment.KINDS[kind]()
    assert isinstance(model, GPT)
    tokens = experiment.make_texts(1, experiment.TEST_LENGTH, generator()).tokens[:, :-1]
    assert torch.isfinite(model(tokens).logits).all()


def test_the_control_lacks_the_factor_and_nothing_else():
    torch.manual_seed(0)
    model = experiment.KINDS["sinusoidal"]()
    torch.manual_seed(0)
    control = experiment.KINDS["sinusoidal, no factor"]()
    tokens = experiment.make_texts(2, 30, generator()).tokens[:, :-1]
    assert not torch.allclose(model(tokens).logits, control(tokens).logits)
    with torch.no_grad():
        control.token_embedding.weight.mul_(math.sqrt(experiment.CONFIG.d_model))
    torch.testing.assert_close(model(tokens).logits, control(tokens).logits)


def test_the_committed_results_are_those_of_the_lesson():
    results = load_results(experiment.NAME)
    assert set(results["excess"]) == set(experiment.KINDS)
    stretches = experiment.TEST_LENGTH // experiment.STRETCH
    for curves in results["excess"].values():
        for runs in curves.values():
            assert len(runs) == len(results["seeds"]) >= 3
            assert all(len(run) == stretches for run in runs)


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A folder of its own for the results, and in it a very short run of one kind, and a kind that is gone."""
    monkeypatch.setattr("course_lib.experiments.results.FOLDER", tmp_path)
    results = experiment.run(["none"], seeds=[0], steps=2, n_texts=64)
    save_results(experiment.NAME, results | {"excess": results["excess"] | {"gone": {}}})
    return results


@pytest.mark.slow
def test_kinds_that_are_asked_for_are_measured_and_the_others_stay(stored):
    experiment.main(["alibi", "--steps", "2", "--seeds", "0"])
    merged = load_results(experiment.NAME)
    assert list(merged["excess"]) == ["none", "alibi"]
    assert merged["excess"]["none"] == stored["excess"]["none"]
    assert {**merged, "excess": None} == {**stored, "excess": None}


@pytest.mark.slow
def test_curves_that_were_not_measured_alike_are_not_mixed(stored):
    with pytest.raises(ValueError, match="steps = 2, not 3"):
        experiment.merge(stored, stored | {"steps": 3})
