"""Each broken tool works in the case that its author tried, and breaks the invariant that the lesson holds it to."""

import pytest
import torch

from course_lib.experiments import broken_readings as broken
from course_lib.experiments.induction import make_model
from course_lib.interpret import ablate

TOKENS = torch.arange(1, 11)[None]


def test_a_head_is_off_as_the_library_has_it_and_on_again_unless_something_raises():
    model = make_model().eval()
    with torch.no_grad():
        before = model(TOKENS).logits
        with broken.head_off(model, 0, 1):
            off = model(TOKENS).logits
        with ablate(model, [(0, 1)]):
            expected = model(TOKENS).logits
        torch.testing.assert_close(off, expected)
        torch.testing.assert_close(model(TOKENS).logits, before)
        with pytest.raises(KeyError), broken.head_off(model, 0, 1):
            raise KeyError
        torch.testing.assert_close(model(TOKENS).logits, expected)


def test_weights_add_to_one_down_the_columns_not_along_the_rows():
    scores = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    scores = scores.masked_fill(~torch.ones(5, 5, dtype=torch.bool).tril(), -torch.inf)
    weights = broken.weights_of(scores)
    torch.testing.assert_close(weights.sum(dim=0), torch.ones(5))
    assert (weights.sum(dim=1) - 1).abs().max() > 0.1


def test_the_probe_reads_what_is_not_there_when_words_come_again():
    generator = torch.Generator().manual_seed(0)
    types = torch.randint(10, (300,), generator=generator)
    features = torch.randn(10, 30, generator=generator)[types]  # a vector for each word, and nothing else
    labels = torch.randint(2, (10,), generator=generator)[types]
    assert broken.probe_accuracy(features, labels) == 1.0
