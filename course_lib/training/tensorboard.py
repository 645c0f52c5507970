"""A callback that writes what the trainer measures where TensorBoard finds it."""

from pathlib import Path

from course_lib.training.config import Record


class TensorBoard:
    """Hand it to the trainer as a callback; then `tensorboard --logdir <folder>` shows the curves as they grow.

    Steps that a resumed run makes again replace those of the run before it.

    Args:
        folder: where the event files go.
        floor: the lowest loss possible, in nats, drawn as a curve of its own where it is known.
    """

    def __init__(self, folder: str | Path, floor: float | None = None):
        self.folder = str(folder)
        self.floor = floor
        self._writer = None

    def __call__(self, record: Record) -> None:
        """Write one record."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # slow to import, and only needed here

            self._writer = SummaryWriter(self.folder, purge_step=record.step)
        values = {
            "loss/training": record.train_loss,
            "loss/validation": record.validation_loss,
            "loss/floor": self.floor,
            "learning rate": record.learning_rate,
            "gradient norm": record.gradient_norm,
            "tokens": record.tokens,
        }
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(name, value, record.step)
        if record.validation_loss is not None:
            self._writer.flush()

    def close(self) -> None:
        """Write what is still held back."""
        if self._writer is not None:
            self._writer.close()
