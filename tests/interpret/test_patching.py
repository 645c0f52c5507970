"""What a patch brings back: nothing, all, or the part that can be worked out by hand."""

from functools import partial

import numpy as np
import pytest
import torch

from course_lib.interpret import Site, edit_activations, logit_difference, patch_each, patch_path, record_activations

CLEAN = torch.tensor([[1, 4, 2, 7, 4, 2], [3, 3, 5, 1, 0, 6]])
CORRUPTED = torch.tensor([[1, 4, 9, 7, 4, 2], [3, 3, 8, 1, 0, 6]])  # another token at position 2
METRIC = logit_difference(torch.tensor([7, 1]), torch.tensor([2, 5]))


@pytest.fixture
def model(gpt):
    return gpt()


def test_the_metric_is_the_difference_of_two_logits():
    logits = torch.randn(2, 6, 17)
    expected = [logits[0, -1, 7] - logits[0, -1, 2], logits[1, -1, 1] - logits[1, -1, 5]]
    assert METRIC(logits).tolist() == pytest.approx([value.item() for value in expected])
    early = logit_difference(torch.tensor([7, 1]), torch.tensor([2, 5]), position=0)
    assert early(logits)[0] == logits[0, 0, 7] - logits[0, 0, 2]


def test_the_stream_carries_the_difference_from_where_it_enters_to_where_it_is_read(model):
    patching = patch_each(model, CLEAN, CORRUPTED, METRIC)
    assert patching.effect.shape == (4, 6)
    first, last = np.zeros(6), np.zeros(6)
    first[2] = last[5] = 1  # in the embedding all of it is at the changed token; at the end, at the last position
    np.testing.assert_allclose(patching.effect[0], first, atol=1e-5)
    np.testing.assert_allclose(patching.effect[-1], last, atol=1e-5)
    np.testing.assert_allclose(patching.effect[:, :2], 0, atol=1e-5)  # nothing reaches back
    with torch.no_grad():
        assert patching.clean == pytest.approx(METRIC(model(CLEAN).logits).mean().item(), abs=1e-4)
        assert patching.corrupted == pytest.approx(METRIC(model(CORRUPTED).logits).mean().item(), abs=1e-4)


def test_one_cell_is_what_the_definition_says(model):
    effects = {part: patch_each(model, CLEAN, CORRUPTED, METRIC, part).effect for part in ("attention", "mlp")}
    with torch.no_grad(), record_activations(model) as seen:
        clean = METRIC(model(CLEAN).logits).mean()
        kept = dict(seen)
        corrupted = METRIC(model(CORRUPTED).logits).mean()
    for part, layer, position in [("attention", 1, 5), ("mlp", 0, 2)]:
        here = torch.arange(6)[:, None] == position
        put_in = partial(torch.where, here, kept[Site(part, layer)])
        with torch.no_grad(), edit_activations(model, {Site(part, layer): put_in}):
            patched = METRIC(model(CORRUPTED).logits).mean()
        expected = (patched - corrupted) / (clean - corrupted)
        assert effects[part][layer, position] == pytest.approx(expected.item(), abs=1e-4)
        assert abs(expected) > 1e-3


@pytest.mark.slow
def test_heads_are_patched_at_all_positions_unless_told_otherwise(model):
    together = patch_each(model, CLEAN, CORRUPTED, METRIC, "head")
    assert together.effect.shape == (3, 4)
    each = patch_each(model, CLEAN, CORRUPTED, METRIC, "head", each_position=True)
    assert each.effect.shape == (3, 4, 6)
    np.testing.assert_allclose(each.effect[..., :2], 0, atol=1e-5)
    # In the last layer only the last position is read.
    np.testing.assert_allclose(each.effect[2, :, 5], together.effect[2], atol=1e-5)


def test_some_positions(model):
    whole = patch_each(model, CLEAN, CORRUPTED, METRIC)
    some = patch_each(model, CLEAN, CORRUPTED, METRIC, positions=[2, -1])
    assert some.positions == (2, 5)
    np.testing.assert_allclose(some.effect, whole.effect[:, [2, 5]], atol=1e-6)
    both = patch_each(model, CLEAN, CORRUPTED, METRIC, positions=[2, 3, 4, 5], each_position=False)
    np.testing.assert_allclose(both.effect, 1, atol=1e-5)  # all that differs


