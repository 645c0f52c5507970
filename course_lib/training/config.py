"""What a training run is told, and what it reports."""

from dataclasses import dataclass

from course_lib.training.optim import OPTIMIZERS


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        steps: number of updates.
        batch_size: documents in each update.
        learning_rate: its peak; it rises for `warmup_steps` updates and falls to `final_rate` of the peak.
        weight_decay: pull of the matrices towards zero.
        layer_decay: the rate of each block as a share of the one above it, for fine-tuning (AdamW only); 1: all alike.
        clip_norm: the longest gradient that is followed as it is; a longer one is shortened to this.
        optimizer: "adamw" or "muon".
        evaluate_every: updates between two looks at the validation loss; the last update is always followed by one.
        device, precision: as in `pick_device`.
        seed: fixes the order of the batches.
        micro_batch_size: documents that pass through the model at once; the gradients of several such parts are added
            up to those of the whole batch. None: the whole batch at once.
        patience: stop after this many evaluations without a new lowest validation loss, and go back to the weights that
            had it. None: never.
        save_every: updates between two checkpoints, where the trainer has a folder. None: as `evaluate_every`.
        keep: how many checkpoints stay, the best one not counted.
        compile: let `torch.compile` translate the model; slow to start, faster after.
    """

    steps: int
    batch_size: int = 32
    learning_rate: float = 3e-3
    final_rate: float = 0.0
    warmup_steps: int = 50
    weight_decay: float = 0.1
    layer_decay: float = 1.0
    clip_norm: float = 1.0
    optimizer: str = "adamw"
    evaluate_every: int = 100
    device: str = "auto"
    precision: str = "auto"
    seed: int = 0
    micro_batch_size: int | None = None
    patience: int | None = None
    save_every: int | None = None
    keep: int = 3
    compile: bool = False

    def __post_init__(self):
        for name in ("steps", "batch_size", "evaluate_every", "micro_batch_size", "patience", "save_every", "keep"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, but it is {value}.")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay is a share above 0 and at most 1, but it is {self.layer_decay}.")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"There is no optimiser {self.optimizer!r}: choose one of {', '.join(OPTIMIZERS)}.")


DECIDES_THE_WEIGHTS = (
    "batch_size",
    "learning_rate",
    "final_rate",
    "warmup_steps",
    "weight_decay",
    "layer_decay",
    "clip_norm",
    "optimizer",
    "seed",
)
"""Settings that a resumed run must share with the run it continues. The others change speed, place or bookkeeping."""


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
