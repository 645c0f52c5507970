"""The training loop, in one place."""

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.training.batches import Piece, Source, count_targets, split_batch
from course_lib.training.checkpoint import CheckpointError, Checkpoints
from course_lib.training.config import Record, TrainConfig
from course_lib.training.device import THROUGHOUT, pick_device
from course_lib.training.memory import is_out_of_memory, kept_memory, release_memory
from course_lib.training.optim import learning_rate_factor, make_optimizers
from course_lib.training.parallel import Processes, load_model_state, whole
from course_lib.training.preflight import Forecast, predict
from course_lib.training.progress import ProgressBar
from course_lib.training.random_state import random_state, set_random_state
from course_lib.training.run_state import restore_run, run_state
from course_lib.training.stopping import StopSign


class TrainingDiverged(ValueError):
    """The loss or its gradient is no longer a number: nothing can be learned from there on."""


class Trainer:
    """Trains a model on documents and watches its loss on others.

    `Trainer(model, train, validation, config).fit()` changes the model in place and answers the list of records.
    An interrupt (the stop button of a notebook) ends training early and keeps what was learned.

    With a `folder` the run is saved as it goes, and `fit(resume=True)` goes on from the newest sound checkpoint in it,
    to the same weights, bit for bit on a CPU, as if it had never been interrupted.

    Args:
        model: answers `model(tokens, targets).loss`, the mean loss over targets that count.
        train, validation: documents to learn from, and to be tested on: `Documents`, `Windows` or another `Source`.
        config: how to train.
        callbacks: called with each new Record, as it is made.
        folder: where checkpoints go. None: the run is not saved.
        shard: where several processes train together, split the model among them (FSDP) instead of copying it (DDP).
    """

    def __init__(
        self,
        model: nn.Module,
        train: Source,
        validation: Source,
        config: TrainConfig,
        *,
        callbacks: Iterable[Callable[[Record], None]] = (),
        folder: str | Path | None = None,
        shard: bool = False,
    ):
        _check_vocabulary(model, train, validation)
        self.config = config
        self.device = pick_device(config.device, config.precision)
        self.model = model.to(self.device.name)
        self.train = train
        self.validation = validation
        self.callbacks = list(callbacks)
        self.history: list[Record] = []
        self.processes = Processes()
        self.shard = shard
        if shard and self.device.throughout:
            raise ValueError(
                f"A model that is split among processes trains with another precision than {THROUGHOUT!r}."
            )
        self.wrapped = self.processes.wrap(self.device.lower(self.model), shard=shard)
        if config.compile:
            self.wrapped = torch.compile(self.wrapped)
        self.optimizers = make_optimizers(
            model,
            config.optimizer,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            layer_decay=config.layer_decay,
        )
        self.peak_rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]
        # float16 cannot hold small gradients: they are scaled up before the backward pass, and down again after.
        self.scaler = torch.amp.GradScaler(self.device.name, enabled=self.device.dtype == torch.float16)
        rows = -(-config.batch_size // self.processes.count)  # of a batch, for each process
        self.accumulate = -(-rows // (config.micro_batch_size or rows))
        self._rehearsed = 0.0  # targets in the largest part of a batch that passed with everything in memory
        self.checkpoints = Checkpoints(folder, config.keep, say=self._say) if folder else None
        self.forecast: Forecast | None = None
        self._stop = StopSign()
        self._rewind()

    def fit(self, *, progress: bool = True, resume: bool = False) -> list[Record]:
        """Train for `config.steps` updates; answer one Record for each. Called again, it starts a new round.

        `resume=True` continues the run in the trainer's folder (without a folder, the one that was interrupted).

        Raises TrainingDiverged when the loss is no longer a number, and CheckpointError when the run cannot be saved
        or continued.
        """
        self._resume() if resume else self._begin()
        config = self.config
        self._started = time.perf_counter() - (self.history[-1].seconds if self.history else 0.0)
        self.model.train()
        try:
            with kept_memory(), self._open_stop_sign() as self._stop, self._progress_bar(progress) as bar:
                while len(self.history) < config.steps and not self._should_stop():
                    record = self._step(len(self.history))
                    self.history.append(record)
                    self._watch(record)
                    bar.update(record)
                    self._tell(record)
                    self._save_if_due(record)
        finally:
            self.model.eval()
            self.model.zero_grad(set_to_none=True)
        self._finish()
        self._stop.leave_if_terminated()
        return self.history

    def stop(self) -> None:
        """End training after the current step, and save: for callbacks and buttons."""
        self._stop.ask()

    def preflight(self) -> Forecast:
        """Two trial steps that leave no trace: how long `fit` will take, and how much memory."""
        self.forecast = predict(self)
        return self.forecast

    @torch.no_grad()
    def evaluate(self, *, batch_size: int | None = None) -> float:
        """Mean loss in nats over all validation targets, without dropout; the model's mode is left as it was."""
        was_training = self.model.training
        self.model.eval()
        total, count = 0.0, 0
        for batch in self.validation.in_order(batch_size or self.config.batch_size):
            for piece, n_targets in self._own_pieces(batch):
                # The model as it is: a compiled one would be compiled again for this.
                total += self._loss(piece, self.model).item() * n_targets
                count += n_targets
        self.model.train(was_training)
        total, count = self.processes.total(total, count)
        return total / count

    # One step

    def _step(self, step: int) -> Record:
        """One update, and a look at the validation loss if it is due."""
        batch = next(self._batches)
        loss, gradient_norm, n_targets = self._update(batch, step)
        done = step + 1
        due = done % self.config.evaluate_every == 0 or done == self.config.steps
        return Record(
            step=done,
            tokens=(self.history[-1].tokens if self.history else 0) + n_targets,
            seconds=time.perf_counter() - self._started,
            train_loss=loss,
            validation_loss=self.evaluate() if due else None,
            learning_rate=self.optimizers[0].param_groups[0]["lr"],
            gradient_norm=gradient_norm,
        )

    def _update(self, batch: tuple[Tensor, ...], step: int) -> tuple[float, float, int]:
        """Loss, gradient, clip, move. Answers the loss, the gradient's length, and the targets counted."""
        self._set_learning_rate(step)
        loss = self._loss_and_gradients(batch)
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        gradient_norm = _length(nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm))
        self._check_finite(loss, gradient_norm, step)
        # The scaler leaves out an optimiser whose own gradients overflowed; here all of them wait together, because
        # clipping has already spread the overflow to every gradient.
        if math.isfinite(gradient_norm):
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)
        self.scaler.update()
        return loss, gradient_norm, count_targets(batch)

    def _set_learning_rate(self, step: int) -> None:
        config = self.config
        factor = learning_rate_factor(
            step, steps=config.steps, warmup_steps=config.warmup_steps, final=config.final_rate
        )
        for optimizer, peaks in zip(self.optimizers, self.peak_rates, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * factor

    def _loss_and_gradients(self, batch: tuple[Tensor, ...]) -> float:
        """Backward through the batch; where memory runs out, through halves of the parts that were too large."""
        while True:
            # Whoever had the model first may have left gradients in it.
            self.model.zero_grad(set_to_none=True)
            if not self._rehearsal_is_due(batch) or self._rehearsal_fits(batch):
                loss = _unless_out_of_memory(self._accumulate_gradients, batch)
                if loss is not None:
                    return loss
                if self.processes.count > 1:
                    raise MemoryError(
                        "A process ran out of memory while the others waited for its gradients, so they cannot go on "
                        "in smaller parts. Start again with a smaller micro_batch_size; with resume=True, what was "
                        "saved is not lost."
                    )
            self._halve_micro_batch()

    def _rehearsal_is_due(self, batch: tuple[Tensor, ...]) -> bool:
        """Whether several processes should first try a step alone, so that none runs out of memory in a real one.

        In a real step a process that breaks off leaves the others waiting for its gradients. A rehearsal is due where
        the parts are larger than any that passed, and once more after the first update, which makes the optimiser's
        states. A model that is split among processes cannot be tried alone.
        """
        return self.processes.count > 1 and not self.shard and self._part_size(batch) > self._rehearsed

    def _rehearsal_fits(self, batch: tuple[Tensor, ...]) -> bool:
        """Whether every process has the memory for its parts; all of them get the same answer."""
        here = _unless_out_of_memory(self._rehearse, batch) is not None
        if self.processes.any(not here):
            return False
        if self.optimizers[0].state:
            self._rehearsed = self._part_size(batch)
        return True

    def _rehearse(self, batch: tuple[Tensor, ...]) -> bool:
        """This process's parts through the model and back, without the others and without a trace."""
        before = random_state()
        model = self.device.lower(self.model)
        try:
            for piece, _ in self._own_pieces(batch):
                self._loss(piece, model).backward()
        finally:
            set_random_state(before)
            self.model.zero_grad(set_to_none=True)
        return True

    def _part_size(self, batch: tuple[Tensor, ...]) -> float:
        return batch[-1].numel() / self.accumulate

    def _accumulate_gradients(self, batch: tuple[Tensor, ...]) -> float:
        """Add up the gradients of the parts of a batch, each weighted by its share of the targets."""
        pieces = self._own_pieces(batch)
        all_targets = max(1, count_targets(batch))
        total = torch.zeros((), device=self.device.name)
        for number, (piece, n_targets) in enumerate(pieces, start=1):
            with self.processes.sync(self.wrapped, last=number == len(pieces)):
                loss = self._loss(piece) * (n_targets / all_targets)
                # Gradients are averaged over the processes, and the batch's gradient is their sum.
                self.scaler.scale(loss * self.processes.count).backward()
            total += loss.detach()
        return self.processes.total(total.item())[0]

    def _loss(self, batch: tuple[Tensor, ...], model: nn.Module | None = None) -> Tensor:
        with self.device.autocast():
            return (model or self.wrapped)(*(tensor.to(self.device.name) for tensor in batch)).loss

    def _own_pieces(self, batch: tuple[Tensor, ...]) -> list[Piece]:
        """What this process does of a batch, in parts that go through the model one after the other."""
        pieces = split_batch(batch, self.processes.count * self.accumulate)
        return pieces[self.processes.rank * self.accumulate :][: self.accumulate]

    def _halve_micro_batch(self) -> None:
        """After an out-of-memory error: the same batch in twice as many parts."""
        self.model.zero_grad(set_to_none=True)
        release_memory()
        rows = -(-self.config.batch_size // (self.processes.count * self.accumulate))
        if rows == 1:
            raise MemoryError("There is not enough memory for 1 row at once. Choose a smaller context or model.")
        self.accumulate *= 2
        half = -(-rows // 2)
        self._say(
            f"Out of memory with {rows} rows at once: going on with {half} at a time. The batch stays at "
            f"{self.config.batch_size}, so what is learned stays the same."
        )

    def _check_finite(self, loss: float, gradient_norm: float, step: int) -> None:
        """Raise TrainingDiverged before an update that would spoil the weights."""
        overflow_expected = self.scaler.is_enabled()  # float16: the scale is lowered until it fits
        if math.isfinite(loss) and (math.isfinite(gradient_norm) or overflow_expected):
            return
        what = f"loss is {loss}" if not math.isfinite(loss) else f"gradient's length is {gradient_norm}"
        saved = self.checkpoints.steps() if self.checkpoints else []
        kept = f" The checkpoint of step {saved[-1]} is in {self.checkpoints.folder}." if saved else ""
        raise TrainingDiverged(
            f"Training stopped at step {step + 1}: the {what}.{kept} Try a lower learning_rate than "
            f"{self.config.learning_rate:g} or a longer warm-up than {self.config.warmup_steps} steps."
        )

    # Around the steps

    def _begin(self) -> None:
        """The beginning of a run: no history, the data from the seed, and a first checkpoint of what there is."""
        if self.checkpoints and self.checkpoints.steps():
            raise CheckpointError(
                f"{self.checkpoints.folder} holds a run already (step {self.checkpoints.steps()[-1]}). Continue it "
                "with resume=True, or choose another folder."
            )
        self._rewind()
        self._save(must=True)  # a folder that cannot be written to is found before the work, not after

    def _rewind(self) -> None:
        generator = torch.Generator().manual_seed(self.config.seed)
        self._batches = iter(self.train.shuffled(self.config.batch_size, generator))
        self.history = []
        self.best: Record | None = None
        self._evaluations_since_best = 0
        self._best_weights: dict[str, Tensor] | None = None
        self._saved_at: int | None = None

    def _resume(self) -> None:
        """Go on from the newest sound checkpoint, or from memory where the run has no folder."""
        if self.checkpoints is None:
            if not self.history:
                raise ValueError("There is no run to resume: give the Trainer the folder that it was saved in.")
            return
        state = self.checkpoints.newest()
        if state is not None:
            self.load_state_dict(state)
            self._saved_at = len(self.history)
            self._say(f"Going on after step {len(self.history)} of {self.config.steps}.")
        elif self.checkpoints.steps():
            raise CheckpointError(
                f"None of the checkpoints in {self.checkpoints.folder} is sound. Start again in another folder."
            )
        else:
            self._say(f"There is no checkpoint in {self.checkpoints.folder} yet: starting from the beginning.")
            self._begin()

    def state_dict(self) -> dict[str, Any]:
        """All that decides how training goes on, as a copy on the CPU (see `run_state`)."""
        return run_state(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on as the run did whose `state_dict` this is. Raises CheckpointError when it was another kind of run."""
        restore_run(self, state)

    def _watch(self, record: Record) -> None:
        """Keep track of the lowest validation loss."""
        if record.validation_loss is None:
            return
        self._evaluations_since_best += 1
        if self.best is None or record.validation_loss < self.best.validation_loss:
            self.best, self._evaluations_since_best = record, 0
            if self.config.patience and not self.checkpoints:
                self._best_weights = whole(self.model.state_dict())

    def _tell(self, record: Record) -> None:
        """Call the callbacks; the first process does. An interrupt in one of them ends training after this step."""
        try:
            for callback in self.callbacks if self.processes.first else ():
                callback(record)
        except KeyboardInterrupt:
            self.stop()

    def _save_if_due(self, record: Record) -> None:
        every = self.config.save_every or self.config.evaluate_every
        if record is self.best or record.step % every == 0 or record.step == self.config.steps:
            self._save(best=record is self.best)

    def _save(self, *, best: bool = False, must: bool = False) -> None:
        """Write a checkpoint. A failure ends training only where nothing else can be done (`must`)."""
        if self.checkpoints is None:
            return
        state = self.state_dict()  # every process takes part; one writes
        try:
            if self.processes.first:
                self.checkpoints.save(state, len(self.history), best=best)
            self._saved_at = len(self.history)
        except CheckpointError as error:
            if must:
                raise
            self._say(f"{error} Training goes on, and the next checkpoint will be tried.")

    def _should_stop(self) -> bool:
        return self._out_of_patience or self.processes.any(self._stop.asked)

    @property
    def _out_of_patience(self) -> bool:
        return self.config.patience is not None and self._evaluations_since_best >= self.config.patience

    def _finish(self) -> None:
        """Save the end, say why it came early, and go back to the best weights if later ones were worse."""
        if self._saved_at != len(self.history):
            self._save(must=True)
        done = f"after {len(self.history)} of {self.config.steps} steps"
        if self._out_of_patience:
            self.processes.wait()
            best = self._best_weights or (self.checkpoints.best() or self.state_dict())["model"]
            load_model_state(self.model, best)
            self._say(
                f"Stopped early, {done}: no lower validation loss in {self.config.patience} evaluations. The model has "
                f"the weights of step {self.best.step}, where it was {self.best.validation_loss:.4f}."
            )
        elif len(self.history) < self.config.steps:
            saved = f" Saved in {self.checkpoints.folder}: go on with resume=True." if self.checkpoints else ""
            self._say(f"Stopped {done}. The model keeps what it has learned.{saved}")

    def _open_stop_sign(self) -> StopSign:
        return StopSign(self.checkpoints.folder if self.checkpoints else None)

    def _progress_bar(self, shown: bool) -> ProgressBar:
        share = self.forecast.flops_per_token / self.forecast.matmul_speed if self.forecast else None
        shown = shown and self.processes.first
        return ProgressBar(self.config.steps, len(self.history), share_per_speed=share, shown=shown)

    def _say(self, text: str) -> None:
        if self.processes.first:
            print(text)


def _unless_out_of_memory(work: Callable[[tuple[Tensor, ...]], Any], batch: tuple[Tensor, ...]) -> Any | None:
    """What some work on a batch gives, or None where memory ran out: by then the error, and what it held, are gone."""
    try:
        return work(batch)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    return None


def _length(norm: Tensor) -> float:
    """The length of the whole gradient, of which each process may hold a part."""
    return whole(norm).item()


def _check_vocabulary(model: nn.Module, *sources: Source) -> None:
    """Raise ValueError when the data were made by a tokenizer with more tokens than the model knows."""
    vocab_size = getattr(getattr(model, "config", None), "vocab_size", None)
    for source in sources:
        largest = getattr(source, "largest_id", None)
        if vocab_size is not None and largest is not None and largest >= vocab_size:
            raise ValueError(
                f"The documents hold token {largest}, but the model knows only 0 … {vocab_size - 1}: was the text "
                "encoded with another tokenizer? Build the model with vocab_size=tokenizer.vocab_size."
            )
