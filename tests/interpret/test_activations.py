"""Every site shows what the model computed there, an edit takes its place, and the model is afterwards as it was."""

import pytest
import torch

from course_lib.interpret import Site, edit_activations, record_activations
from course_lib.interpret.activations import block_stacks

TOKENS = torch.tensor([[1, 4, 2, 7, 4, 2], [3, 3, 5, 1, 0, 6]])
TRANSFORMERS = ("gpt2", "llama", "mistral", "bloom", "bert", "roberta")


def hooks_of(model):
    return [m for m in model.modules() if m._forward_hooks or m._forward_pre_hooks]


def recorded(model, *inputs, **named):
    with torch.no_grad(), record_activations(model) as seen:
        output = model(*inputs, **named)
    return seen, output


@pytest.mark.parametrize("settings", [{}, {"feed_forward": False}, {"norm_position": "none"}])
def test_the_stream_is_what_was_there_plus_what_was_added(gpt, settings):
    model = gpt(**settings)
    seen, output = recorded(model, TOKENS)
    for layer in range(3):
        after = seen[Site("stream", layer)] + seen[Site("attention", layer)]
        if settings.get("feed_forward", True):
            after = after + seen[Site("mlp", layer)]
        torch.testing.assert_close(after, seen[Site("stream", layer + 1)])
    torch.testing.assert_close(model.unembedding(model.final_norm(seen[Site("stream", 3)])), output.logits)
    assert Site("stream", 4) not in seen and (Site("mlp", 0) in seen) == settings.get("feed_forward", True)


