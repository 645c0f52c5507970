"""Looking inside a trained model: what its heads attend to, and what they do for its predictions."""

from course_lib.interpret.reading import HeadAt, Predictions, Reader, Reading, View, kl_divergence

__all__ = ["HeadAt", "Predictions", "Reader", "Reading", "View", "kl_divergence"]
