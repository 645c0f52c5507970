"""A run that was stopped, at any moment and in any way, ends with the weights of one that was not."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest
import torch

from course_lib.models.gpt import GPT, GPTConfig
from course_lib.training import CheckpointError, Documents, TrainConfig, Trainer, TrainingDiverged
from course_lib.training.batches import Batch
from course_lib.training.checkpoint import Checkpoints

COUNTING = [[1 + (start + i) % 7 for i in range(5 + start)] for start in range(7)]
STEPS = 12


class Drawn:
    """A source written by a learner: a plain generator, which cannot say where it is."""

    def __init__(self, documents: Documents):
        self.documents = documents

    def shuffled(self, batch_size, generator):
        for batch in self.documents.shuffled(batch_size, generator):
            yield Batch(*batch)

    def in_order(self, batch_size):
        return self.documents.in_order(batch_size)


def trainer(folder=None, *, source=Documents, documents=COUNTING, model=None, callbacks=(), **changes) -> Trainer:
    torch.manual_seed(3)
    settings = {"vocab_size": 8, "context_length": 12, "d_model": 16, "n_heads": 2, "n_layers": 1, "dropout": 0.2}
    gpt = GPT(GPTConfig(**settings | (model or {})))
    data = Documents(documents, 12, end_id=0)
    settings = {
        "steps": STEPS, "batch_size": 3, "optimizer": "muon", "warmup_steps": 3, "evaluate_every": 4, "save_every": 3,
        "device": "cpu", "precision": "float32",
    }  # fmt: skip
    train = data if source is Documents else source(data)
    return Trainer(gpt, train, data, TrainConfig(**settings | changes), callbacks=callbacks, folder=folder)


def stop_at(step: int):
    """A callback that presses the stop button."""

    def stop(record):
        if record.step == step:
            raise KeyboardInterrupt

    return stop


def weights(run: Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


@pytest.fixture(scope="module")
def unbroken() -> Trainer:
    run = trainer()
    run.fit(progress=False)
    return run


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are made with os.fork, which Windows does not have")
def test_a_run_that_is_killed_goes_on_to_the_same_weights(tmp_path):
    command = [sys.executable, "-m", "tests.training.killed_runs", str(tmp_path), "20"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    lines = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.splitlines()
    whole, *killed = map(json.loads, lines)
    assert len(killed) == 30
    assert all(case["statuses"][2] == 0 for case in killed)
    by_kill = [case["statuses"][0] == -signal.SIGKILL for case in killed]
    assert sum(by_kill) >= 28, "a run that ends before its moment comes proves nothing"
    assert any(name.startswith(".step") for case in killed for name in case["left"]), "some died inside a save"
    assert not any(case["hidden left at the end"] for case in killed)
    assert {case["outcome"] for case in killed} == {whole["outcome"]}


class TestResume:
    @pytest.mark.slow
    @pytest.mark.parametrize("source", [Documents, Drawn])
    @pytest.mark.parametrize("step", [1, 4, 7])
    def test_the_stop_button_saves_and_the_run_goes_on(self, tmp_path, unbroken, source, step, capsys):
        first = trainer(tmp_path, source=source, callbacks=[stop_at(step)])
        assert len(first.fit(progress=False)) == step
        assert f"Stopped after {step} of {STEPS} steps." in capsys.readouterr().out
        second = trainer(tmp_path, source=source)
        history = second.fit(progress=False, resume=True)
        assert torch.equal(weights(second), weights(unbroken))
        losses = [[r.train_loss for r in records] for records in (history, unbroken.history)]
        assert losses[0] == losses[1]
        assert [r.validation_loss for r in history] == [r.validation_loss for r in unbroken.history]

    def test_without_a_folder_it_goes_on_from_memory(self, unbroken):
        run = trainer(callbacks=[stop_at(5)])
        assert len(run.fit(progress=False)) == 5
        run.callbacks.clear()
        assert len(run.fit(progress=False, resume=True)) == STEPS
        assert torch.equal(weights(run), weights(unbroken))

    def test_a_finished_run_is_not_trained_further(self, tmp_path):
        trainer(tmp_path).fit(progress=False)
        again = trainer(tmp_path)
        assert len(again.fit(progress=False, resume=True)) == STEPS
        assert Checkpoints(tmp_path).steps()[-1] == STEPS

    def test_nothing_to_resume(self, tmp_path, unbroken, capsys):
        run = trainer(tmp_path)
        run.fit(progress=False, resume=True)
        assert "no checkpoint" in capsys.readouterr().out
        assert torch.equal(weights(run), weights(unbroken))
        with pytest.raises(ValueError, match="no run to resume"):
            trainer().fit(progress=False, resume=True)

    def test_a_longer_plan_is_followed_and_said(self, tmp_path, capsys):
        trainer(tmp_path).fit(progress=False)
        history = trainer(tmp_path, steps=STEPS + 4).fit(progress=False, resume=True)
        assert len(history) == STEPS + 4
        assert f"planned for {STEPS} steps and is now planned for {STEPS + 4}" in capsys.readouterr().out

    def test_an_earlier_run_is_not_overwritten(self, tmp_path):
        trainer(tmp_path).fit(progress=False)
        with pytest.raises(CheckpointError, match=r"holds a run already \(step 12\). Continue it with resume=True"):
            trainer(tmp_path).fit(progress=False)

    def test_the_seconds_go_on_counting(self, tmp_path):
        trainer(tmp_path, callbacks=[stop_at(6)]).fit(progress=False)
        seconds = [r.seconds for r in trainer(tmp_path).fit(progress=False, resume=True)]
        assert seconds == sorted(seconds)


class TestOtherRuns:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"model": {"d_model": 32}}, r"another model: 'token_embedding.weight' has the shape \(8, 16\) there, and"),
            ({"model": {"n_layers": 2}}, "another model: only yours has 'blocks.1"),
            ({"model": {"n_layers": 1, "positions": "rotary"}}, "only the checkpoint has 'positions"),
            ({"learning_rate": 1.0}, "another run: learning_rate was 0.003 and is 1.0"),
            ({"seed": 4, "batch_size": 2}, "batch_size was 3 and is 2; seed was 0 and is 4"),
            ({"documents": COUNTING[:-1]}, "the data had 63 and 63 targets and have 51 and 51"),
        ],
    )
    def test_are_told_apart_and_nothing_is_changed(self, tmp_path, changes, message):
        trainer(tmp_path, callbacks=[stop_at(2)]).fit(progress=False)
        other = trainer(tmp_path, **changes)
        before = weights(other).clone()
        with pytest.raises(CheckpointError, match=message):
            other.fit(progress=False, resume=True)
        assert torch.equal(weights(other), before)


class TestStopping:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_the_run_after_the_step(self, tmp_path, unbroken, number, capsys):
        def signal_at_five(record):
            if record.step == 5:
                signal.raise_signal(number)

        before = signal.getsignal(number)
        first = trainer(tmp_path, callbacks=[signal_at_five])
        if number == signal.SIGTERM:  # the program is to end, once the run is saved
            with pytest.raises(SystemExit, match="143"):
                first.fit(progress=False)
        else:
            first.fit(progress=False)
        assert len(first.history) == 5
        assert "Saved in" in capsys.readouterr().out
        assert signal.getsignal(number) is before
        run = trainer(tmp_path)
        run.fit(progress=False, resume=True)
        assert torch.equal(weights(run), weights(unbroken))

    def test_a_second_interrupt_breaks_off_and_loses_nothing(self, tmp_path, unbroken):
        def impatient(*_):
            if len(run.history) == 4:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)

        run = trainer(tmp_path)
        run.model.blocks[0].register_forward_hook(impatient)
        with pytest.raises(KeyboardInterrupt):
            run.fit(progress=False)
        again = trainer(tmp_path)
        again.fit(progress=False, resume=True)
        assert torch.equal(weights(again), weights(unbroken))

    def test_a_file_named_stop(self, tmp_path):
        def touch(record):
            if record.step == 3:
                (tmp_path / "stop").touch()

        assert len(trainer(tmp_path, callbacks=[touch]).fit(progress=False)) == 3
        assert not (tmp_path / "stop").exists()

    def test_it_trains_outside_the_main_thread_too(self, tmp_path):
        run = trainer(tmp_path)
        worker = threading.Thread(target=lambda: run.fit(progress=False))
        worker.start()
        worker.join()
        assert len(run.history) == STEPS


class TestPatience:
    def settings(self) -> dict:
        return {"patience": 2, "evaluate_every": 1, "learning_rate": 3.0, "steps": 60, "clip_norm": 100.0}

    @pytest.mark.parametrize("saved", [False, True])
    def test_it_stops_and_goes_back_to_the_best_weights(self, tmp_path, saved, capsys):
        run = trainer(tmp_path if saved else None, **self.settings())
        history = run.fit(progress=False)
        losses = [r.validation_loss for r in history]
        assert len(history) < 60
        assert losses.index(min(losses)) == len(losses) - 3
        assert run.evaluate() == pytest.approx(min(losses), rel=1e-6)
        assert f"the weights of step {run.best.step}" in capsys.readouterr().out

    def test_a_resumed_run_counts_on(self, tmp_path):
        whole = trainer(**self.settings())
        whole.fit(progress=False)
        trainer(tmp_path, callbacks=[stop_at(len(whole.history) - 1)], **self.settings()).fit(progress=False)
        resumed = trainer(tmp_path, **self.settings())
        assert len(resumed.fit(progress=False, resume=True)) == len(whole.history)
        assert torch.equal(weights(resumed), weights(whole))


class TestDivergence:
    def test_a_loss_that_is_no_number_stops_before_the_update(self, tmp_path):
        run = trainer(tmp_path)
        run.model.unembedding.register_forward_hook(
            lambda _, __, logits: logits * float("nan") if len(run.history) == 6 else None
        )
        with pytest.raises(TrainingDiverged, match=r"step 7: the loss is nan. The checkpoint of step 6 is in"):
            run.fit(progress=False)
        assert weights(run).isfinite().all()
        again = trainer(tmp_path)
        assert len(again.fit(progress=False, resume=True)) == STEPS

    def test_an_infinite_gradient(self):
        run = trainer()
        run.model.blocks[0].feed_forward.down.weight.register_hook(lambda g: torch.full_like(g, float("inf")))
        with pytest.raises(TrainingDiverged, match="step 1: the gradient's length is inf. Try a lower learning_rate"):
            run.fit(progress=False)
        assert weights(run).isfinite().all()


class TestSavingFails:
    def test_a_folder_that_cannot_be_written_to_is_found_at_once(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(CheckpointError, match="Step 0 could not be saved in .*There is no earlier one"):
            trainer(tmp_path / "file").fit(progress=False)

    def test_a_full_disk_is_said_and_training_goes_on(self, tmp_path, monkeypatch, capsys, unbroken):
        from course_lib.training import checkpoint

        writes, write = [], checkpoint.write_atomically

        def disk_full_for_a_while(path, content):
            writes.append(path.name)
            if 3 <= len(writes) <= 5:
                raise OSError(28, "No space left on device")
            write(path, content)

        monkeypatch.setattr(checkpoint, "write_atomically", disk_full_for_a_while)
        run = trainer(tmp_path)
        run.fit(progress=False)
        said = capsys.readouterr().out
        assert "could not be saved" in said
        assert "no space left on device. The checkpoint of step 3 is still there" in said
        assert torch.equal(weights(run), weights(unbroken))
        assert Checkpoints(tmp_path).steps()[-1] == STEPS

    def test_a_disk_that_stays_full_is_an_error_at_the_end_and_nothing_is_lost(self, tmp_path, monkeypatch):
        from course_lib.training import checkpoint

        run = trainer(tmp_path, callbacks=[])
        write = checkpoint.write_atomically

        def full(path, content):
            if "00000000" not in path.name:
                raise OSError(28, "No space left on device")
            write(path, content)

        monkeypatch.setattr(checkpoint, "write_atomically", full)
        with pytest.raises(CheckpointError, match=f"Step {STEPS} could not be saved"):
            run.fit(progress=False)
        assert len(run.history) == STEPS
        assert Checkpoints(tmp_path).newest() is not None
