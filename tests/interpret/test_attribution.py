"""The shares of a logit add up to it, and each is what taking that part out of the last sum takes away."""

import pytest
import torch

from course_lib.interpret import Site, attribute_logits, record_activations

TOKENS = torch.tensor([[1, 4, 2, 7, 4, 2], [3, 3, 5, 1, 0, 6]])
RIGHT, WRONG = TOKENS.roll(-1, 1), TOKENS.roll(1, 1)


def total_of(found):
    parts = found.heads.sum(dim=(0, 1)) + found.embedding + found.constant
    return parts if found.mlps is None else parts + found.mlps.sum(dim=0)


@pytest.mark.parametrize(
    "settings",
    [{}, {"feed_forward": False}, {"norm": "rmsnorm", "bias": False, "positions": "rotary", "n_kv_heads": 2}],
    ids=["layernorm", "attention only", "rmsnorm"],
)
def test_the_shares_add_up(gpt, settings):
    model = gpt(**settings)
    with torch.no_grad():
        for parameter in model.final_norm.parameters():  # an untrained norm does nothing of its own
            parameter.add_(torch.randn_like(parameter) / 4)
        logits = model(TOKENS).logits
    found = attribute_logits(model, TOKENS, RIGHT, WRONG)
    expected = logits.gather(-1, RIGHT[..., None]) - logits.gather(-1, WRONG[..., None])
    torch.testing.assert_close(found.total, expected[..., 0])
    torch.testing.assert_close(total_of(found), found.total, atol=1e-4, rtol=1e-4)
    alone = attribute_logits(model, TOKENS, RIGHT)
    torch.testing.assert_close(total_of(alone), alone.total, atol=1e-4, rtol=1e-4)
    assert found.heads.shape == (3, 4, 2, 6)
    assert (found.mlps is None) == (settings.get("feed_forward") is False)


def test_a_share_is_the_parts_vector_through_the_norm_as_it_was(gpt):
    model = gpt()
    found = attribute_logits(model, TOKENS, RIGHT)
    with torch.no_grad(), record_activations(model) as seen:
        model(TOKENS)
    stream, written = seen[Site("stream", 3)], seen[Site("mlp", 1)]
    spread = (stream.var(dim=-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    normed = (written - written.mean(dim=-1, keepdim=True)) / spread * model.final_norm.weight
    torch.testing.assert_close(found.mlps[1], (normed * model.unembedding.weight[RIGHT]).sum(-1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral"])
def test_models_of_transformers(name, transformers_model):
    found = attribute_logits(transformers_model(name), TOKENS, RIGHT, WRONG)
    torch.testing.assert_close(total_of(found), found.total, atol=1e-4, rtol=1e-3)


def test_models_without_such_a_sum(gpt, transformers_model):
    with pytest.raises(ValueError, match="BertForMaskedLM has no norm followed by one unembedding"):
        attribute_logits(transformers_model("bert"), TOKENS, RIGHT)
    with pytest.raises(ValueError, match="shares of GPT miss its logits by up to"):
        attribute_logits(gpt(logit_cap=1.0), TOKENS, RIGHT)
    with pytest.raises(ValueError, match="shares of GPT miss its logits"):
        attribute_logits(gpt(norm_position="post"), TOKENS, RIGHT)
