"""Looking inside a trained model: what its heads attend to, and what they do for its predictions.

What works on maps that were already made needs only NumPy; what runs a model loads torch when it is first used.
"""

from importlib import import_module
from typing import Any

from course_lib.interpret.heads import head_scores, sinks, value_weighted
from course_lib.interpret.reading import HeadAt, Predictions, Reader, Reading, View, kl_divergence
from course_lib.interpret.rollout import attention_flow, attention_rollout

_RUNS_A_MODEL = {
    "LinearProbe": "course_lib.interpret.probes",
    "Site": "course_lib.interpret.activations",
    "TunedLens": "course_lib.interpret.lens",
    "ablate": "course_lib.interpret.ablation",
    "attribute_logits": "course_lib.interpret.attribution",
    "control_labels": "course_lib.interpret.probes",
    "edit_activations": "course_lib.interpret.activations",
    "edit_heads": "course_lib.interpret.ablation",
    "fit_probe": "course_lib.interpret.probes",
    "head_means": "course_lib.interpret.ablation",
    "logit_difference": "course_lib.interpret.patching",
    "logit_lens": "course_lib.interpret.lens",
    "patch_each": "course_lib.interpret.patching",
    "patch_path": "course_lib.interpret.patching",
    "probe": "course_lib.interpret.probes",
    "reader_for": "course_lib.interpret.readers",
    "record_activations": "course_lib.interpret.activations",
    "streams_of": "course_lib.interpret.lens",
    "tune_lens": "course_lib.interpret.lens",
}

__all__ = [
    "HeadAt",
    "LinearProbe",
    "Predictions",
    "Reader",
    "Reading",
    "Site",
    "TunedLens",
    "View",
    "ablate",
    "attention_flow",
    "attention_rollout",
    "attribute_logits",
    "control_labels",
    "edit_activations",
    "edit_heads",
    "fit_probe",
    "head_means",
    "head_scores",
    "kl_divergence",
    "logit_difference",
    "logit_lens",
    "patch_each",
    "patch_path",
    "probe",
    "reader_for",
    "record_activations",
    "sinks",
    "streams_of",
    "tune_lens",
    "value_weighted",
]


def __getattr__(name: str) -> Any:
    if name not in _RUNS_A_MODEL:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_RUNS_A_MODEL[name]), name)
