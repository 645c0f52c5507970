"""The training loop and what it needs: batches, a device and its precision, optimisers and schedules.

Takes any model that answers `model(tokens, targets).loss`, and any source of batches.
"""

from course_lib.training.batches import Documents
from course_lib.training.device import Device, pick_device
from course_lib.training.trainer import Record, TrainConfig, Trainer

__all__ = ["Device", "Documents", "Record", "TrainConfig", "Trainer", "pick_device"]
