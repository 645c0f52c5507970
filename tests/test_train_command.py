"""`course train` as a user meets it: a corpus goes in, a model comes out, stopped and resumed on the way."""

import os
import subprocess
import sys

import pytest
import torch

from course_lib.cli import main
from course_lib.hub import load_model
from course_lib.training.checkpoint import Checkpoints

SMALL = ["--size", "nano", "--context", "16", "--batch-size", "4", "--evaluate-every", "3", "--precision", "float32"]
SMALL += ["--device", "cpu", "--validation", "5", "--no-samples"]


@pytest.fixture
def corpus(tmp_path):
    """A folder of short texts."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.txt").write_text(f"{number} and {number + 1} make {2 * number + 1}.")
    return folder


def train(out, *arguments) -> int:
    return main(["train", "--out", str(out), *map(str, arguments)])


def losses(out) -> list[float]:
    """The loss of each step, in double precision."""
    return Checkpoints(out / "checkpoints").newest()["history"][:, 3].tolist()


def weights(out) -> torch.Tensor:
    return torch.cat([p.flatten() for p in load_model(out / "model")[0].parameters()])


class TestTrain:
    @pytest.mark.slow
    @pytest.mark.parametrize("tokenizer", ["char", "bpe"])
    def test_a_corpus_goes_in_and_a_model_comes_out(self, corpus, tmp_path, tokenizer, capsys):
        out = tmp_path / "run"
        vocabulary = ["--vocab-size", 300] if tokenizer == "bpe" else []
        assert train(out, "--corpus", corpus, "--tokenizer", tokenizer, *vocabulary, "--steps", 6, *SMALL) == 0
        said = capsys.readouterr().out
        assert "for 6 steps" in said
        assert "Memory at the worst moment: about" in said
        model, found = load_model(out / "model")
        assert model.config.vocab_size == found.vocab_size
        assert found.decode(found.encode("3 and 4 make 7.")) == "3 and 4 make 7."
        assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")

    @pytest.mark.slow
    def test_stopped_and_resumed_it_ends_with_the_same_weights(self, corpus, tmp_path, monkeypatch):
        whole, parts = tmp_path / "whole", tmp_path / "parts"
        train(whole, "--corpus", corpus, "--steps", 8, "--dropout", 0.1, *SMALL)

        from course_lib.training import Trainer

        step = Trainer._step
        monkeypatch.setattr(Trainer, "_step", lambda run, n: (run.stop() if n == 4 else None, step(run, n))[1])
        train(parts, "--corpus", corpus, "--steps", 8, "--dropout", 0.1, *SMALL)
        assert len(losses(parts)) == 5
        monkeypatch.setattr(Trainer, "_step", step)
        assert train(parts, "--resume") == 0
        assert losses(parts) == losses(whole)
        assert torch.equal(weights(parts), weights(whole))

    @pytest.mark.slow
    def test_a_corpus_larger_than_memory_is_read_from_the_disk_and_resumed(self, corpus, tmp_path, monkeypatch):
        whole, parts = tmp_path / "whole", tmp_path / "parts"
        options = ["--corpus", corpus, "--stream", "--steps", 7, *SMALL]
        assert train(whole, *options) == 0
        assert list((whole / "shards").glob("*.bin"))

        from course_lib.training import Trainer

        step = Trainer._step
        monkeypatch.setattr(Trainer, "_step", lambda run, n: (run.stop() if n == 3 else None, step(run, n))[1])
        train(parts, *options)
        monkeypatch.setattr(Trainer, "_step", step)
        assert train(parts, "--resume") == 0
        assert torch.equal(weights(parts), weights(whole))

    @pytest.mark.slow
    def test_a_finished_run_can_be_made_longer(self, corpus, tmp_path, capsys):
        train(tmp_path / "run", "--corpus", corpus, "--steps", 3, *SMALL)
        assert train(tmp_path / "run", "--resume", "--steps", 5) == 0
        assert len(losses(tmp_path / "run")) == 5
        assert "planned for 3 steps and is now planned for 5" in capsys.readouterr().out

    @pytest.mark.slow
    def test_long_documents_are_cut_into_windows_and_samples_are_shown(self, tmp_path, capsys):
        text = tmp_path / "long.txt"
        text.write_text("\n".join(f"{n} and {n} make {2 * n}." for n in range(400)))
        options = [option for option in SMALL if option != "--no-samples"]
        assert train(tmp_path / "run", "--corpus", text, "--steps", 3, "--tensorboard", *options) == 0
        assert "step 3: validation loss" in capsys.readouterr().out
        assert list((tmp_path / "run" / "tensorboard").iterdir())

    @pytest.mark.slow
    def test_tiny_world_has_its_floor(self, tmp_path, capsys):
        assert train(tmp_path / "run", "--steps", 1, *SMALL, "--context", 128) == 0
        assert "Floor: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--corpus", "tiny_word"], "There is no corpus 'tiny_word'. Did you mean 'tiny_world'?"),
        (["--size", "huge"], "There is no size 'huge': choose one of nano, micro"),
        (["--tokenizer", "words"], "There is no tokenizer 'words': choose char, bpe, or the path"),
        (["--steps", "0"], "steps must be at least 1, but it is 0"),
        (["--device", "gpu"], "There is no device 'gpu'"),
        (["--resume"], "to resume: settings.json is missing"),
        (["--prompt", "€"], "The character '€'"),
        (["--prompt", "1 and 1", "--context", "8"], "The prompt is 8 tokens long, and the context is 8"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path, corpus, arguments, message, capsys):
    corpora = [] if "--corpus" in arguments else ["--corpus", corpus]
    assert train(tmp_path / "run", *corpora, "--steps", 2, *arguments) == 2
    assert message in capsys.readouterr().err


class TestBadInput:
    def test_an_empty_and_a_short_corpus(self, tmp_path, capsys):
        empty, short = tmp_path / "empty.txt", tmp_path / "short.txt"
        empty.write_text("")
        short.write_text("a")
        assert train(tmp_path / "a", "--corpus", empty, *SMALL) == 2
        assert "is empty" in capsys.readouterr().err
        assert train(tmp_path / "b", "--corpus", short, *SMALL) == 2
        assert "too short" in capsys.readouterr().err

    @pytest.mark.slow
    def test_a_folder_that_is_taken_or_was_begun_otherwise(self, corpus, tmp_path, capsys):
        train(tmp_path / "run", "--corpus", corpus, "--steps", 2, *SMALL)
        before = losses(tmp_path / "run")
        assert train(tmp_path / "run", "--corpus", corpus, "--steps", 2, *SMALL) == 2
        assert "holds a run already. Continue it with --resume" in capsys.readouterr().err
        assert train(tmp_path / "run", "--resume", "--size", "micro") == 2
        assert "begun otherwise: size was nano and is micro" in capsys.readouterr().err
        assert losses(tmp_path / "run") == before

    def test_a_folder_that_cannot_be_made(self, corpus, tmp_path, capsys):
        (tmp_path / "file").touch()
        assert train(tmp_path / "file" / "run", "--corpus", corpus, *SMALL) == 2
        assert "course: " in capsys.readouterr().err

    @pytest.mark.slow
    def test_damaged_settings(self, corpus, tmp_path, capsys):
        train(tmp_path / "run", "--corpus", corpus, "--steps", 2, *SMALL)
        (tmp_path / "run" / "settings.json").write_text("{")
        assert train(tmp_path / "run", "--resume") == 2
        assert "settings.json is damaged" in capsys.readouterr().err


@pytest.mark.alone
def test_torchrun_runs_the_same_command(corpus, tmp_path):
    arguments = ["--corpus", str(corpus), "--steps", "4", "--optimizer", "adamw", *SMALL]
    assert train(tmp_path / "one", *arguments) == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "course_lib.cli", "train", "--out", str(tmp_path / "two"), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("The model is in") == 1, "one of them speaks"
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
    torch.testing.assert_close(weights(tmp_path / "two"), weights(tmp_path / "one"), atol=2e-5, rtol=1e-4)
