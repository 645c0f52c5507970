"""The translator that comes with the course is what its record says."""

import dataclasses
import hashlib
import json
import os

import pytest
import torch

from course_lib.experiments import shipped_models, translator
from course_lib.generation import translate
from course_lib.hub import load_model, to_huggingface
from course_lib.text import load_task
from course_lib.text.bundled import data_folder

FOLDER = data_folder() / "models" / translator.NAME
COURSE_FULL = os.environ.get("COURSE_FULL") == "1"


@pytest.fixture(scope="module")
def record() -> dict:
    return json.loads((FOLDER / shipped_models.RECORD).read_text("utf-8"))


class TestShipped:
    @pytest.mark.slow
    def test_reproduces_its_recorded_scores(self, record):
        recorded = record["scores" if COURSE_FULL else "first_sentences"]
        measured = translator.measure(n_sentences=None if COURSE_FULL else translator.FEW)
        for split in translator.MEASURED:
            assert measured[split] == pytest.approx(recorded[split], abs=0.5 if COURSE_FULL else 1e-3)

    def test_is_as_good_as_the_course_says(self, record):
        assert record["scores"]["validation"]["bleu"] >= 95
        assert record["scores"]["test"]["bleu"] >= 95
        assert record["scores"]["combinations"]["bleu"] >= 80

    def test_is_small_and_holds_weights_that_are_numbers(self, record):
        assert sum(path.stat().st_size for path in FOLDER.glob("*")) <= 6_000_000
        model, _ = load_model(translator.NAME)
        assert all(parameter.isfinite().all() for parameter in model.parameters())
        assert model.count_parameters() == record["parameters"]

    def test_was_made_by_the_recipe_that_stands_in_the_code(self, record):
        recipe = json.loads(json.dumps(dataclasses.asdict(translator.RECIPE)))
        assert record["recipe"]["model"] == recipe["model"]
        assert record["recipe"]["vocab_size"] == recipe["vocab_size"]
        assert record["recipe"]["training"].items() <= recipe["training"].items()

    def test_the_card_says_what_the_record_says(self, record):
        assert (FOLDER / shipped_models.CARD).read_text("utf-8") == translator.model_card(record)

    def test_every_file_is_in_the_manifest(self):
        entries = json.loads((data_folder() / "manifest.json").read_text("utf-8"))["files"]
        for path in FOLDER.rglob("*"):
            entry = entries[path.relative_to(data_folder()).as_posix()]
            assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()

    @pytest.mark.slow
    def test_words_that_never_met_are_put_together(self):
        model, tokenizer = load_model(translator.NAME)
        rows = list(load_task("translation")["combinations"])[:8]
        found = translate(model, tokenizer, [row["en"] for row in rows], beams=3)
        assert sum(one == row["zh"] for one, row in zip(found, rows, strict=True)) >= 5

    def test_other_tools_take_it_as_a_t5(self):
        model, tokenizer = load_model(translator.NAME)
        theirs = to_huggingface(model, tokenizer)
        source = torch.tensor([[*tokenizer.encode("Mia has two eggs."), tokenizer.end_id]])
        written = theirs.generate(source, max_new_tokens=20, do_sample=False, eos_token_id=tokenizer.end_id)[0, 1:]
        expected = translate(model, tokenizer, "Mia has two eggs.")
        assert tokenizer.decode([i for i in written.tolist() if i != tokenizer.end_id]).replace(" ", "") == expected
