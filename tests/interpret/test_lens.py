"""The lens at the last layer is the model; tuning it brings early layers closer to what the model says."""

import pytest
import torch

from course_lib.interpret import TunedLens, logit_lens, record_activations, tune_lens
from course_lib.interpret.lens import lens_losses, read_out, streams_of

TOKENS = torch.tensor([[1, 4, 2, 7, 4, 2], [3, 3, 5, 1, 0, 6]])


@pytest.mark.parametrize(
    "settings",
    [{}, {"norm": "rmsnorm", "positions": "rotary"}, {"norm_position": "post"}, {"logit_cap": 5.0}],
    ids=["layernorm", "rmsnorm", "post", "capped"],
)
def test_each_row_is_the_models_last_step_taken_early(gpt, settings):
    model = gpt(**settings)
    logits = logit_lens(model, TOKENS)
    assert logits.shape == (4, 2, 6, 17)
    with torch.no_grad(), record_activations(model, ["stream"]) as seen:
        torch.testing.assert_close(logits[-1], model(TOKENS).logits, atol=1e-5, rtol=1e-5)
    for row, stream in zip(logits, seen.values(), strict=True):
        expected = model.unembedding(model.final_norm(stream))
        if cap := settings.get("logit_cap"):
            expected = cap * (expected / cap).tanh()
        torch.testing.assert_close(row, expected)


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])
def test_models_of_transformers(name, transformers_model):
    model = transformers_model(name)
    logits = logit_lens(model, TOKENS)
    with torch.no_grad():
        output = model(TOKENS, output_hidden_states=True)
    torch.testing.assert_close(logits[-1], output.logits)
    last_step = {
        "gpt2": lambda state: model.lm_head(model.transformer.ln_f(state)),
        "llama": lambda state: model.lm_head(model.model.norm(state)),
        "bert": lambda state: model.cls(state),
    }[name]
    torch.testing.assert_close(logits[1], last_step(output.hidden_states[1]))


def test_a_new_lens_corrects_nothing(gpt):
    model = gpt()
    for kind in ("bias", "affine"):
        lens = TunedLens(3, 32, kind)
        torch.testing.assert_close(logit_lens(model, TOKENS, lens), logit_lens(model, TOKENS))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bias", "affine"])
def test_tuning_brings_every_layer_closer_on_texts_it_never_saw(gpt, kind):
    model = gpt(positions="rotary")
    requires = [parameter.requires_grad for parameter in model.parameters()]
    weights = [parameter.clone() for parameter in model.parameters()]
    draw = torch.Generator().manual_seed(0)
    lens = tune_lens(model, (torch.randint(17, (8, 8), generator=draw) for _ in range(60)), kind)
    assert (lens.matrix is None) == (kind == "bias")
    assert [parameter.requires_grad for parameter in model.parameters()] == requires
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())

    fresh = torch.randint(17, (20, 8), generator=draw)
    *streams, last = streams_of(model, fresh)
    with torch.no_grad():
        target = read_out(model, fresh, last).log_softmax(-1)
        plain = lens_losses(model, fresh, TunedLens(3, 32), streams, target)
        tuned = lens_losses(model, fresh, lens, streams, target)
    for before, after in zip(plain, tuned, strict=True):
        assert after < 0.98 * before if kind == "bias" else after < 0.8 * before


def test_the_loss_is_the_kl_divergence(gpt):
    model = gpt()
    *streams, last = streams_of(model, TOKENS)
    with torch.no_grad():
        target = read_out(model, TOKENS, last).softmax(-1)
        (loss, *_) = lens_losses(model, TOKENS, TunedLens(3, 32), streams, target.log())
        said = read_out(model, TOKENS, streams[0]).softmax(-1)
    assert loss.item() == pytest.approx((target * (target / said).log()).sum(-1).mean().item(), rel=1e-4)


def test_what_it_cannot_do_is_said(gpt, transformers_model):
    with pytest.raises(ValueError, match="BartForConditionalGeneration has encoder and decoder"):
        logit_lens(transformers_model("bart"), TOKENS)
    with pytest.raises(ValueError, match="no tuned lens 'quadratic': choose from 'bias', 'affine'"):
        TunedLens(2, 8, "quadratic")
    with pytest.raises(ValueError, match="no batch was given"):
        tune_lens(gpt(), [])
