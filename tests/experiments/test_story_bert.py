"""The story BERT is what its record says, and the command that makes it works."""

import dataclasses
import hashlib
import json
import os

import pytest

from course_lib.experiments import story_bert
from course_lib.experiments.shipped_models import CARD, FEW, RECORD
from course_lib.generation import fill_mask
from course_lib.hub import folder as hub_folder
from course_lib.hub import load_model
from course_lib.models.bert import BERTForPretraining
from course_lib.text.bundled import data_folder
from course_lib.training import TrainConfig

FOLDER = data_folder() / "models" / story_bert.NAME
THERE = [FOLDER] if FOLDER.exists() else []
COURSE_FULL = os.environ.get("COURSE_FULL") == "1"


@pytest.mark.parametrize("folder", THERE, ids=["story_bert"] * len(THERE))
class TestShipped:
    @pytest.fixture
    def record(self) -> dict:
        return json.loads((FOLDER / RECORD).read_text("utf-8"))

    def test_it_reproduces_its_recorded_scores(self, folder, record):
        measured = story_bert.measure(None if COURSE_FULL else FEW)
        assert measured == pytest.approx(record["validation" if COURSE_FULL else "first_documents"], rel=1e-3)

    def test_it_is_small_and_holds_weights_that_are_numbers(self, folder, record):
        assert sum(path.stat().st_size for path in folder.glob("*")) <= 6_000_000
        model, tokenizer = load_model(folder)
        assert isinstance(model, BERTForPretraining)
        assert all(parameter.isfinite().all() for parameter in model.parameters())
        assert (model.count_parameters(), tokenizer.vocab_size) == (record["parameters"], record["vocabulary"])

    def test_it_was_made_by_the_recipe_that_stands_in_the_code(self, folder, record):
        now = json.loads(json.dumps(dataclasses.asdict(story_bert.RECIPE)))
        assert TrainConfig(**record["recipe"]["training"]) == story_bert.RECIPE.training
        assert {**record["recipe"], "training": None} == {**now, "training": None}
        assert record["steps"] == story_bert.RECIPE.training.steps

    def test_the_card_and_the_manifest_say_what_the_record_says(self, folder, record):
        assert (folder / CARD).read_text("utf-8") == story_bert.model_card(record)
        entries = json.loads((data_folder() / "manifest.json").read_text("utf-8"))["files"]
        for path in folder.iterdir():
            entry = entries[path.relative_to(data_folder()).as_posix()]
            assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
            assert entry["made_by"] == story_bert.COMMAND

    def test_it_knows_its_world(self, folder):
        """After "to the" every place of the world and hardly anything else; the pronoun of the one who is spoken of."""
        model, tokenizer = load_model(folder)
        places = {"garden", "park", "kitchen", "bedroom", "library", "beach", "forest", "market", "farm", "school",
                  "museum", "station", "attic", "river", "zoo", "bakery"}  # fmt: skip
        (guesses,) = fill_mask(model, tokenizer, "One foggy afternoon, Jack went to the [MASK]. He found a kite.", 16)
        assert {guess.token for guess in guesses} == places
        assert sum(guess.probability for guess in guesses) > 0.95
        (guesses,) = fill_mask(
            model, tokenizer, "It was a cold day. Anna was in the park. Then [MASK] found a red kite."
        )
        chances = {guess.token: guess.probability for guess in guesses}
        assert chances.get("she", 0) > chances.get("he", 0)


@pytest.mark.slow
def test_the_command_at_a_size_that_takes_seconds(tmp_path, monkeypatch):
    (tmp_path / "manifest.json").write_text('{"files": {"other": {}}}')
    monkeypatch.setattr(story_bert, "data_folder", lambda: tmp_path)
    monkeypatch.setattr("course_lib.experiments.shipped_models.data_folder", lambda: tmp_path)
    monkeypatch.setattr(hub_folder, "data_folder", lambda: tmp_path)
    training = dataclasses.replace(
        story_bert.RECIPE.training, steps=4, batch_size=4, evaluate_every=2, save_every=2, precision="float32"
    )
    tiny = dataclasses.replace(
        story_bert.RECIPE,
        fresh_stories=20,
        vocab_size=400,
        model={"context_length": 64, "d_model": 16, "n_heads": 2, "n_layers": 1, "dropout": 0.0},
        training=training,
        validation_documents=6,
    )
    folder = story_bert.train(tmp_path / "runs", tiny, say=lambda line: None)
    record = json.loads((folder / RECORD).read_text("utf-8"))
    both = record["validation"]["masked_loss"], record["curve"][-1][1]
    assert 5 < both[0] < both[1] < both[0] + 1  # the curve is of both tasks
    assert "Masked tokens" in (folder / CARD).read_text("utf-8")
    manifest = json.loads((tmp_path / "manifest.json").read_text("utf-8"))["files"]
    assert {"other", "models/story_bert/model.safetensors"} <= set(manifest)
