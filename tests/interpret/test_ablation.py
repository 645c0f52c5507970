"""Heads switched off do nothing, others do what they did, and the model is afterwards as it was."""

import copy

import pytest
import torch

from course_lib.interpret import ablate, edit_heads, head_means
from course_lib.interpret.reading import HeadAt

TOKENS = torch.tensor([[1, 4, 2, 7, 4, 2], [3, 3, 5, 1, 0, 6]])


@pytest.fixture
def model(gpt):
    return gpt(positions="rotary", n_kv_heads=2)


def without_columns(model, layer, head):
    """The same model with a head cut out of W_O by hand."""
    model = copy.deepcopy(model)
    model.blocks[layer].attention.output.weight.data[:, head * 8 : head * 8 + 8] = 0
    return model


def test_zero_is_the_same_as_cutting_the_head_out(model):
    with ablate(model, [(1, 3)]):
        logits = model(TOKENS).logits
    torch.testing.assert_close(logits, without_columns(model, 1, 3)(TOKENS).logits, atol=1e-5, rtol=1e-5)
    with ablate(model, [(0, 0), (2, 1), (2, 2)]):
        logits = model(TOKENS).logits
    expected = without_columns(without_columns(without_columns(model, 0, 0), 2, 1), 2, 2)(TOKENS).logits
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_explicit_weights_and_the_fused_kernel_are_ablated_alike(model):
    with ablate(model, [(1, 3)]):
        fused, spelled_out = model(TOKENS).logits, model(TOKENS, return_attentions=True).logits
    torch.testing.assert_close(fused, spelled_out, atol=1e-5, rtol=1e-5)


def test_nothing_ablated_changes_nothing(model):
    before = model(TOKENS).logits
    with ablate(model, []):
        torch.testing.assert_close(model(TOKENS).logits, before, atol=1e-5, rtol=1e-5)
    assert torch.equal(model(TOKENS).logits, before)


def head_output(model, layer, head, tokens):
    """A head's output, read off at the entrance of W_O."""
    seen = []
    hook = model.blocks[layer].attention.output.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        model(tokens)
    hook.remove()
    return seen[0][..., head * 8 : head * 8 + 8]


def test_means_are_those_of_all_tokens_of_all_batches(model):
    batches = [TOKENS, TOKENS[:1, :3]]
    means = head_means(model, batches)
    assert len(means) == 3 * 4
    for layer, head in [(0, 0), (1, 3), (2, 2)]:
        outputs = torch.cat([head_output(model, layer, head, batch).reshape(-1, 8) for batch in batches])
        torch.testing.assert_close(means[HeadAt("self", layer, head)], outputs.mean(dim=0), atol=1e-5, rtol=1e-4)


def test_a_mean_takes_the_heads_place_at_every_position(model):
    means = head_means(model, [TOKENS])
    seen = []
    hook = model.blocks[1].attention.output.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    with torch.no_grad(), ablate(model, [(1, 2)], means):
        model(TOKENS)
    hook.remove()
    expected = means[HeadAt("self", 1, 2)].expand(2, 6, 8)
    torch.testing.assert_close(seen[0][..., 16:24], expected)
    torch.testing.assert_close(seen[0][..., :16], torch.cat([head_output(model, 1, h, TOKENS) for h in (0, 1)], -1))


def test_a_patched_head_says_what_it_said_in_another_run(model):
    other = TOKENS.flip(0)
    kept = head_output(model, 1, 0, other)
    with torch.no_grad(), edit_heads(model, {HeadAt("self", 1, 0): lambda output: kept}):
        assert torch.equal(head_output(model, 1, 1, TOKENS), head_output(model, 1, 1, TOKENS))
        logits = model(TOKENS).logits
    assert not torch.allclose(logits, model(TOKENS).logits)


def test_gradients_flow_around_an_ablated_head(model):
    with ablate(model, [(1, 3)]):
        model(TOKENS, targets=TOKENS).loss.backward()
    gradient = model.blocks[1].attention.output.weight.grad
    assert gradient[:, 24:].abs().max() == 0
    assert gradient[:, :24].abs().max() > 0


def test_each_step_of_generation_is_ablated(model):
    from course_lib.generation import generate

    prompt = TOKENS[:1, :3]
    with ablate(model, [(1, 3), (0, 2)]):
        written = generate(model, prompt, 6, temperature=0.0)
    surgery = without_columns(without_columns(model, 1, 3), 0, 2)
    assert torch.equal(written, generate(surgery, prompt, 6, temperature=0.0))


def test_the_model_is_restored_when_something_raises(model):
    before = model(TOKENS).logits
    with pytest.raises(RuntimeError, match="midway"), ablate(model, [(1, 3)]):
        model(TOKENS)
        raise RuntimeError("midway")
    assert torch.equal(model(TOKENS).logits, before)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


def test_heads_and_layers_that_are_not_there(model):
    for head, message in [
        ((1, 4), "no head 4 in layer 1 of 'self': heads go from 0 to 3"),
        ((3, 0), "no layer 3 in 'self': its layers go from 0 to 2"),
        (("cross", 0, 0), "no layer 0 in 'cross': this model has"),
    ]:
        with pytest.raises(ValueError, match=message), ablate(model, [head]):
            model(TOKENS)
    with pytest.raises(ValueError, match="no mean for"), ablate(model, [(0, 0)], {}):
        pass
    with pytest.raises(ValueError, match="nothing to take a mean of"):
        head_means(model, [])


def test_a_failure_inside_is_not_hidden_by_a_missed_layer(model):
    with pytest.raises(KeyError), ablate(model, [(7, 0)]):
        model(TOKENS)
        raise KeyError


def test_cross_attention_of_an_encoder_decoder(transformers_model):
    model = transformers_model("bart", "sdpa")
    inputs = {"input_ids": TOKENS[:, :4], "decoder_input_ids": TOKENS}
    with torch.no_grad(), ablate(model, [("cross", 2, 1), ("encoder", 1, 3)]):
        logits = model(**inputs).logits
    surgery = copy.deepcopy(model)
    surgery.model.decoder.layers[2].encoder_attn.out_proj.weight.data[:, 16:] = 0
    surgery.model.encoder.layers[1].self_attn.out_proj.weight.data[:, 24:] = 0
    with torch.no_grad():
        torch.testing.assert_close(logits, surgery(**inputs).logits, atol=1e-5, rtol=1e-4)
