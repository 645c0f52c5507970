import json
import os
from itertools import islice

import pytest
import torch

from course_lib.experiments import pretraining
from course_lib.hub import load_model
from course_lib.models.gpt import IGNORED
from course_lib.text.bundled import data_folder


@pytest.fixture(scope="module")
def setting(request):
    patch = pytest.MonkeyPatch()
    request.addfinalizer(patch.undo)
    patch.setattr(pretraining, "STORIES", 150)
    patch.setattr(pretraining, "VALIDATION_STORIES", 20)
    return pretraining.Setting()


def test_the_guises_show_what_they_say(setting):
    mask_id = setting.tokenizer.mask_id
    places = {}
    for guise, batches in setting.hidden.items():
        for tokens, targets in batches:
            chosen = targets != IGNORED
            places.setdefault(guise, []).append(chosen)
            same = (tokens == targets)[chosen].float().mean()
            if guise == "masked":
                assert bool((tokens[chosen] == mask_id).all())
            else:
                assert same == 1.0 if guise == "unchanged" else same < 0.1
            assert mask_id not in tokens[~chosen]
    for one, other in zip(places["masked"], places["unchanged"], strict=True):
        assert torch.equal(one, other)


def test_shares_are_those_of_the_rule(setting):
    rows = setting.rows("packed")
    for masked, random in pretraining.FATES.values():
        data = setting.masked(rows, (masked, random))
        seen, targets = [], []
        for batch in islice(data.shuffled(32, torch.Generator().manual_seed(0)), 24):
            chosen = batch.targets != IGNORED
            seen.append(batch.tokens[chosen])
            targets.append(batch.targets[chosen])
        seen, targets = torch.cat(seen), torch.cat(targets)
        assert (seen == setting.tokenizer.mask_id).float().mean().item() == pytest.approx(masked, abs=0.05)
        assert (seen == targets).float().mean().item() == pytest.approx(1 - masked - random, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pairs, NSP", "ALBERT", "few, static"])
def test_a_run_answers_shares_and_counts(setting, name):
    found = pretraining.one_run(setting, name, 0, steps=2)
    assert all(0 <= found[key] <= 1 for key in found if key != "parameters")
    assert ("pairs_right" in found) == (name == "pairs, NSP")


def test_what_is_stored_is_whole():
    stored = pretraining.stored_runs()
    assert stored["steps"] == pretraining.STEPS
    assert set(stored["runs"]) == set(pretraining.RUNS)
    assert all(len(runs) == len(pretraining.SEEDS) for runs in stored["runs"].values())
    shared, full = stored["runs"]["shared"][0], stored["runs"]["fates 80/10/10"][0]
    assert full["parameters"] - shared["parameters"] == 12 * 64**2 + 13 * 64


def test_the_suspect_is_right_alone_and_listens_to_its_company(setting):
    model = setting.model(0).eval()
    for parameter in model.parameters():
        parameter.data *= 4
    short, long = "max was at the [MASK].", "max was at the [MASK]. " + "he met ruby. " * 10
    suspect = pretraining.best_guesses
    alone = suspect(model, setting.tokenizer, [short])
    ids, _ = setting.tokenizer.encode_pair("max was at the")
    ids = [*ids[:-1], setting.tokenizer.mask_id, setting.tokenizer.encode(".")[0], setting.tokenizer.sep_id]
    right = model(torch.tensor([ids])).logits[0, ids.index(setting.tokenizer.mask_id)].argmax()
    assert alone == [[setting.tokenizer.tokens[right]]]
    assert [len(row) for row in suspect(model, setting.tokenizer, [short, long])] == [1, 1]


def test_the_lessons_model_does_what_its_record_says():
    record = json.loads((data_folder() / "models" / pretraining.NAME / "record.json").read_text("utf-8"))
    model, tokenizer = load_model(pretraining.NAME)
    assert model.count_parameters() == record["validation"]["parameters"]
    ids = [tokenizer.cls_id, *tokenizer.encode("He [MASK] a picture.", allow_special=True), tokenizer.sep_id]
    best = model(torch.tensor([ids])).logits[0, 2].argmax()
    assert tokenizer.tokens[best] == "drew"
    if os.environ.get("COURSE_FULL"):
        measured = pretraining.measure_model()
        assert all(measured[key] == pytest.approx(record["validation"][key], abs=0.005) for key in measured)
