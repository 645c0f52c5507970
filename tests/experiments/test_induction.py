"""The planted task is what it says; the model that ships has the mechanism, its record, and its history."""

import hashlib
import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from course_lib.experiments import induction, shipped_models
from course_lib.experiments.induction import Plan, draw_repeats, held_out, score
from course_lib.hub import folder as hub_folder
from course_lib.hub import load_model
from course_lib.interpret import head_scores, reader_for
from course_lib.text.bundled import data_folder

FOLDER = data_folder() / "models" / induction.NAME


@pytest.fixture(scope="module")
def model():
    return load_model(induction.NAME)[0]


@pytest.fixture(scope="module")
def record():
    return json.loads((FOLDER / induction.RECORD).read_text("utf-8"))


# --- the task ---


def generator():
    return torch.Generator().manual_seed(0)


def test_from_the_second_telling_on_every_letter_was_there_one_period_before():
    repeats = draw_repeats(200, generator())
    for tokens, start, period, known in zip(*repeats, induction.determined(repeats), strict=True):
        assert len(set(tokens[: start + period].tolist())) == start + period
        assert tokens.min() >= 1 and tokens.max() <= 52
        assert torch.equal(tokens[start + period :], tokens[start:-period])
        assert known.nonzero()[[0, -1], 0].tolist() == [start + period, len(tokens) - 2]
    assert (repeats.start.min(), repeats.start.max()) == induction.STARTS
    assert (repeats.period.min(), repeats.period.max()) == induction.PERIODS


def test_sources_are_where_the_answer_stands():
    repeats = draw_repeats(50, generator())
    row, query, key = (induction.sources(repeats) & induction.determined(repeats)[:, :, None]).nonzero(as_tuple=True)
    assert torch.equal(repeats.tokens[row, key], repeats.tokens[row, query + 1])
    assert len(row) >= induction.determined(repeats).sum()


def test_an_ambiguous_stretch_has_one_letter_twice_with_two_followers():
    repeats = draw_repeats(100, generator(), "ambiguous")
    for tokens, start, period in zip(*repeats, strict=True):
        stretch = tokens[start : start + period].tolist()
        (twice,) = {letter for letter in stretch if stretch.count(letter) == 2}
        assert len(set(stretch)) == period - 1
        followers = {stretch[(place + 1) % period] for place, letter in enumerate(stretch) if letter == twice}
        assert len(followers) == 2
        assert torch.equal(tokens[start + period :], tokens[start:-period])


def test_a_shuffled_stretch_has_the_same_letters_in_another_order():
    repeats = draw_repeats(100, generator(), "shuffled")
    same = 0
    for tokens, start, period in zip(*repeats, strict=True):
        first, second = tokens[start : start + period], tokens[start + period : start + 2 * period]
        assert len(set(first.tolist())) == period
        assert set(second.tolist()) <= set(first.tolist()) and len(set(second.tolist())) == len(second)
        same += torch.equal(first[: len(second)], second)
    assert same == 0


def test_tasks_that_cannot_be_drawn():
    with pytest.raises(ValueError, match="no kind 'reversed': choose one of 'repeated'"):
        draw_repeats(2, generator(), "reversed")
    with pytest.raises(ValueError, match="20 \\+ 40 letters cannot all differ: there are 52"):
        draw_repeats(2, generator(), starts=(0, 20), periods=(8, 40))


# --- scores ---


def test_scores_are_those_of_head_scores(model):
    repeats = held_out(1)
    text = induction.letters().decode(repeats.tokens[0].tolist())
    expected = head_scores(reader_for(model, induction.letters()).read(text).views["self"])
    found = score(model, repeats)
    for ours, theirs in [
        ("previous", "previous"),
        ("induction", "induction"),
        ("duplicate", "duplicate"),
        ("sink", "first"),
    ]:
        np.testing.assert_allclose(getattr(found, ours), getattr(expected, theirs), atol=1e-5)


def test_losses_are_told_apart_by_what_can_be_known(model):
    repeats = held_out(1, starts=(4, 4), periods=(12, 12))
    with torch.no_grad():
        log_p = model(repeats.tokens).logits[0].log_softmax(-1)
    costs = [-log_p[t, repeats.tokens[0, t + 1]].item() for t in range(47)]
    found = score(model, repeats)
    assert found.first == pytest.approx(np.mean(costs[:16]), rel=1e-4)
    assert found.second == pytest.approx(np.mean(costs[16:]), rel=1e-3, abs=1e-5)


# --- the model that ships ---


@pytest.mark.slow
def test_it_does_what_its_record_says(model, record):
    steps = induction.snapshots()
    assert list(map(str, steps)) == list(record["snapshots"])
    for step, snapshot in steps.items():
        again = induction.rounded(score(snapshot))
        for name, recorded in record["snapshots"][str(step)].items():
            np.testing.assert_allclose(again[name], recorded, atol=2e-3, err_msg=f"{name} at step {step}")
    last = steps[record["plan"]["steps"]]
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), last.state_dict().values(), strict=True))


