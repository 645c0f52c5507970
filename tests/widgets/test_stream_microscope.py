import pytest
import torch
import torch.nn.functional as F

from course_lib.models.gpt import GPT, GPTConfig
from course_lib.text.tokenizers import CharTokenizer
from course_lib.widgets.stream_microscope import StreamMicroscope, read_stream

TEXT = "the cat sat"
TOKENIZER = CharTokenizer.train([TEXT])


def small_gpt(**options):
    torch.manual_seed(0)
    return GPT(GPTConfig(TOKENIZER.vocab_size, 16, d_model=16, n_heads=2, n_layers=2, **options)).eval()


def some_tokens():
    return torch.tensor([TOKENIZER.end_id, *TOKENIZER.encode(TEXT)])


@pytest.mark.parametrize("norm_position", ["pre", "post", "none"])
@pytest.mark.parametrize("positions", ["learned", "rotary", "alibi"])
def test_the_last_stream_gives_the_models_own_logits(norm_position, positions):
    model, tokens = small_gpt(norm_position=norm_position, positions=positions), some_tokens()
    last = read_stream(model, tokens)[-1].after
    with torch.no_grad():
        torch.testing.assert_close(model.unembedding(model.final_norm(last)), model(tokens[None]).logits[0])


def test_prenorm_stream_is_the_sum_of_what_was_written():
    steps = read_stream(small_gpt(), some_tokens())
    assert [step.name for step in steps[:3]] == ["embedding", "block 1 attention", "block 1 feed-forward"]
    torch.testing.assert_close(sum(step.written for step in steps), steps[-1].after)
    torch.testing.assert_close(steps[2].after, steps[3].before)


def test_other_wirings_of_the_same_weights():
    model, tokens = small_gpt(), some_tokens()
    alone = read_stream(model, tokens, residual=False)
    torch.testing.assert_close(alone[1].after, alone[1].written)
    after = read_stream(model, tokens, "post")[1]
    torch.testing.assert_close(after.after, model.blocks[0].attention_norm(after.before + after.written).detach())
    with pytest.raises(ValueError, match="no norm position 'above'"):
        read_stream(model, tokens, "above")


def test_a_model_in_training_is_left_in_training():
    model = small_gpt(dropout=0.5).train()
    first, second = (read_stream(model, some_tokens())[-1].after for _ in range(2))
    assert torch.equal(first, second) and model.training


def test_the_widget_shows_the_streams_sizes_and_the_models_loss():
    model, tokens = small_gpt(), some_tokens()
    widget = StreamMicroscope(model, TOKENIZER, TEXT)
    step = read_stream(model, tokens)[3]
    assert widget.shown["written"][3][5] == pytest.approx(step.written[5].square().mean().sqrt().item(), rel=1e-3)
    cosine = F.cosine_similarity(step.before[5], step.written[5], dim=0).item()
    assert widget.shown["cosine"][3][5] == pytest.approx(cosine, abs=1e-3)
    with torch.no_grad():
        loss = F.cross_entropy(model(tokens[None]).logits[0, :-1], tokens[1:]).item()
    assert widget.shown["loss"] == pytest.approx(loss, abs=1e-3)


def test_switches_read_the_stream_again():
    widget = StreamMicroscope(small_gpt(), TOKENIZER, TEXT)
    before = widget.shown
    widget.residual = False
    assert widget.shown["after"][1] == widget.shown["written"][1]
    widget.residual = True
    assert widget.shown == before
    widget.norm_position = "post"
    assert widget.shown["after"] != before["after"]
    assert "norm after, residual path on" in repr(widget)


def test_one_output_holds_view_picture_and_text():
    data, metadata = StreamMicroscope(small_gpt(), TOKENIZER, TEXT)._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"} <= set(data)
    assert "“t”" in metadata["image/png"]["alt"]
    assert data["text/plain"].startswith("StreamMicroscope(norm before, residual path on")


@pytest.mark.parametrize(("text", "said"), [("", "it has 0"), ("the cat sat the cat", "1 to 15 tokens, and it has 19")])
def test_a_text_that_cannot_be_shown_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        StreamMicroscope(small_gpt(), TOKENIZER, text)
