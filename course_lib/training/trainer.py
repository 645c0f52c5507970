"""The training loop, in one place."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn
from tqdm.auto import tqdm

from course_lib.training.batches import Documents
from course_lib.training.device import pick_device
from course_lib.training.optim import OPTIMIZERS, learning_rate_factor, make_optimizers


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        steps: number of updates.
        batch_size: documents in each update.
        learning_rate: its peak; it rises for `warmup_steps` updates and falls to `final_rate` of the peak.
        weight_decay: pull of the matrices towards zero.
        clip_norm: the longest gradient that is followed as it is; a longer one is shortened to this.
        optimizer: "adamw" or "muon".
        evaluate_every: updates between two looks at the validation loss; the last update is always followed by one.
        device, precision: as in `pick_device`.
        seed: fixes the order of the batches.
    """

    steps: int
    batch_size: int = 32
    learning_rate: float = 3e-3
    final_rate: float = 0.0
    warmup_steps: int = 50
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    optimizer: str = "adamw"
    evaluate_every: int = 100
    device: str = "auto"
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self):
        for name in ("steps", "batch_size", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, but it is {getattr(self, name)}.")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"There is no optimiser {self.optimizer!r}: choose one of {', '.join(OPTIMIZERS)}.")


@dataclass(frozen=True)
class Record:
    """What was measured after an update. Losses in nats per token, time in seconds since the start.

    Attributes:
        step: updates made so far.
        tokens: predictions learned from so far, padding not counted.
        seconds: time since training began.
        train_loss: loss of this update's batch, before the update.
        validation_loss: mean loss over all validation targets; None except after an evaluation.
        learning_rate: what this update used.
        gradient_norm: length of the gradient before clipping.
    """

    step: int
    tokens: int
    seconds: float
    train_loss: float
    validation_loss: float | None
    learning_rate: float
    gradient_norm: float


class Trainer:
    """Trains a model on documents and watches its loss on others.

    `Trainer(model, train, validation, config).fit()` changes the model in place and answers the list of records.
    An interrupt (the stop button of a notebook) ends training early and keeps what was learned.

    Args:
        model: answers `model(tokens, targets).loss`, the mean loss over targets that count.
        train, validation: documents to learn from, and to be tested on.
        config: how to train.
        callbacks: called with each new Record, as it is made.
    """

    def __init__(
        self,
        model: nn.Module,
        train: Documents,
        validation: Documents,
        config: TrainConfig,
        *,
        callbacks: Iterable[Callable[[Record], None]] = (),
    ):
        self.config = config
        self.device = pick_device(config.device, config.precision)
        self.model = model.to(self.device.name)
        self.train = train
        self.validation = validation
        self.callbacks = list(callbacks)
        self.history: list[Record] = []
        self.optimizers = make_optimizers(
            model, config.optimizer, learning_rate=config.learning_rate, weight_decay=config.weight_decay
        )
        # float16 cannot hold small gradients: they are scaled up before the backward pass, and down again after.
        self.scaler = torch.amp.GradScaler(self.device.name, enabled=self.device.dtype == torch.float16)

    def fit(self, *, progress: bool = True) -> list[Record]:
        """Train for `config.steps` updates; answer one Record for each. Called again, it starts a new round."""
        config = self.config
        generator = torch.Generator().manual_seed(config.seed)
        batches = self.train.shuffled(config.batch_size, generator)
        self.history = []
        started = time.perf_counter()
        bar = tqdm(total=config.steps, unit="step", disable=not progress, leave=False)
        self.model.train()
        try:
            for step in range(config.steps):
                loss, gradient_norm, n_targets = self._update(next(batches), step)
                done = step + 1
                due = done % config.evaluate_every == 0 or done == config.steps
                record = Record(
                    step=done,
                    tokens=(self.history[-1].tokens if self.history else 0) + n_targets,
                    seconds=time.perf_counter() - started,
                    train_loss=loss,
                    validation_loss=self.evaluate() if due else None,
                    learning_rate=self.optimizers[0].param_groups[0]["lr"],
                    gradient_norm=gradient_norm,
                )
                self.history.append(record)
                bar.update()
                for callback in self.callbacks:
                    callback(record)
        except KeyboardInterrupt:
            print(f"Stopped after {len(self.history)} of {config.steps} steps. The model keeps what it has learned.")
        finally:
            bar.close()
            self.model.eval()
            self.model.zero_grad(set_to_none=True)
        return self.history

    @torch.no_grad()
    def evaluate(self, *, batch_size: int | None = None) -> float:
        """Mean loss in nats over all validation targets, without dropout; the model's mode is left as it was."""
        was_training = self.model.training
        self.model.eval()
        total, count = 0.0, 0
        for tokens, targets in self.validation.in_order(batch_size or self.config.batch_size):
            n_targets = int((targets >= 0).sum())
            total += self._loss(tokens, targets).item() * n_targets
            count += n_targets
        self.model.train(was_training)
        return total / count

    def _loss(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with self.device.autocast():
            return self.model(tokens.to(self.device.name), targets.to(self.device.name)).loss

    def _update(self, batch: tuple[torch.Tensor, torch.Tensor], step: int) -> tuple[float, float, int]:
        """One step: loss, gradient, clip, move. Answers the loss, the gradient's length, and the targets counted."""
        tokens, targets = batch
        factor = learning_rate_factor(
            step, steps=self.config.steps, warmup_steps=self.config.warmup_steps, final=self.config.final_rate
        )
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.config.learning_rate * factor

        # Whoever had the model first may have left gradients in it.
        self.model.zero_grad(set_to_none=True)
        loss = self._loss(tokens, targets)
        self.scaler.scale(loss).backward()
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        gradient_norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        # The scaler leaves out an optimiser whose own gradients overflowed; here all of them wait together, because
        # clipping has already spread the overflow to every gradient.
        if gradient_norm.isfinite() or not self.scaler.is_enabled():
            for optimizer in self.optimizers:
                self.scaler.step(optimizer)
        self.scaler.update()
        return loss.item(), gradient_norm.item(), int((targets >= 0).sum())
