"""The bar that says how training goes: loss, speed, time left, and how much of the machine it uses."""

from tqdm.auto import tqdm

from course_lib.training.config import Record


class ProgressBar:
    """A bar over the steps of a run, with the last loss, tokens a second and, where it is known, the utilisation.

    Model FLOPs utilisation (MFU) is the share of the device's matrix-product speed that the model's own arithmetic
    amounts to: FLOPs per token × tokens per second ÷ FLOPs per second that the device reaches on one large product.

    Source of the measure: Chowdhery et al. 2022, "PaLM", section 4.1.
    """

    def __init__(self, steps: int, done: int, *, share_per_speed: float | None = None, shown: bool = True):
        """`share_per_speed`: utilisation at one token a second, or None where it was not measured."""
        self.share_per_speed = share_per_speed
        # Without smoothing: the time left counts with the looks at validation text, which are rare and long.
        self._bar = tqdm(total=steps, initial=done, unit="step", disable=not shown, leave=False, smoothing=0)
        self._from: Record | None = None  # speed counts from here: the first step of a run is not like the others

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def update(self, record: Record) -> None:
        """One step further."""
        if not self._bar.disable:
            self._bar.set_postfix_str(self.words(record), refresh=False)
        self._bar.update()

    def words(self, record: Record) -> str:
        """What stands behind the bar; the time left stands in the bar itself."""
        words = f"loss {record.train_loss:.3f}"
        if self._from is None or record.seconds <= self._from.seconds:
            self._from = self._from or record
            return words
        speed = (record.tokens - self._from.tokens) / (record.seconds - self._from.seconds)
        words += f", {speed:,.0f} tokens/s"
        if self.share_per_speed is not None:
            words += f", MFU {self.share_per_speed * speed:.1%}"
        return words
