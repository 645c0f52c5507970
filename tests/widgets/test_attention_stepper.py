import numpy as np
import pytest
import torch

from course_lib import plots
from course_lib.nn.attention import causal_mask, scaled_dot_product_attention
from course_lib.widgets.attention_stepper import AttentionStepper

TOKENS = ["Mia", "kite", "it"]
QUERY, KEY = [[1, 0], [0, 1], [-1, 2]], [[2, 1], [0, 1], [1, 1]]
VALUE = [[0, 10], [10, 0], [0, 0]]


def random_parts(tokens=4, d_head=3, d_value=5):
    generator = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, tokens, d_head, generator=generator)
    return query, key, torch.randn(tokens, d_value, generator=generator)


@pytest.mark.parametrize("mask", [None, "causal", torch.tensor([[False] * 4] + [[True, False, True, True]] * 3)])
def test_the_steps_are_those_of_the_library(mask):
    query, key, value = random_parts()
    stepper = AttentionStepper(query, key, value, list("abcd"), mask=mask)
    reference = causal_mask(4) if mask == "causal" else mask
    output, weights = scaled_dot_product_attention(query, key, value, reference)
    steps = stepper.steps()
    torch.testing.assert_close(steps["weights"], weights)
    torch.testing.assert_close(steps["output"], output)


def test_the_worked_example_without_a_divisor():
    steps = AttentionStepper(QUERY, KEY, VALUE, TOKENS, divide_by="1").steps()
    assert steps["scores"][2].tolist() == [0, 2, 1]
    assert steps["weights"][2].tolist() == pytest.approx([0.090, 0.665, 0.245], abs=1e-3)
    assert steps["output"][2].tolist() == pytest.approx([6.65, 0.90], abs=0.01)


def test_the_mistakes_can_be_shown():
    query, key, value = random_parts()
    right = AttentionStepper(query, key, value, list("abcd")).steps()
    flat = AttentionStepper(query, key, value, list("abcd"), divide_by="d_head").steps()
    torch.testing.assert_close(flat["scaled"], right["scores"] / 3)
    columns = AttentionStepper(query, key, value, list("abcd"), softmax_over="queries").steps()["weights"]
    torch.testing.assert_close(columns.sum(dim=0), torch.ones(4))
    assert not torch.allclose(columns.sum(dim=1), torch.ones(4), atol=0.01)


def test_what_the_page_edits_is_used():
    stepper = AttentionStepper(QUERY, KEY, VALUE, TOKENS)
    stepper.set_state({"query": [[1, 0], [0, 1], [9, 0]], "allowed": [[True] * 3, [True] * 3, [False, True, True]]})
    weights = stepper.steps()["weights"][2]
    assert weights[0] == 0 and weights[2] > 0.99


def test_arrays_of_all_kinds_are_taken():
    as_lists, as_arrays = (AttentionStepper(*map(kind, (QUERY, KEY, VALUE)), TOKENS) for kind in (list, np.array))
    assert as_lists.query == as_arrays.query == QUERY
    assert AttentionStepper(*map(torch.tensor, (QUERY, KEY, VALUE)), TOKENS).value == VALUE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": ["a", "b"]}, "query has 3 rows, but there are 2 tokens"),
        ({"key": [[1, 2, 3]] * 3}, "A query has 2 features and a key 3"),
        ({"value": [1, 2, 3]}, r"value needs two axes, .* has shape \(3,\)"),
        ({"value": [[0] * 9] * 3}, "value has 9 features"),
        ({"mask": "padding"}, "mask='padding' is not known"),
        ({"mask": torch.ones(3, 3)}, "must be boolean"),
        ({"mask": torch.ones(2, 3, dtype=torch.bool)}, r"\(2, 3\)"),
        ({"divide_by": "√d_model"}, "divide_by='√d_model' is not one of"),
        ({"softmax_over": "rows"}, "softmax_over='rows' is not one of"),
    ],
)
def test_what_does_not_fit_is_said(change, message):
    given = {"query": QUERY, "key": KEY, "value": VALUE, "tokens": TOKENS} | change
    with pytest.raises(ValueError, match=message):
        AttentionStepper(**given)


def test_too_many_tokens_are_refused():
    with pytest.raises(ValueError, match="There are 9 tokens; this view shows at most 8"):
        AttentionStepper([[1]] * 9, [[1]] * 9, [[1]] * 9, list("abcdefghi"))


def test_the_output_holds_view_picture_and_text():
    data, metadata = AttentionStepper(QUERY, KEY, VALUE, TOKENS, mask="causal")._repr_mimebundle_()
    assert {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(data)
    assert data["text/plain"].startswith("AttentionStepper('Mia kite it', d_head 2")
    assert "3 of 9 places closed" in data["text/plain"]
    assert "largest weight is 1.00: Mia looking at Mia" in metadata["image/png"]["alt"]


def test_the_picture_shows_the_steps_with_chinese_tokens():
    plots.style()
    words = ["我", "爱", "学习", "编程"]
    query, key, value = random_parts()
    figure, _ = AttentionStepper(query, key, value, words).static_picture()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:3] == ["query", "key", "value"]
    assert titles[4:] == ["1 scores", "2 ÷ √d_head", "3 mask", "4 softmax", "5 output"]
    assert [label.get_text() for label in figure.axes[4].get_yticklabels()] == words
