"""The cache answers what was stored, in order, and refuses what does not fit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.nn.kv_cache import ContextCache, KVCache


@given(st.lists(st.integers(1, 3), min_size=1, max_size=5), st.sampled_from([torch.float32, torch.bfloat16]))
def test_answers_everything_stored_oldest_first(lengths, dtype):
    cache = KVCache(2, 3, sum(lengths), 4, dtype=dtype)
    keys, values = (torch.randn(2, 3, sum(lengths), 4, dtype=dtype) for _ in range(2))
    end = 0
    for length in lengths:
        new = slice(end, end + length)
        end += length
        past_keys, past_values = cache.append(keys[:, :, new], values[:, :, new])
        assert torch.equal(past_keys, keys[:, :, :end])
        assert torch.equal(past_values, values[:, :, :end])
        assert cache.length == end


def test_more_than_fits_is_refused_and_changes_nothing():
    cache = KVCache(1, 1, 4, 2)
    three = torch.randn(1, 1, 3, 2)
    cache.append(three, three)
    with pytest.raises(ValueError, match=r"holds 4 positions; 3 are taken and 3 more"):
        cache.append(three, three)
    assert cache.length == 3
    one = torch.randn(1, 1, 1, 2)
    assert torch.equal(cache.append(one, one)[0], torch.cat([three, one], dim=2))


@pytest.mark.parametrize(("batch", "heads"), [(1, 2), (3, 1), (4, 2)])
def test_another_batch_or_number_of_heads(batch, heads):
    cache = KVCache(3, 2, 4, 2)
    new = torch.randn(batch, heads, 1, 2)
    with pytest.raises(ValueError, match=rf"3 sequences and 2 key-value heads, but it was given {batch} and {heads}"):
        cache.append(new, new)
    assert cache.length == 0


def test_a_context_is_computed_once_and_its_rows_can_change_places():
    cache, calls = ContextCache(), []

    def compute():
        calls.append(1)
        return torch.arange(3.0).view(3, 1, 1, 1), torch.arange(3.0, 6.0).view(3, 1, 1, 1)

    cache.reorder(torch.tensor([0, 1, 2]))  # nothing is there yet
    first, second = cache.get(compute), cache.get(compute)
    assert len(calls) == 1
    assert first[0] is second[0]
    cache.reorder(torch.tensor([2, 2, 0]))
    assert [kept.flatten().tolist() for kept in cache.get(compute)] == [[2, 2, 0], [5, 5, 3]]
