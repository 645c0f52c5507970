"""A GPT without feed-forward networks: attention alone, counted, generated with, saved and refused as it should be."""

import pytest
import torch

from course_lib.generation import generate
from course_lib.hub import load_model, save_model, to_huggingface
from course_lib.models.counting import count_parameters, forward_flops
from course_lib.models.gpt import GPT, GPTConfig

SHAPE = {"vocab_size": 29, "context_length": 12, "d_model": 48, "n_heads": 4, "n_layers": 3}
TOKENS = torch.arange(1, 9)[None]


@pytest.mark.parametrize("settings", [{}, {"norm_position": "post"}, {"bias": False, "norm": "rmsnorm"}], ids=str)
def test_it_is_the_model_whose_feed_forward_networks_add_nothing(settings):
    torch.manual_seed(0)
    whole = GPT(GPTConfig(**SHAPE, **settings))
    alone = GPT(GPTConfig(**SHAPE, **settings, feed_forward=False))
    missing, unexpected = alone.load_state_dict(whole.state_dict(), strict=False)
    assert not missing and all("feed_forward" in name for name in unexpected) and unexpected
    with torch.no_grad():
        for block in whole.blocks:
            block.feed_forward.down.weight.zero_()
            if block.feed_forward.down.bias is not None:
                block.feed_forward.down.bias.zero_()
    if settings.get("norm_position") != "post":  # there the second norm would still do something
        torch.testing.assert_close(alone(TOKENS).logits, whole(TOKENS).logits)
    count = count_parameters(alone.config)
    assert count.total == alone.count_parameters() and count.feed_forward == 0
    assert forward_flops(alone.config, 8) < forward_flops(whole.config, 8)


def test_it_generates_is_saved_and_is_no_model_of_transformers(tmp_path):
    torch.manual_seed(0)
    model = GPT(GPTConfig(**SHAPE, feed_forward=False)).eval()
    written = generate(model, TOKENS, 3, temperature=0.0)
    for step in range(3):
        assert written[0, 8 + step] == model(written[:, : 8 + step]).logits[0, -1].argmax()
    loaded, _ = load_model(save_model(tmp_path / "model", model))
    assert torch.equal(loaded(TOKENS).logits, model(TOKENS).logits)
    with pytest.raises(ValueError, match="feed_forward=False"):
        to_huggingface(model)