def test_the_paths_of_a_head_add_up_where_nothing_bends_them(gpt):
    """Without norms and feed-forward networks, what layer 1 writes reaches the logits only straight away or through
    the heads of layer 2; the straight way is a matter of addition."""
    model = gpt(norm_position="none", feed_forward=False, n_layers=2)
    sender = Site("head", 1, 2)
    straight = patch_path(model, CLEAN, CORRUPTED, METRIC, sender, Site("stream", 2))
    everything = patch_each(model, CLEAN, CORRUPTED, METRIC, "head").effect
    assert straight == pytest.approx(everything[1, 2], abs=1e-5)  # nothing comes after the last layer
    early = Site("head", 0, 1)
    ways = [patch_path(model, CLEAN, CORRUPTED, METRIC, early, Site("head", 1, head)) for head in range(4)]
    assert max(map(abs, ways)) > 1e-3
    ways.append(patch_path(model, CLEAN, CORRUPTED, METRIC, early, Site("stream", 2)))
    assert sum(ways) == pytest.approx(everything[0, 1], abs=1e-4)


def test_a_path_backwards_carries_nothing(model):
    assert patch_path(model, CLEAN, CORRUPTED, METRIC, Site("head", 2, 0), Site("head", 1, 0)) == pytest.approx(
        0, abs=1e-5
    )


def test_the_cross_attention_of_an_encoder_decoder(transformers_model):
    model = transformers_model("bart", "sdpa")
    decoder = torch.tensor([[0, 5, 6], [0, 7, 8]])
    clean, corrupted = ({"input_ids": ids, "decoder_input_ids": decoder} for ids in (CLEAN, CORRUPTED))
    encoder = patch_each(model, clean, corrupted, METRIC, view="encoder")
    assert encoder.effect.shape == (3, 6)
    assert encoder.effect[0, 2] == pytest.approx(1, abs=1e-4)
    cross = patch_each(model, clean, corrupted, METRIC, "head", view="cross")
    assert cross.effect.shape == (3, 2) and np.abs(cross.effect).max() > 1e-3
    all_cross = [Site("attention", layer, view="cross") for layer in range(3)]
    with torch.no_grad(), record_activations(model, ["attention"]) as seen:
        model(**clean)
        kept = {site: seen[site] for site in all_cross}
        with edit_activations(model, {site: lambda _, site=site: kept[site] for site in all_cross}):
            patched = METRIC(model(**corrupted).logits).mean().item()
    assert patched == pytest.approx(cross.clean, abs=1e-4)  # the decoder knows the text through these alone


def test_the_model_is_restored_when_the_metric_raises(model):
    before = model(CLEAN).logits

    def failing(logits):
        raise RuntimeError("metric")

    with pytest.raises(RuntimeError, match="metric"):
        patch_each(model, CLEAN, CORRUPTED, failing)
    assert torch.equal(model(CLEAN).logits, before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_inputs_that_cannot_be_compared(model):
    with pytest.raises(ValueError, match="must have the same shape.*don't add or remove"):
        patch_each(model, CLEAN, CORRUPTED[:, :5], METRIC)
    with pytest.raises(ValueError, match="there is nothing to bring back"):
        patch_each(model, CLEAN, CLEAN, METRIC)
    with pytest.raises(ValueError, match="no 'mlp' in the view 'cross' of GPT"):
        patch_each(model, CLEAN, CORRUPTED, METRIC, "mlp", view="cross")
    with pytest.raises(ValueError, match="no part 'thought'"):
        patch_each(model, CLEAN, CORRUPTED, METRIC, "thought")
    with pytest.raises(ValueError, match="no .*'head', 9.* in this model"):
        patch_path(model, CLEAN, CORRUPTED, METRIC, Site("head", 9, 0), Site("head", 1, 0))
