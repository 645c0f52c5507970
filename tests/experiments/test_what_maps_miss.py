"""Rankings are held to the known mechanism; other weights and models without a choice are measured as they are said."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from course_lib.experiments import induction
from course_lib.experiments import what_maps_miss as miss
from course_lib.experiments.induction import Plan
from course_lib.hub import load_model


@pytest.fixture(scope="module")
def model():
    return load_model(induction.NAME)[0]


def test_questions_ask_for_what_followed_the_only_match():
    questions = miss.draw_questions(100)
    for question in questions:
        letters = question.tokens[0].tolist()
        assert [place for place, letter in enumerate(letters[:-1]) if letter == letters[-1]] == [question.match]
        assert letters[question.answer] == question.target
        assert question.answer < len(letters) - 1
    assert len({question.tokens.shape[1] for question in questions}) > 5


def test_a_ranking_is_right_in_so_far_as_its_two_highest_are_the_answer_and_its_match(model):
    question = miss.Question(torch.tensor([[5, 7, 9, 2, 4, 7]]), match=1)
    case = replace(a_case(model), question=question)
    for scores, expected in [
        ([0, 3, 2, 1, 0, 9], (True, True)),
        ([0, 0, 2, 1, 0, 9], (True, False)),
        ([4, 3, 0, 1, 0, 9], (False, True)),
        ([4, 0, 0, 1, 0, 9], (False, False)),
    ]:
        found = miss.find(case, lambda _, scores=scores: np.array(scores))
        assert found == expected and found.precision == sum(expected) / 2


@pytest.fixture(scope="module")
def found(model):
    """The live version of the lesson: some questions in seconds."""
    return miss.rank_all(model, 12)


@pytest.mark.slow
def test_interventions_find_the_truth_and_a_look_at_the_last_layer_misses_half(found):
    assert {len(each) for each in found.values()} == {12}
    precision = {name: row["precision"] for name, row in miss.summary(found).items()}
    assert precision["swapping a letter"] > 0.95
    assert precision["swapping a letter"] > precision["attention, last layer"] + 0.2
    assert precision["rollout"] > precision["attention, last layer"]
    answers = {name: row["answer"] for name, row in miss.summary(found).items()}
    assert answers["attention, induction head"] > 0.95


def test_gradients_and_interventions_are_what_their_definitions_say(model):
    case = a_case(model)
    tokens, target = case.question.tokens, case.question.target
    embedding = model.token_embedding.weight.detach()

    def says(embedded):
        with miss.edit_activations(model, {miss.Site("stream", 0): lambda _: embedded}):
            return model(tokens).logits[0, -1].log_softmax(-1)[target]

    plain = embedding[tokens].clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(says(plain), plain)
    expected = (gradient * plain).sum(-1)[0].abs().detach()
    np.testing.assert_allclose(miss.gradient_times_input(case), expected, rtol=1e-3, atol=1e-5)
    place = case.question.answer
    erased = embedding[tokens].clone()
    erased[0, place] = embedding[1:].mean(0)
    assert miss.erasing(case)[place] == pytest.approx(-says(erased).item(), rel=1e-4)
    swapped = tokens.clone()
    swapped[0, place] = induction.unused_letter(tokens)[0]
    assert swapped[0, place] not in tokens
    assert miss.swapping(case)[place] == pytest.approx(-says(embedding[swapped]).item(), rel=1e-4)


def a_case(model):
    question = miss.draw_questions(1)[0]
    text = induction.letters().decode(question.tokens[0].tolist())
    view = miss.reader_for(model, induction.letters()).read(text).views["self"]
    return miss.Case(model, question, view, induction.find_circuit(induction.score(model)))


def test_the_models_own_weights_give_its_own_answers(model):
    frozen = miss.frozen_questions(model, 5)
    for heads in ([0], [1], [0, 1]):
        answers = miss.answer_with(model, frozen, heads, frozen.weights[:, heads])
        torch.testing.assert_close(answers, frozen.answers, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(frozen.weights.sum(-1), torch.ones(5, 2))


def test_distances_between_distributions():
    p, q, r = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.5])
    assert miss.variation(p, q) == 1 and miss.variation(p, r) == 0.5 and miss.variation(p, p) == 0
    assert miss.divergence(p, q).item() == pytest.approx(math.log(2))
    assert miss.divergence(p, p).item() == pytest.approx(0, abs=1e-6)
    expected = 0.5 * math.log(1 / 0.75) + 0.5 * (0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25))
    assert miss.divergence(p, r).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_an_adversary_stays_within_what_is_allowed_and_leaves_the_model_alone(model):
    frozen = miss.frozen_questions(model, 5)
    weights = [parameter.clone() for parameter in model.parameters()]
    apart = miss.adversarial(model, frozen, [0, 1], steps=40)
    assert apart.shape == (5,) and (apart >= 0).all() and (apart <= math.log(2) + 1e-6).all()
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert miss.permuted(model, frozen, [0], draws=3).shape == (5,)


def test_a_layer_that_may_not_choose_looks_everywhere_evenly_and_goes_on_doing_so():
    model = induction.make_model()
    miss.uniform_layer(model, 1)
    trained = induction.train(Plan(steps=3, batch_size=4), model=model)
    attentions = trained(torch.arange(1, 9)[None], return_attentions=True).attentions
    for query in range(8):
        torch.testing.assert_close(attentions[1][0, :, query, : query + 1], torch.full((2, query + 1), 1 / (query + 1)))
    assert attentions[0][0, 0, 5, :6].std() > 0


@pytest.mark.slow
def test_an_imitator_answers_the_same_and_looks_elsewhere_in_so_far_as_it_is_told_to(model):
    weights = [parameter.clone() for parameter in model.parameters()]
    same = miss.imitated(model, 0.0, steps=3)
    assert same["variation"] < 0.05 and same["divergence"] < 0.05 and same["accuracy"] > 0.95
    other = miss.imitated(model, 20.0, steps=12)
    assert other["divergence"] > same["divergence"]
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_intervals_hold_the_mean_and_narrow_with_more_values():
    values = [0.0, 1.0] * 20
    low, high = miss.interval(values)
    assert 0.3 < low < 0.5 < high < 0.7
    wider = miss.interval(values[:8])
    assert wider[1] - wider[0] > high - low


@pytest.mark.slow
def test_the_stored_run_is_repeated_by_its_command_on_fewer_questions(model, found):
    stored, again = miss.stored_runs(), miss.summary(found)
    assert again.keys() == stored["rankings"].keys()
    for name, row in stored["rankings"].items():
        assert row["interval"][0] <= row["precision"] <= row["interval"][1]
        assert again[name]["precision"] == pytest.approx(row["precision"], abs=0.2), name
    assert stored["chance"] == pytest.approx(miss.by_chance(stored["questions"]), abs=1e-4)
    assert stored["circuit"] == [list(head) for head in induction.find_circuit(induction.score(model))]
    assert stored["other weights"].keys() == {"1.0", "1.1", "1.0 + 1.1"}
    assert len(stored["imitated"]) >= 3 and stored["imitated as a control"]["divergence"] < 0.05
    assert stored["uniform"].keys() == {"layer 0", "layer 1"}
    for layer, runs in stored["uniform"].items():
        assert len(runs) >= 3 and all(run["accuracy"] < 0.5 for run in runs), layer
