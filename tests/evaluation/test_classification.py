"""Accuracy, precision, recall and F1: the numbers of scikit-learn, on random labels and on the edges."""

import numpy as np
import pytest
from sklearn import metrics

from course_lib.evaluation import bootstrap_interval, classification_report, confusion_matrix

EDGES = {
    "all right": (["a", "b", "a"], ["a", "b", "a"]),
    "all wrong": (["a", "a", "a"], ["b", "b", "b"]),
    "one label": (["a"] * 4, ["a"] * 4),
    "never predicted": (["a", "b", "c"], ["a", "a", "a"]),
    "never there": (["a", "a", "a"], ["a", "b", "c"]),
    "numbers": ([0, 1, 2, 2], [0, 2, 1, 2]),
    "one item": (["x"], ["y"]),
}


def random_labels() -> dict[str, tuple[list[str], list[str]]]:
    rng = np.random.default_rng(0)
    cases = {}
    for number in range(30):
        n_labels, n_items = rng.integers(1, 7), rng.integers(1, 60)
        shares = rng.dirichlet(np.full(n_labels, 0.5))
        truth = rng.choice(n_labels, n_items, p=shares)
        noise = rng.random(n_items) < rng.random()
        predicted = np.where(noise, rng.choice(n_labels, n_items), truth)
        cases[f"random {number}"] = ([f"l{x}" for x in truth], [f"l{x}" for x in predicted])
    return cases


CASES = EDGES | random_labels()


def test_the_numbers_are_those_of_scikit_learn():
    for name, (truth, predicted) in CASES.items():
        report = classification_report(truth, predicted)
        assert report.accuracy == pytest.approx(metrics.accuracy_score(truth, predicted)), name
        expected = metrics.precision_recall_fscore_support(truth, predicted, zero_division=0)
        found = [(s.precision, s.recall, s.f1, s.support) for s in report.scores.values()]
        np.testing.assert_allclose(np.array(found).T, np.array(expected), atol=1e-12, err_msg=name)
        for average in ("micro", "macro", "weighted"):
            expected = metrics.precision_recall_fscore_support(truth, predicted, average=average, zero_division=0)
            score = getattr(report, average)
            np.testing.assert_allclose(
                (score.precision, score.recall, score.f1), expected[:3], atol=1e-12, err_msg=name
            )
        labels = list(report.scores)
        assert (
            np.array(confusion_matrix(truth, predicted, labels)) == metrics.confusion_matrix(truth, predicted)
        ).all()


def test_labels_in_the_order_that_is_asked_for():
    report = classification_report(["a", "b"], ["a", "a"], labels=["c", "b", "a"])
    assert list(report.scores) == ["c", "b", "a"]
    expected = metrics.precision_recall_fscore_support(
        ["a", "b"], ["a", "a"], labels=["c", "b", "a"], average="macro", zero_division=0
    )
    assert report.macro.f1 == pytest.approx(expected[2])
    assert "weighted average" in str(report) and "accuracy" in str(report)


def test_bad_input_is_said():
    with pytest.raises(ValueError, match="2 true labels and 1 predictions"):
        classification_report(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="nothing to score"):
        classification_report([], [])
    with pytest.raises(ValueError, match="label 'b' occurs, but the labels are 'a', 'c'"):
        classification_report(["a", "b"], ["a", "a"], labels=["a", "c"])


class TestBootstrap:
    def test_a_mean_has_the_interval_of_its_standard_error(self):
        values = np.random.default_rng(1).normal(3, 2, size=400)
        interval = bootstrap_interval(np.mean, values.tolist(), n_samples=2_000)
        error = values.std() / 20
        assert interval.score == pytest.approx(values.mean())
        assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
        assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)

    def test_it_covers_the_truth_about_as_often_as_it_says(self):
        rng = np.random.default_rng(2)
        held = 0
        for number in range(120):
            right = (rng.random(60) < 0.7).tolist()
            interval = bootstrap_interval(np.mean, right, level=0.8, n_samples=100, seed=number)
            held += interval.low <= 0.7 <= interval.high
        assert 0.68 < held / 120 < 0.92

    def test_items_of_several_lists_stay_together(self):
        interval = bootstrap_interval(lambda a, b: sum(x == y for x, y in zip(a, b, strict=True)), range(9), range(9))
        assert interval[:3] == (9, 9, 9)

    def test_bad_input_is_said(self):
        with pytest.raises(ValueError, match=r"have \[2, 3\] items"):
            bootstrap_interval(np.mean, [1, 2], [1, 2, 3])
        with pytest.raises(ValueError, match=r"have \[0\] items"):
            bootstrap_interval(np.mean, [])
        with pytest.raises(ValueError, match="it is 95"):
            bootstrap_interval(np.mean, [1, 2], level=95)
