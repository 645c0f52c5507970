"""The probe is scikit-learn's logistic regression, and the control tells finding from learning by heart."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from course_lib.interpret import control_labels, fit_probe, probe


def some_items(n_classes, n_items=150, width=6, seed=0):
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(n_items, width, generator=draw)
    noisy = features[:, :n_classes] + torch.randn(n_items, n_classes, generator=draw)
    return features, noisy.argmax(dim=1)


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("strength", [0.01, 1.0, 100.0])
def test_equals_scikit_learn(n_classes, strength):
    features, labels = some_items(n_classes)
    ours = fit_probe(features, labels, strength=strength)
    theirs = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000).fit(features.double().numpy(), labels.numpy())
    expected = torch.tensor(theirs.predict_proba(features.double().numpy()))
    torch.testing.assert_close(ours.probabilities(features), expected, atol=1e-5, rtol=1e-4)
    weight = ours.weight[1:] - ours.weight[:1] if n_classes == 2 else ours.weight
    torch.testing.assert_close(weight, torch.tensor(theirs.coef_), atol=1e-4, rtol=1e-3)
    assert ours.accuracy(features, labels) == pytest.approx(theirs.score(features.double().numpy(), labels.numpy()))


def test_separable_classes_and_large_strength_stay_finite():
    features = torch.tensor([[-1.0], [-2.0], [1.0], [3.0]])
    found = fit_probe(features, torch.tensor([0, 0, 1, 1]), strength=1e4)
    assert found.weight.isfinite().all() and found.accuracy(features, torch.tensor([0, 0, 1, 1])) == 1


def test_control_labels_belong_to_types_and_are_as_frequent():
    types = [f"word {index % 400}" for index in range(1200)]
    labels = torch.tensor([0, 0, 0, 1] * 300)
    control = control_labels(types, labels)
    by_type = {}
    for kind, label in zip(types, control.tolist(), strict=True):
        assert by_type.setdefault(kind, label) == label
    assert control.double().mean().item() == pytest.approx(0.25, abs=0.07)
    assert not torch.equal(control, control_labels(types, labels, seed=1))
    assert torch.equal(control, control_labels(types, labels))


def test_a_probe_that_learns_types_by_heart_is_not_selective():
    """40 types as one-hot vectors: any labelling of types can be read off, so the real task proves nothing."""
    draw = torch.Generator().manual_seed(0)
    types = torch.randint(40, (2000,), generator=draw)
    by_heart = probe(torch.eye(40)[types], types % 2, types.tolist(), strength=10.0)
    assert by_heart.accuracy > 0.99 and abs(by_heart.selectivity) < 0.05


def test_a_probe_on_what_the_context_gives_is_selective():
    draw = torch.Generator().manual_seed(0)
    types, context = torch.randint(40, (2000,), generator=draw), torch.randint(2, (2000,), generator=draw)
    features = torch.cat([context[:, None] + 0.1 * torch.randn(2000, 1, generator=draw), torch.randn(2000, 4)], dim=1)
    score = probe(features, context, types.tolist())
    assert score.accuracy > 0.99 and score.control < 0.7 and score.selectivity == score.accuracy - score.control
    assert 0.45 < score.majority < 0.55


def test_bad_input():
    with pytest.raises(ValueError, match="3 vectors and 2 labels"):
        fit_probe(torch.randn(3, 2), torch.tensor([0, 1]))
    for labels in ([1, 1, 1], [0, 0, 0], [-1, 0, 1]):
        with pytest.raises(ValueError, match="at least two classes apart, numbered from 0"):
            fit_probe(torch.randn(3, 2), torch.tensor(labels))
