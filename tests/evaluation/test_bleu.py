"""BLEU is sacreBLEU's on random and odd texts, and what one counts by hand on small ones."""

import math
import random
import sys

import pytest
from sacrebleu.metrics import BLEU as SacreBLEU
from sacrebleu.tokenizers.tokenizer_zh import TokenizerZh

from course_lib.evaluation import bleu, tokenize_13a, tokenize_zh
from course_lib.evaluation.bleu import CHINESE, SMOOTHINGS

ENGLISH = (
    "the a cat cats sat on mat . , it's 3.14 1,000 2-3 well-known (yes) \"no\" &amp; U.S. don't <skipped> —".split()
)
CHINESE_WORDS = "小 猫 坐在 垫子 上 。 ， 红色的 abc 3.5 “ ” A股 ー".split()
ODD = [
    "",
    " ",
    "the",
    "the the the the the",
    "!",
    "...",
    "1.5",
    "a-\nb",
    "a\nb",
    "猫",
    "猫猫猫猫猫",
    "&quot;x&quot;",
    "x " * 40,
]


def random_text(draw: random.Random, words: list[str]) -> str:
    if draw.random() < 0.1:
        return draw.choice(ODD)
    joint = draw.choice([" ", " ", ""])
    return joint.join(draw.choices(words, k=draw.randint(1, 12)))


def variation(draw: random.Random, text: str, words: list[str]) -> str:
    pieces = text.split(" ")
    for _ in range(draw.randint(0, 3)):
        place = draw.randrange(len(pieces))
        pieces[place : place + draw.randint(0, 1)] = draw.choices(words, k=draw.randint(0, 2))
        pieces = pieces or [""]
    return " ".join(pieces)


def random_corpus(seed: int) -> tuple[list[str], list[list[str]], dict]:
    draw = random.Random(seed)
    words = draw.choice([ENGLISH, CHINESE_WORDS])
    n_references = draw.choice([1, 1, 2, 3])
    hypotheses = [random_text(draw, words) for _ in range(draw.choice([1, 1, 2, 6]))]
    references = [[variation(draw, text, words) for _ in range(n_references)] for text in hypotheses]
    settings = {
        "tokenize": draw.choice(["13a", "zh", "none"]),
        "lowercase": draw.random() < 0.2,
        "smoothing": draw.choice([*SMOOTHINGS, "exp"]),
        "max_order": draw.choice([4, 4, 4, 2]),
    }
    return hypotheses, references, settings


def sacre(hypotheses: list[str], references: list[list[str]], settings: dict):
    metric = SacreBLEU(
        tokenize=settings["tokenize"], lowercase=settings["lowercase"], smooth_method=settings["smoothing"],
        max_ngram_order=settings["max_order"], force=True,
    )  # fmt: skip
    return metric.corpus_score(hypotheses, [list(stream) for stream in zip(*references, strict=True)])


def test_sacrebleus_score_on_a_thousand_random_and_odd_corpora():
    scores = []
    for seed in range(1000):
        hypotheses, references, settings = random_corpus(seed)
        theirs = sacre(hypotheses, references, settings)
        if theirs.ref_len == 0:
            with pytest.raises(ValueError, match="Every reference is an empty text"):
                bleu(hypotheses, references, **settings)
            continue
        ours = bleu(hypotheses, references, **settings)
        case = (hypotheses, references, settings)
        assert ours == pytest.approx(theirs.score, abs=1e-9), case
        assert (ours.hypothesis_length, ours.reference_length) == (theirs.sys_len, theirs.ref_len), case
        assert ours.brevity_penalty == pytest.approx(theirs.bp), case
        assert ours.precisions == pytest.approx(tuple(theirs.precisions), abs=1e-9), case
        scores.append(ours.score)
    assert len(scores) > 950
    assert sum(score > 99.9 for score in scores) > 50
    assert sum(score == 0 for score in scores) > 50
    assert sum(1 < score < 99 for score in scores) > 400


