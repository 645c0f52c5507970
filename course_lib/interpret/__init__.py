"""Looking inside a trained model: what its heads attend to, and what they do for its predictions.

What works on maps that were already made needs only NumPy; what runs a model loads torch when it is first used.
"""

from importlib import import_module
from typing import Any

from course_lib.interpret.heads import head_scores, sinks, value_weighted
from course_lib.interpret.reading import HeadAt, Predictions, Reader, Reading, View, kl_divergence
from course_lib.interpret.rollout import attention_flow, attention_rollout

_RUNS_A_MODEL = {
    "ablate": "course_lib.interpret.ablation",
    "edit_heads": "course_lib.interpret.ablation",
    "head_means": "course_lib.interpret.ablation",
    "reader_for": "course_lib.interpret.readers",
}

__all__ = [
    "HeadAt",
    "Predictions",
    "Reader",
    "Reading",
    "View",
    "ablate",
    "attention_flow",
    "attention_rollout",
    "edit_heads",
    "head_means",
    "head_scores",
    "kl_divergence",
    "reader_for",
    "sinks",
    "value_weighted",
]


def __getattr__(name: str) -> Any:
    if name not in _RUNS_A_MODEL:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_RUNS_A_MODEL[name]), name)
