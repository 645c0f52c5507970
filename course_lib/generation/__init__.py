"""Text from a model, one token at a time."""

from course_lib.generation.sampling import generate, next_token_probabilities, stream

__all__ = ["generate", "next_token_probabilities", "stream"]