@pytest.mark.slow
def test_its_mechanism_is_what_its_record_says(model, record):
    again = json.loads(json.dumps(induction.take_apart(model)))
    assert again.keys() <= record.keys()
    assert again["circuit"] == record["circuit"]
    for name in ("patched", "paths"):
        for part, values in again[name].items():
            np.testing.assert_allclose(values, record[name][part], atol=2e-3)
    for by, heads in again["off"].items():
        for head, scores in heads.items():
            assert scores["accuracy"] == pytest.approx(record["off"][by][head]["accuracy"], abs=2e-3)


def test_the_mechanism_is_an_induction_circuit(model, record):
    scores = score(model)
    (_, _, previous), (_, _, copies) = record["circuit"]
    assert scores.accuracy > 0.99 and scores.second < 0.1
    assert scores.previous[0, previous] > 0.5 and scores.induction[1, copies] > 0.8
    for by in ("zero", "mean"):  # the second head lives on what the first one says
        without = record["off"][by][f"0.{previous}"]
        assert without["induction"][1][copies] < 0.25 * scores.induction[1, copies]
        assert without["accuracy"] < 0.3
        other = record["off"][by][f"0.{1 - previous}"]
        assert other["accuracy"] > 0.95 and other["induction"][1][copies] > 0.8
    assert record["paths"][f"0.{previous}"] > 0.8 and abs(record["paths"][f"0.{1 - previous}"]) < 0.1
    pair = induction.make_pair()
    stream = np.array(record["patched"]["stream"])
    ways = [pair.changed, pair.changed + 1, stream.shape[1] - 1]
    assert stream.argmax(axis=1).tolist() == ways  # the letter, the one behind it, the one that asks
    assert (stream[range(3), ways] > 0.8).all()


def test_what_one_letter_cannot_tell_the_model_does_not_know(record):
    kinds = record["kinds"]
    assert kinds["repeated"]["second"] < 0.1 < kinds["ambiguous"]["second"] < 1 < kinds["shuffled"]["second"]
    assert kinds["shuffled"]["accuracy"] < 0.2


def test_it_is_small_whole_and_in_the_manifest(model, record):
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 2_500_000
    entries = json.loads((data_folder() / "manifest.json").read_text("utf-8"))["files"]
    for path in files:
        entry = entries[path.relative_to(data_folder()).as_posix()]
        assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert entry["made_by"] == record["command"]
    assert record["parameters"] == model.count_parameters()
    assert record["plan"] == json.loads(json.dumps(asdict(induction.SHIPPED)))
    assert (FOLDER / induction.CARD).read_text("utf-8") == induction.model_card(record)


# --- many seeds ---


def test_in_every_run_of_two_layers_the_circuit_forms_and_in_none_of_one():
    stored = induction.stored_runs()
    last = str(stored["steps"])
    assert len(stored["2 layers"]) == len(induction.SEEDS) >= 3
    for run in stored["2 layers"]:
        (_, _, previous), (_, _, copies) = run["circuit"]
        assert run["curve"][last]["accuracy"] > 0.98
        assert 0 < induction.phase_change(run["curve"]) < stored["steps"]
        assert run["off"]["zero"][f"0.{previous}"]["induction"][1][copies] < 0.4
    for run in stored["1 layers"]:
        assert run["curve"][last]["accuracy"] < 0.3
        assert induction.phase_change(run["curve"]) == -1


# --- the commands, at a size that takes seconds ---


def test_training_repeats_itself_and_seeds_differ():
    small = Plan(steps=3, batch_size=4)
    seen = []
    one, again = (induction.train(small, lambda step, model: seen.append(step)) for _ in range(2))
    assert seen == [0, 1, 2, 3] * 2
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))
    other = induction.train(Plan(steps=3, batch_size=4, seed=1))
    assert not torch.equal(one.unembedding.weight, other.unembedding.weight)


@pytest.mark.slow
def test_a_model_is_shipped_with_snapshots_record_and_card(tmp_path, monkeypatch):
    (tmp_path / "manifest.json").write_text('{"files": {"other": {}}}')
    for module in (induction, shipped_models, hub_folder):
        monkeypatch.setattr(module, "data_folder", lambda: tmp_path)
    folder = induction.ship(Plan(steps=4, batch_size=4, snapshots=(0, 2, 4)))
    assert list(induction.snapshots()) == [0, 2, 4]
    assert "| 4 |" in (folder / induction.CARD).read_text("utf-8")
    manifest = json.loads((tmp_path / "manifest.json").read_text("utf-8"))["files"]
    assert {"other", f"models/induction/{induction.SNAPSHOTS.as_posix()}"} <= set(manifest)
    (folder / induction.SNAPSHOTS).unlink()
    with pytest.raises(FileNotFoundError, match="induction ship` makes it"):
        induction.snapshots()


@pytest.mark.slow
def test_measuring_many_runs_says_what_it_found():
    said = []
    found = induction.run_all(said.append, seeds=(0,), steps=4, every=2)
    assert [len(said), list(found["2 layers"][0]["curve"])] == [2, ["0", "2", "4"]]
    assert "circuit" in found["2 layers"][0] and "circuit" not in found["1 layers"][0]
    assert induction.phase_change({"0": {"accuracy": 0.1}, "50": {"accuracy": 0.6}, "100": {"accuracy": 0.4}}) == 50
