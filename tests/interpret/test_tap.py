"""The tap spells out the fused kernel: same numbers, whatever the kernel is asked for."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib.interpret.tap import AttentionTap

DRAW = torch.Generator().manual_seed(3)
QUERY = torch.randn(2, 4, 5, 8, generator=DRAW)
KEY = torch.randn(2, 4, 7, 8, generator=DRAW)
VALUE = torch.randn(2, 4, 7, 6, generator=DRAW)
ADDED = 3 * torch.randn(5, 7, generator=DRAW)
ALLOWED = torch.rand(2, 1, 5, 7, generator=DRAW) > 0.3
ALLOWED[:, :, 2] = False  # a query that may look nowhere


class Kernel(nn.Module):
    """Nothing but the fused kernel."""

    def forward(self, *arguments, **options):
        return F.scaled_dot_product_attention(*arguments, **options)


CASES = {
    "nothing": ((QUERY, KEY, VALUE), {}),
    "a boolean mask with a blind query": ((QUERY, KEY, VALUE), {"attn_mask": ALLOWED}),
    "a mask to add": ((QUERY, KEY, VALUE), {"attn_mask": ADDED}),
    "minus infinity to add": ((QUERY, KEY, VALUE), {"attn_mask": ADDED.masked_fill(~ALLOWED[0, 0], -torch.inf)}),
    "causal": ((QUERY, KEY[:, :, :5], VALUE[:, :, :5]), {"is_causal": True}),
    "causal with more keys": ((QUERY, KEY, VALUE), {"is_causal": True}),
    "grouped heads and a scale": ((QUERY, KEY[:, :2], VALUE[:, :2]), {"enable_gqa": True, "scale": 0.3}),
}


@pytest.mark.parametrize(("arguments", "options"), CASES.values(), ids=CASES)
def test_the_output_is_the_kernels(arguments, options):
    calls = []
    with AttentionTap(kernel := Kernel(), on_call=calls.append):
        output = kernel(*arguments, **options)
    torch.testing.assert_close(output, kernel(*arguments, **options), atol=1e-5, rtol=1e-5)
    (call,) = calls
    torch.testing.assert_close(call.weights @ call.value, output)
    sums = call.weights.sum(dim=-1)
    assert ((sums - 1).abs().lt(1e-5) | sums.eq(0)).all()


def test_only_the_model_that_was_named_is_seen():
    calls = []
    with AttentionTap(Kernel(), on_call=calls.append):
        F.scaled_dot_product_attention(QUERY, KEY, VALUE)
    assert not calls


def test_a_softmax_that_mixes_no_values_is_no_attention():
    """Experts are chosen by a softmax too, and some heads are read without being used."""

    class Other(nn.Module):
        def forward(self, x):
            gates = x.softmax(dim=-1)
            return (gates @ torch.ones(1, 4, 9, 3)).sum() + torch.randn(2, 3).softmax(-1).sum()

    calls = []
    with AttentionTap(other := Other(), on_call=calls.append):
        other(torch.randn(1, 4, 5, 9))
        other(torch.randn(2, 4, 5, 9))  # one set of values for two texts is no product of heads
    assert len(calls) == 1


def test_taps_can_stand_inside_each_other():
    outer, inner = [], []
    kernel = Kernel()
    with AttentionTap(kernel, on_call=outer.append), AttentionTap(kernel, on_call=inner.append):
        kernel(QUERY, KEY, VALUE)
    assert len(inner) == 1
    assert len(outer) == 1
