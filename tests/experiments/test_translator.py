"""The command that makes the translator works, and its data are what the lesson says."""

import dataclasses
import itertools
import json
import re

import pytest

from course_lib.experiments import shipped_models, translator
from course_lib.hub import folder as hub_folder
from course_lib.text import load_task


def test_what_is_measured_was_not_seen_in_training():
    english = {split: [row["en"] for row in rows] for split, rows in load_task("translation").items()}
    for split in translator.MEASURED:
        assert not set(english["train"]) & set(english[split])

    def neighbours(text: str) -> set[tuple[str, str]]:
        return set(itertools.pairwise(re.findall("[a-z]+", text.lower())))

    words = {word for text in english["train"] for word in re.findall("[a-z]+", text.lower())}
    met = set().union(*map(neighbours, english["train"]))
    for text in english["combinations"]:
        new = [pair for pair in neighbours(text) - met if set(pair) <= words]
        assert new, f"{text!r} holds no two words that are known apart and never met"


class TestCommand:
    """The whole way at a size that takes seconds."""

    @pytest.mark.slow
    def test_trains_writes_and_records(self, tmp_path, monkeypatch):
        (tmp_path / "manifest.json").write_text('{"files": {"other": {}}}')
        monkeypatch.setattr(shipped_models, "data_folder", lambda: tmp_path)
        monkeypatch.setattr(translator, "data_folder", lambda: tmp_path)
        monkeypatch.setattr(hub_folder, "data_folder", lambda: tmp_path)
        small = dataclasses.replace(
            translator.RECIPE,
            model={**translator.RECIPE.model, "d_model": 16, "n_layers": 1},
            training=dataclasses.replace(translator.RECIPE.training, steps=4, batch_size=8, evaluate_every=4),
        )
        monkeypatch.setattr(translator, "MEASURED", ("test",))
        monkeypatch.setattr(translator, "FEW", 5)
        monkeypatch.setattr(translator, "load_task", lambda name: {k: list(v)[:40] for k, v in load_task(name).items()})
        said: list[str] = []
        folder = translator.train(tmp_path / "runs", recipe=small, say=said.append)
        assert folder == tmp_path / "models" / "translator"
        assert "validation" in said[-1]
        record = json.loads((folder / shipped_models.RECORD).read_text("utf-8"))
        assert record["steps"] == 4
        assert record["scores"]["test"]["bleu"] < 50
        assert "| test | " in (folder / shipped_models.CARD).read_text("utf-8")
        manifest = json.loads((tmp_path / "manifest.json").read_text("utf-8"))["files"]
        assert {"other", "models/translator/model.safetensors"} <= set(manifest)
        with pytest.raises(SystemExit, match="same command goes on"):
            longer = dataclasses.replace(small, training=dataclasses.replace(small.training, steps=6))
            monkeypatch.setattr(translator.Trainer, "_should_stop", lambda self: len(self.history) >= 5)
            translator.train(tmp_path / "runs", recipe=longer, say=said.append)

    def test_the_command_knows_it(self, monkeypatch, capsys, tmp_path):
        monkeypatch.setattr(translator, "train", lambda working_folder: tmp_path / "translator")
        monkeypatch.setattr("sys.argv", ["shipped_models", "translator"])
        shipped_models.main()
        assert str(tmp_path / "translator") in capsys.readouterr().out