@pytest.mark.slow
def test_what_counts_as_chinese_is_what_sacrebleu_counts():
    ours = {point for point in range(sys.maxunicode + 1) if CHINESE.match(chr(point))}
    theirs = {point for point in range(sys.maxunicode + 1) if TokenizerZh._is_chinese_char(chr(point))}
    assert ours == theirs


def test_by_hand():
    # 4 of 6 words and 2 of 5 pairs are in the reference: "the" and "cat", "the mat" are not.
    score = bleu(["a cat sat on a mat"], ["the cat sat on the mat"], max_order=2)
    assert score.precisions == pytest.approx((100 * 4 / 6, 100 * 2 / 5))
    assert score.score == pytest.approx(100 * math.sqrt(4 / 6 * 2 / 5))
    assert score.brevity_penalty == 1


def test_a_word_matches_no_more_often_than_the_reference_has_it():
    assert bleu(["the the the the"], ["the cat the dog"], max_order=1) == pytest.approx(50)


def test_silence_is_not_golden():
    assert bleu(["the cat"], ["the cat sat on the mat"], max_order=2) == pytest.approx(100 * math.exp(1 - 6 / 2))
    assert bleu(["", "the cat"], ["a dog", "the cat"], max_order=2).brevity_penalty == pytest.approx(math.exp(-1))
    assert bleu([""], ["a dog"]) == 0


def test_smoothing_decides_what_a_missing_match_costs():
    hypothesis, reference = ["the cat sat on it"], ["the cat sat by it"]  # three words in a row, but not four
    assert bleu(hypothesis, reference, smoothing="none") == 0
    assert bleu(hypothesis, reference).precisions[3] == pytest.approx(100 * 0.5 / 2)
    assert bleu(hypothesis, reference, smoothing="floor").precisions[3] == pytest.approx(100 * 0.1 / 2)
    assert bleu(hypothesis, reference, smoothing="add-k").precisions[3] == pytest.approx(100 * 1 / 3)


def test_chinese_needs_its_own_tokenisation():
    hypothesis, reference = ["米娅在花园里发现了一只红色的风筝。"], ["米娅在公园里发现了一只红色的风筝。"]
    assert bleu(hypothesis, reference) == 0
    assert 80 < bleu(hypothesis, reference, tokenize="zh") < 95
    assert tokenize_zh("她有2只cats。") == ["她", "有", "2", "只", "cats", "。"]
    assert tokenize_13a('"It\'s 3.5," she said.') == ['"', "It's", "3.5", ",", '"', "she", "said", "."]


def test_a_function_may_tokenise():
    assert bleu(["a b c d"], ["abcd"], tokenize=lambda text: [c for c in text if c != " "]) == pytest.approx(100)


@pytest.mark.parametrize(
    ("hypotheses", "references", "settings", "message"),
    [
        ([], [], {}, "nothing to score: the list of hypotheses is empty"),
        (["a"], [], {}, "1 hypotheses and 0 references"),
        (["a", "b"], [["a", "b"]], {}, "2 hypotheses and 1 references: each hypothesis needs its own"),
        (["a", "b"], ["a", []], {}, "Hypothesis 1 has no reference: its list is empty"),
        (["a", "b"], ["", " "], {}, "Every reference is an empty text"),
        ("a b", "a b", {}, r"Give lists of texts: .* write \[hypothesis\], \[reference\]"),
        (["a"], ["a"], {"tokenize": "cn"}, "no tokenisation 'cn': choose one of '13a', 'zh', 'none'"),
        (["a"], ["a"], {"smoothing": "add1"}, "no smoothing 'add1': choose one of 'exp', 'floor', 'add-k', 'none'"),
    ],
)
def test_what_cannot_be_scored(hypotheses, references, settings, message):
    with pytest.raises(ValueError, match=message):
        bleu(hypotheses, references, **settings)
