"""How good an answer is, counted by hand: BLEU for translations, ROUGE for summaries."""

from course_lib.evaluation.bleu import BLEU, bleu, tokenize_13a, tokenize_zh
from course_lib.evaluation.rouge import Rouge, rouge

__all__ = ["BLEU", "Rouge", "bleu", "rouge", "tokenize_13a", "tokenize_zh"]
