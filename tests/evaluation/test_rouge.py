"""ROUGE is rouge-score's on random and odd texts, and what one counts by hand on small ones."""

import random

import pytest
from rouge_score.rouge_scorer import RougeScorer

from course_lib.evaluation import rouge, tokenize_zh
from course_lib.evaluation.rouge import KINDS, common_subsequence

WORDS = "the a cat cats sat on mat In the end , it's 3.14 1,000 (yes) Tom's Ünder \n \n . 猫 红色的".split(" ")
ODD = ["", " ", "the", "the the the", "...", "\n\n", "猫坐在垫子上", "a\n\nb", "\na b", "The THE the\nthe"]
ALL = (*KINDS, "rouge3")


class Characters:
    def tokenize(self, text: str) -> list[str]:
        return tokenize_zh(text)


def random_pair(seed: int) -> tuple[str, list[str]]:
    draw = random.Random(seed)

    def text(words: list[str]) -> str:
        if draw.random() < 0.1:
            return draw.choice(ODD)
        return hypothesis if draw.random() < 0.03 else " ".join(draw.choices(words, k=draw.randint(1, 25)))

    hypothesis = ""
    hypothesis = text(WORDS)
    return hypothesis, [text([*hypothesis.split(" "), *WORDS[:4]]) for _ in range(draw.choice([1, 1, 2, 3]))]


@pytest.mark.slow
@pytest.mark.parametrize("characters", [False, True])
def test_rouge_scores_numbers_on_random_and_odd_texts(characters):
    scorer = RougeScorer(ALL, tokenizer=Characters() if characters else None)
    seen = []
    for seed in range(1000):
        hypothesis, references = random_pair(seed)
        ours = rouge([hypothesis], [references], kinds=ALL, **({"tokenize": tokenize_zh} if characters else {}))
        theirs = scorer.score_multi(references, hypothesis)
        for kind in ALL:
            assert ours[kind] == pytest.approx(tuple(theirs[kind])), (hypothesis, references, kind)
        seen.append(ours["rougeLsum"].f)
    assert sum(f == 0 for f in seen) > 20
    assert sum(f == 1 for f in seen) > 5
    assert sum(0.2 < f < 0.9 for f in seen) > 500


def test_by_hand():
    scores = rouge("the cat sat", "the cat on the mat sat down")
    assert scores["rouge1"] == pytest.approx((3 / 3, 3 / 7, 2 * 3 / (3 + 7)))
    assert scores["rouge2"] == pytest.approx((1 / 2, 1 / 6, 2 * 1 / (2 + 6)))
    assert scores["rougeL"] == pytest.approx((3 / 3, 3 / 7, 2 * 3 / (3 + 7)))


def test_order_counts_for_l_and_lines_for_lsum():
    one_line, two_lines = "b b b a a a", "b b b\na a a"
    assert rouge(one_line, "a a a b b b")["rouge1"].f == 1
    assert rouge(one_line, "a a a b b b")["rougeL"].f == 0.5
    assert rouge(two_lines, "a a a\nb b b")["rougeLsum"].f == 1


def test_the_mean_over_several_and_the_best_of_several_references():
    scores = rouge(["a b", "c"], ["a b", "d"])
    assert scores["rouge1"] == (0.5, 0.5, 0.5)
    assert rouge(["a b"], [["x", "a b", "a"]])["rouge2"].f == 1


def test_chinese_needs_its_own_tokens():
    assert rouge("红色的风筝", "红色的风筝")["rouge1"].f == 0
    assert rouge("红色的风筝", "蓝色的风筝", tokenize=tokenize_zh)["rouge1"].f == pytest.approx(0.8)


def test_common_subsequence():
    assert common_subsequence("a b c d".split(), "x a c y d".split()) == [0, 2, 3]
    assert common_subsequence([], ["a"]) == []


@pytest.mark.parametrize(
    ("hypotheses", "references", "settings", "message"),
    [
        ([], [], {}, "the list of hypotheses is empty"),
        (["a"], [[]], {}, "Hypothesis 0 has no reference"),
        (["a", "b"], ["a"], {}, "2 hypotheses and 1 references"),
        ("a", ["a"], {}, "Give lists of texts"),
        ("a", "a", {"kinds": ["rouge0"]}, "There is no 'rouge0': choose among 'rouge1'"),
        ("a", "a", {"kinds": ["rougel"]}, "There is no 'rougel'"),
    ],
)
def test_what_cannot_be_scored(hypotheses, references, settings, message):
    with pytest.raises(ValueError, match=message):
        rouge(hypotheses, references, **settings)
