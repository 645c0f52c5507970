"""The models that come with the course are what their records say, and the command that makes them works."""

import dataclasses
import hashlib
import json
import os

import pytest
import torch

from course_lib.experiments import shipped_models as shipped
from course_lib.generation import complete, generate
from course_lib.hub import folder as hub_folder
from course_lib.hub import load_model
from course_lib.text import load_corpus
from course_lib.text.bundled import data_folder
from course_lib.text.tiny_world import NotAStory, char_log_probabilities
from course_lib.training import TrainConfig

MODELS = data_folder() / "models"
THERE = [name for name in shipped.RECIPES if (MODELS / name).exists()]
COURSE_FULL = os.environ.get("COURSE_FULL") == "1"


def record_of(name: str) -> dict:
    return json.loads((MODELS / name / shipped.RECORD).read_text("utf-8"))


def test_the_story_and_the_code_model_are_there():
    assert {"story_gpt", "code_gpt"} <= set(THERE)


@pytest.mark.parametrize("name", THERE)
class TestShipped:
    @pytest.mark.slow
    def test_reproduces_its_recorded_loss(self, name):
        recorded = record_of(name)["validation" if COURSE_FULL else "first_documents"]
        measured = shipped.measure(name, None if COURSE_FULL else shipped.FEW)
        assert measured == pytest.approx(recorded, rel=1e-3)

    def test_is_small_and_holds_weights_that_are_numbers(self, name):
        assert sum(path.stat().st_size for path in (MODELS / name).glob("*")) <= 6_000_000
        model, _ = load_model(name)
        assert all(parameter.isfinite().all() for parameter in model.parameters())
        assert model.count_parameters() == record_of(name)["parameters"]

    def test_was_made_by_the_recipe_that_stands_in_the_code(self, name):
        recorded, recipe = record_of(name)["recipe"], shipped.RECIPES[name]
        # A setting that did not exist then has its default.
        assert TrainConfig(**recorded.pop("training")) == recipe.training
        now = json.loads(json.dumps(dataclasses.asdict(recipe)))
        assert recorded == {key: value for key, value in now.items() if key != "training"}
        assert load_model(name)[0].config.d_model == recipe.model["d_model"]

    def test_the_card_says_what_the_record_says(self, name):
        assert (MODELS / name / shipped.CARD).read_text("utf-8") == shipped.model_card(name, record_of(name))

    def test_every_file_is_in_the_manifest(self, name):
        entries = json.loads((data_folder() / "manifest.json").read_text("utf-8"))["files"]
        for path in (MODELS / name).rglob("*"):
            if path.is_file():
                entry = entries[path.relative_to(data_folder()).as_posix()]
                assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_story_model_is_within_two_percent_of_the_floor():
    measured = json.loads((MODELS / "story_gpt" / shipped.RECORD).read_text("utf-8"))["validation"]
    assert 1 < measured["loss"] / measured["floor"] <= 1.02


def test_the_story_model_tells_stories_that_its_world_allows():
    model, tokenizer = load_model("story_gpt")
    start = torch.full((20, 1), tokenizer.end_id)
    drawn = generate(
        model, start, 100, temperature=0.7, stop_id=tokenizer.end_id, generator=torch.Generator().manual_seed(0)
    )
    stories = [tokenizer.decode(row[1:].tolist()).partition("<|end|>")[0] for row in drawn]
    possible = sum(allowed(story) for story in stories)
    assert possible >= 8, stories  # one slip anywhere in some sixty words makes a story impossible


def allowed(story: str) -> bool:
    try:
        char_log_probabilities(story)
    except NotAStory:
        return False
    return True


@pytest.mark.parametrize(
    ("prompt", "likely"),
    [
        ("import os\nimport", " sys\n"),
        ("if __name__ ==", " '__main__':"),
        ("def f(self, x):\n    if x is not", " None:\n"),
        ("try:\n    import json\nexcept", " ImportError:\n"),
        ('with open(path, "r") as', " f:\n"),
    ],
)
def test_the_code_model_completes_simple_statements(prompt, likely):
    model, tokenizer = load_model("code_gpt")
    assert complete(model, tokenizer, prompt, 8, temperature=0.0).startswith(likely)


class TestCommand:
    """The whole way at a size that takes seconds."""

    @pytest.fixture
    def tiny(self, tmp_path, monkeypatch):
        (tmp_path / "manifest.json").write_text('{"files": {"other": {}}}')
        monkeypatch.setattr(shipped, "data_folder", lambda: tmp_path)
        monkeypatch.setattr(hub_folder, "data_folder", lambda: tmp_path)
        recipe = shipped.RECIPES["story_gpt_small"]
        training = dataclasses.replace(recipe.training, steps=6, batch_size=4, evaluate_every=6, compile=False)
        small = dataclasses.replace(
            recipe,
            fresh_stories=24,
            validation_documents=12,
            vocab_size=300,
            model={**recipe.model, "d_model": 16, "n_layers": 1, "context_length": 256},
            training=dataclasses.replace(training, precision="float32", save_every=2),
            snapshots=(2, 4),
        )
        monkeypatch.setitem(shipped.RECIPES, "story_gpt_small", small)
        return tmp_path

    @pytest.mark.slow
    def test_trains_writes_and_records(self, tiny):
        folder = shipped.train("story_gpt_small", tiny / "runs", say=lambda line: None)
        assert sorted(path.name for path in (folder / "training").iterdir()) == ["step_00002", "step_00004"]
        model, _ = load_model(folder / "training" / "step_00004")
        assert model.config.d_model == 16
        record = json.loads((folder / shipped.RECORD).read_text("utf-8"))
        assert record["curve"][-1][1] == pytest.approx(record["validation"]["loss"], abs=0.01)
        assert record["validation"]["floor"] < 1.5 < record["validation"]["loss"]
        assert "misses the floor by" in (folder / shipped.CARD).read_text("utf-8")
        manifest = json.loads((tiny / "manifest.json").read_text("utf-8"))["files"]
        assert {"other", "models/story_gpt_small/model.safetensors"} <= set(manifest)

    @pytest.mark.slow
    def test_a_stopped_run_ships_nothing_and_goes_on(self, tiny, monkeypatch):
        whole = shipped.train("story_gpt_small", tiny / "whole", say=lambda line: None)
        expected = (whole / "model.safetensors").read_bytes()
        (whole / "model.safetensors").unlink()

        class Stopped(shipped.Trainer):
            def __init__(self, *arguments, callbacks, **settings):
                super().__init__(*arguments, callbacks=[*callbacks, self.after_three], **settings)

            def after_three(self, record):
                if record.step == 3:
                    self.stop()

        with monkeypatch.context() as patch:
            patch.setattr(shipped, "Trainer", Stopped)
            with pytest.raises(SystemExit, match="same command goes on"):
                shipped.train("story_gpt_small", tiny / "runs", say=lambda line: None)
        assert not (whole / "model.safetensors").exists()
        shipped.train("story_gpt_small", tiny / "runs", say=lambda line: None)
        assert (whole / "model.safetensors").read_bytes() == expected


def test_fresh_stories_are_none_of_the_held_out_ones():
    corpus = load_corpus("tiny_world")
    told = list(shipped.tell_fresh(50, corpus))
    assert told == list(shipped.tell_fresh(50, corpus)) != list(shipped.tell_fresh(50, corpus, seed=1))
    again = dataclasses.replace(corpus, validation=[told[7]], test=[told[30] + "x"])
    without = list(shipped.tell_fresh(50, again))
    assert told[7] not in without
    assert told[30] not in without
    assert without[:7] == told[:7]
