"""Text from a model, one token at a time.

Read `probabilities` (what is drawn from), `sampling` (the loop), `decoder` and `token_step` (how the next logits come
so fast), `compiled` (and faster), `beam` (searching in place of drawing), `conditioned` (the same for
encoder–decoders), `text` (from prompt to text), `masks` (a BERT's guesses).
"""

from course_lib.generation.beam import Continuation, Hypothesis, beam_search
from course_lib.generation.compiled import Compiled
from course_lib.generation.masks import Guess, fill_mask
from course_lib.generation.probabilities import next_token_probabilities
from course_lib.generation.sampling import generate, stream
from course_lib.generation.text import complete, stream_text, translate

__all__ = [
    "Compiled",
    "Continuation",
    "Guess",
    "Hypothesis",
    "beam_search",
    "complete",
    "fill_mask",
    "generate",
    "next_token_probabilities",
    "stream",
    "stream_text",
    "translate",
]
