"""Widgets that show a learner's own tensors and models. `base` says how to write one."""

from course_lib.widgets.attention_explorer import AttentionExplorer

__all__ = ["AttentionExplorer"]
