"""The training loop and what it needs: batches, a device and its precision, optimisers and schedules, checkpoints.

Takes any model that answers `model(tokens, targets).loss`, and any source of batches. The loop itself is in
`trainer.py`; what it leans on stands in modules of its own: `batches`, `device`, `optim`, `checkpoint` and `run_state`
(stop and resume), `preflight` (time and memory, before), `parallel` (several processes). For BERTs: `masking`
(pre-training), `labelled` and `finetuning` (texts, words and answers with labels).
"""

from course_lib.training.batches import Documents, Pairs, ShardWindows, Windows
from course_lib.training.checkpoint import CheckpointError
from course_lib.training.config import Record, TrainConfig
from course_lib.training.device import Device, pick_device
from course_lib.training.preflight import Forecast
from course_lib.training.tensorboard import TensorBoard
from course_lib.training.trainer import Trainer, TrainingDiverged

__all__ = [
    "CheckpointError",
    "Device",
    "Documents",
    "Forecast",
    "Pairs",
    "Record",
    "ShardWindows",
    "TensorBoard",
    "TrainConfig",
    "Trainer",
    "TrainingDiverged",
    "Windows",
    "pick_device",
]