def test_heads_through_w_o_are_what_the_attention_adds(gpt):
    model = gpt(n_kv_heads=2)
    seen, _ = recorded(model, TOKENS)
    heads = torch.cat([seen[Site("head", 1, head)] for head in range(4)], dim=-1)
    torch.testing.assert_close(
        model.blocks[1].attention.output(heads), seen[Site("attention", 1)], atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_stream_of_transformers_models_is_their_hidden_states(name, transformers_model):
    model = transformers_model(name)
    with torch.no_grad(), record_activations(model) as seen:
        states = model(TOKENS, output_hidden_states=True).hidden_states
    stack = block_stacks(model)["self"]
    for layer in range(stack.n_layers):
        torch.testing.assert_close(seen[Site("stream", layer)], states[layer])
    heads = [site for site in seen if site.part == "head"]
    assert len(heads) == 4 * stack.n_layers
    if name not in ("bert", "roberta"):  # pre-norm: the parts add up
        for layer in range(stack.n_layers):
            parts = seen[Site("stream", layer)] + seen[Site("attention", layer)] + seen[Site("mlp", layer)]
            torch.testing.assert_close(parts, seen[Site("stream", layer + 1)], atol=1e-5, rtol=1e-4)
    else:
        block = stack.blocks[1]
        middle = block.attention.output.LayerNorm(seen[Site("stream", 1)] + seen[Site("attention", 1)])
        out = block.output.LayerNorm(middle + seen[Site("mlp", 1)])
        torch.testing.assert_close(out, seen[Site("stream", 2)], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_an_encoder_decoder_has_sites_in_both_stacks(name, transformers_model):
    model = transformers_model(name)
    with torch.no_grad(), record_activations(model) as seen:
        output = model(
            input_ids=TOKENS[:, :4], decoder_input_ids=TOKENS, output_hidden_states=True, output_attentions=True
        )
    for view, states in (("encoder", output.encoder_hidden_states), ("decoder", output.decoder_hidden_states)):
        for layer, state in enumerate(states[:-1]):
            torch.testing.assert_close(seen[Site("stream", layer, view=view)], state)
    layer = 1
    parts = [Site("stream", layer, view="decoder"), Site("attention", layer, view="decoder")]
    parts += [Site("attention", layer, view="cross"), Site("mlp", layer, view="decoder")]
    if name == "t5":  # pre-norm
        expected = seen[Site("stream", layer + 1, view="decoder")]
        torch.testing.assert_close(sum(seen[site] for site in parts), expected, atol=1e-5, rtol=1e-4)
    assert all(site in seen for site in parts)
    assert {site.view for site in seen if site.part == "head"} == {"encoder", "decoder", "cross"}


SITES = [
    Site("stream", 0),
    Site("stream", 2),
    Site("stream", 3),
    Site("attention", 1),
    Site("mlp", 0),
    Site("head", 1, 2),
]


@pytest.mark.parametrize("site", SITES, ids=str)
def test_an_edit_takes_the_place_of_the_value(gpt, site):
    model = gpt()
    before = model(TOKENS).logits
    with edit_activations(model, {site: lambda value: value}):
        torch.testing.assert_close(model(TOKENS).logits, before, atol=1e-5, rtol=1e-5)
    other, expected = recorded(model, TOKENS.flip(0))
    assert not torch.allclose(expected.logits, before)
    with edit_activations(model, {site: lambda value: other[site]}):
        patched = model(TOKENS).logits
    assert not torch.allclose(patched, before)
    if site in (Site("stream", 0), Site("stream", 2), Site("stream", 3)):  # all that the rest of the model sees
        torch.testing.assert_close(patched, expected.logits, atol=1e-5, rtol=1e-5)
    assert torch.equal(model(TOKENS).logits, before)


def test_a_sublayer_that_says_nothing_is_a_block_without_it(gpt):
    model = gpt()
    with torch.no_grad():
        with edit_activations(model, {Site("mlp", layer): torch.zeros_like for layer in range(3)}):
            silenced = model(TOKENS).logits
        for block in model.blocks:
            block.feed_forward = block.feed_forward_norm = None
        torch.testing.assert_close(silenced, model(TOKENS).logits)


def test_the_model_is_restored_when_something_raises(gpt):
    model = gpt()
    before = model(TOKENS).logits

    def fail(value):
        raise RuntimeError("midway")

    for site in SITES:
        with pytest.raises(RuntimeError, match="midway"), edit_activations(model, {site: fail}):
            model(TOKENS)
        with pytest.raises(RuntimeError, match="later"), edit_activations(model, {site: torch.zeros_like}):
            model(TOKENS)
            raise RuntimeError("later")
    assert not hooks_of(model)
    assert torch.equal(model(TOKENS).logits, before)


def test_a_run_that_failed_halfway_does_not_shift_the_layers_of_the_next(gpt):
    model = gpt()
    expected, _ = recorded(model, TOKENS)
    failing = {"now": True}

    def fail_once(value):
        if failing.pop("now", False):
            raise RuntimeError("midway")
        return value

    with torch.no_grad(), record_activations(model) as seen, edit_activations(model, {Site("mlp", 1): fail_once}):
        with pytest.raises(RuntimeError):
            model(TOKENS)
        model(TOKENS)
    assert seen.keys() == expected.keys()
    torch.testing.assert_close(seen[Site("stream", 2)], expected[Site("stream", 2)])


def test_places_that_are_not_there(gpt):
    for site, message in [
        (Site("stream", 4), "no stream in layer 4 of 'self': its layers go from 0 to 3"),
        (Site("mlp", 3), "no mlp in layer 3 of 'self': its layers go from 0 to 2"),
        (Site("mlp", 0, view="decoder"), "this model has no mlp in 'decoder'"),
        (Site("head", 0, 9), "no head 9 in layer 0"),
        (Site("thought", 0), "no part 'thought': choose from 'stream'"),
    ]:
        with pytest.raises(ValueError, match=message), edit_activations(model := gpt(), {site: lambda value: value}):
            model(TOKENS)
    with (
        pytest.raises(ValueError, match="No blocks could be found in Linear"),
        record_activations(torch.nn.Linear(2, 2)),
    ):
        pass
    model = gpt(feed_forward=False)
    with (
        pytest.raises(ValueError, match="no mlp in layer 0"),
        edit_activations(model, {Site("mlp", 0): torch.zeros_like}),
    ):
        model(TOKENS)


def test_layers_that_share_their_weights_are_told_apart_by_their_turn(gpt):
    model = gpt()

    class Shared(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.config = model.config
            self.blocks = torch.nn.ModuleList([model.blocks[0]])

        def forward(self, x):
            for _ in range(self.config.n_layers):
                x = self.blocks[0](x).output
            return x

    shared, x = Shared(), torch.randn(1, 4, 32)
    with torch.no_grad(), record_activations(shared) as seen:
        expected = shared(x)
    assert sorted(site.layer for site in seen if site.part == "stream") == [0, 1, 2, 3]
    torch.testing.assert_close(seen[Site("stream", 3)], expected)
    torch.testing.assert_close(model.blocks[0](seen[Site("stream", 1)]).output, seen[Site("stream", 2)])
