"""How good an answer is, counted by hand: labels, entities and answers, BLEU for translations, ROUGE for summaries."""

from course_lib.evaluation.bleu import BLEU, bleu, tokenize_13a, tokenize_zh
from course_lib.evaluation.bootstrap import Interval, bootstrap_interval
from course_lib.evaluation.classification import Report, Score, classification_report, confusion_matrix
from course_lib.evaluation.rouge import Rouge, rouge
from course_lib.evaluation.spans import answer_score, check_bio, entities_of, mended_bio, span_report

__all__ = [
    "BLEU",
    "Interval",
    "Report",
    "Rouge",
    "Score",
    "answer_score",
    "bleu",
    "bootstrap_interval",
    "check_bio",
    "classification_report",
    "confusion_matrix",
    "entities_of",
    "mended_bio",
    "rouge",
    "span_report",
    "tokenize_13a",
    "tokenize_zh",
]
