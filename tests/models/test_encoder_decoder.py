"""The encoder–decoder is torch.nn.Transformer from the same weights, and keeps what it promises about padding."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from course_lib.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig, shift_right
from course_lib.models.gpt import IGNORED

T5_LIKE = {
    "positions": "relative",
    "n_buckets": 8,
    "max_distance": 12,
    "norm": "rmsnorm",
    "norm_position": "pre",
    "activation": "geglu",
    "bias": False,
    "scale_scores": False,
    "scale_output": True,
    "d_head": 7,
}
KINDS = {
    "the original": {},
    "pre-norm, learned positions": {"positions": "learned", "norm_position": "pre", "tie_embeddings": False},
    "T5": T5_LIKE,
}
SOURCE = torch.tensor([[5, 6, 7, 8, 9, 3], [9, 8, 3, 0, 0, 0]])
TARGETS = torch.tensor([[4, 5, 6, 3], [7, 3, IGNORED, IGNORED]])


def make(**settings) -> EncoderDecoder:
    torch.manual_seed(0)
    sizes = {"vocab_size": 13, "context_length": 16, "d_model": 16, "n_heads": 4, "n_layers": 2, "n_decoder_layers": 3}
    model = EncoderDecoder(EncoderDecoderConfig(**{**sizes, **settings}))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(mean=float("norm" in name), std=0.3)
    return model.eval()


@pytest.fixture(params=KINDS)
def model(request) -> EncoderDecoder:
    return make(**KINDS[request.param])


def copy_from_torch(ours: EncoderDecoder, theirs: nn.Transformer) -> None:
    """Give our model the weights of torch's."""
    for our_side, their_side in ((ours.encoder, theirs.encoder), (ours.decoder, theirs.decoder)):
        for block, layer in zip(our_side.blocks, their_side.layers, strict=True):
            attentions = [(block.attention, layer.self_attn)]
            norms = [block.attention_norm, block.feed_forward_norm]
            if our_side is ours.decoder:
                attentions.append((block.cross_attention, layer.multihead_attn))
                norms.insert(1, block.cross_norm)
            for mine, other in attentions:
                for name, weight, bias in zip(
                    ("query", "key", "value"), other.in_proj_weight.chunk(3), other.in_proj_bias.chunk(3), strict=True
                ):
                    getattr(mine, name).load_state_dict({"weight": weight, "bias": bias})
                mine.output.load_state_dict(other.out_proj.state_dict())
            for number, norm in enumerate(norms, start=1):
                norm.load_state_dict(getattr(layer, f"norm{number}").state_dict())
            block.feed_forward.up.load_state_dict(layer.linear1.state_dict())
            block.feed_forward.down.load_state_dict(layer.linear2.state_dict())
        our_side.final_norm.load_state_dict(their_side.norm.state_dict())


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm_position", ["pre", "post"])
def test_torchs_transformer_from_the_same_weights(norm_position, activation):
    ours = make(
        positions="none", norm_position=norm_position, final_norm=True, activation=activation, d_ff=40
    )  # fmt: skip
    theirs = nn.Transformer(
        16, 4, 2, 3, dim_feedforward=40, dropout=0.0, activation=activation, batch_first=True,
        norm_first=norm_position == "pre",
    ).eval()  # fmt: skip
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            parameter.normal_(mean=float("norm" in name), std=0.3)
    copy_from_torch(ours, theirs)

    tokens = shift_right(TARGETS, 0, 0)
    embed = ours.token_embedding
    expected = theirs(
        embed(SOURCE),
        embed(tokens),
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(4).isinf(),
        src_key_padding_mask=SOURCE == 0,
        memory_key_padding_mask=SOURCE == 0,
    )
    output = ours(SOURCE, TARGETS)
    assert_close(output.logits, F.linear(expected, embed.weight), rtol=1e-4, atol=1e-4)
    weights = (
        ours.decoder.blocks[0].cross_attention.key.weight,
        theirs.decoder.layers[0].multihead_attn.in_proj_weight,
    )
    truth = TARGETS.masked_fill(TARGETS == IGNORED, 0)
    counts = (TARGETS != IGNORED).unsqueeze(-1)
    mine, other = (
        torch.autograd.grad((logits.log_softmax(-1).gather(2, truth[..., None]) * counts).sum(), weight)[0]
        for logits, weight in zip((output.logits, F.linear(expected, embed.weight)), weights, strict=True)
    )
    assert_close(mine, other[16:32], rtol=1e-3, atol=1e-4)


class TestTeacherForcing:
    def test_shift_right(self):
        assert shift_right(TARGETS, 2, 0).tolist() == [[2, 4, 5, 6], [2, 7, 3, 0]]

    def test_each_prediction_is_from_the_targets_before_it(self, model):
        logits = model(SOURCE, TARGETS).logits
        changed = TARGETS.clone()
        changed[0, 2] = 11
        again = model(SOURCE, changed).logits
        assert_close(again[0, :3], logits[0, :3])
        assert (again[0, 3] - logits[0, 3]).abs().max() > 1e-3
        assert_close(again[1], logits[1])

    def test_the_loss_is_the_mean_over_what_counts(self, model):
        output = model(SOURCE, TARGETS)
        log_p = output.logits.log_softmax(dim=-1)
        truth = [(0, 0, 4), (0, 1, 5), (0, 2, 6), (0, 3, 3), (1, 0, 7), (1, 1, 3)]
        assert_close(output.loss, -sum(log_p[place] for place in truth) / 6)

    def test_label_smoothing_acts_in_training_alone(self):
        model = make(label_smoothing=0.2)
        plain = model(SOURCE, TARGETS)
        smoothed = model.train()(SOURCE, TARGETS).loss
        log_p = plain.logits.log_softmax(dim=-1)[TARGETS != IGNORED]
        assert_close(smoothed, 0.8 * plain.loss + 0.2 * -log_p.mean(), rtol=1e-4, atol=1e-5)
        assert abs(smoothed - plain.loss) > 0.01


class TestPadding:
    def test_no_answer_depends_on_it(self, model):
        padded = model(SOURCE, TARGETS)
        alone = model(SOURCE[1:, :3], TARGETS[1:, :2])
        assert_close(padded.logits[1:, :2], alone.logits, rtol=1e-4, atol=1e-4)

    def test_nobody_looks_at_it(self, model):
        output = model(SOURCE, TARGETS, return_attentions=True)
        for weights in (*output.encoder_attentions, *output.cross_attentions):
            assert (weights[1, :, :, 3:] == 0).all()
            assert (weights[0] > 0).all()

    def test_another_token_may_be_it(self):
        one, other = make(pad_id=0, start_id=0), make(pad_id=12, start_id=0)
        expected, counts = one(SOURCE, TARGETS).logits, TARGETS != IGNORED
        assert_close(other(SOURCE.masked_fill(SOURCE == 0, 12), TARGETS).logits[counts], expected[counts])


def test_attentions_on_request(model):
    output = model(SOURCE, TARGETS, return_attentions=True)
    shapes = [[tuple(w.shape) for w in layers] for layers in (
        output.encoder_attentions, output.decoder_attentions, output.cross_attentions
    )]  # fmt: skip
    assert shapes == [[(2, 4, 6, 6)] * 2, [(2, 4, 4, 4)] * 3, [(2, 4, 4, 6)] * 3]
    assert all((weights.triu(1) == 0).all() for weights in output.decoder_attentions)
    for weights in (*output.encoder_attentions, *output.decoder_attentions, *output.cross_attentions):
        assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:-1]))
    without = model(SOURCE, TARGETS)
    assert_close(without.logits, output.logits, rtol=1e-4, atol=1e-4)
    assert without.encoder_attentions is without.decoder_attentions is without.cross_attentions is None


@pytest.mark.parametrize("pieces", [[1, 1, 1, 1], [2, 1, 1], [3, 1], [4]])
def test_a_text_in_pieces_through_the_cache(model, pieces):
    encoded = model.encode(SOURCE)
    tokens = shift_right(TARGETS, 0, 0)
    expected = model.decode(tokens, encoded).logits
    cache = model.new_cache(2, 4)
    parts = [model.decode(part, encoded, cache=cache).logits for part in tokens.split(pieces, dim=1)]
    assert_close(torch.cat(parts, dim=1), expected, rtol=1e-4, atol=1e-4)


def test_the_source_is_read_once(model):
    encoded = model.encode(SOURCE)
    tokens = shift_right(TARGETS, 0, 0)
    expected = model.decode(tokens, encoded).logits
    cache = model.new_cache(2, 4)
    model.decode(tokens[:, :1], encoded, cache=cache)
    for block in model.decoder.blocks:
        block.cross_attention.key = block.cross_attention.value = None
    assert_close(model.decode(tokens[:, 1:], encoded, cache=cache).logits, expected[:, 1:], rtol=1e-4, atol=1e-4)


def test_rows_of_the_cache_change_places(model):
    encoded, swapped = model.encode(SOURCE), torch.tensor([1, 0])
    tokens = shift_right(TARGETS, 0, 0)
    expected = model.decode(tokens, encoded).logits
    cache = model.new_cache(2, 4)
    model.decode(tokens[:, :2], encoded, cache=cache)
    for block in cache:
        block.reorder(swapped)
    there = encoded._replace(states=encoded.states[swapped], mask=encoded.mask[swapped])
    assert_close(model.decode(tokens[swapped, 2:], there, cache=cache).logits[swapped], expected[:, 2:])


def test_what_is_shared():
    tied, free = make(), make(tie_embeddings=False)
    assert tied.unembedding.weight is tied.token_embedding.weight
    assert free.count_parameters() - tied.count_parameters() == 13 * 16
    relative = make(**T5_LIKE)
    assert [name for name, _ in relative.named_parameters() if "positions" in name] == [
        "encoder.positions.embedding.weight",
        "decoder.positions.embedding.weight",
    ]
    assert not any(name.endswith("bias") for name, _ in relative.named_parameters())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_begins_about_as_good_as_a_guess_and_learns_to_turn_round(kind):
    torch.manual_seed(0)
    config = EncoderDecoderConfig(12, 8, 32, 4, 1, **{**KINDS[kind], "d_head": 8})
    model = EncoderDecoder(config)
    draw = torch.Generator().manual_seed(1)

    def batch() -> torch.Tensor:
        return torch.randint(2, 12, (32, 6), generator=draw)

    tokens = batch()
    assert 2.3 < model(tokens, tokens).loss < 4.5  # log 12 = 2.48, and its own last token is in each stream
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    for _ in range(100):
        tokens = batch()
        loss = model(tokens, tokens.flip(1)).loss
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert loss < 1.6  # not looking at the source: log 10 = 2.3


SIZES = {"vocab_size": 13, "context_length": 16, "d_model": 16, "n_heads": 4, "n_layers": 2}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_layers": 0}, "n_layers must be at least 1, but it is 0"),
        ({"n_decoder_layers": 0}, "decoder_layers must be at least 1"),
        ({"n_heads": 3}, "d_model=16 cannot be cut into n_heads=3"),
        ({"positions": "rotary"}, "no kind of positions 'rotary': choose one of 'sinusoidal'"),
        ({"norm_position": "none"}, "no norm position 'none'"),
        ({"norm": "batchnorm"}, "no norm 'batchnorm'"),
        ({"activation": "tanh"}, "no activation 'tanh'"),
        ({"dropout": 1.0}, "dropout is a share below 1, but it is 1.0"),
        ({"label_smoothing": -0.1}, "label_smoothing is a share below 1"),
        ({"pad_id": 13}, "pad_id=13 is no token of the vocabulary, which is 0 … 12"),
        ({"start_id": -1}, "start_id=-1 is no token"),
    ],
)
def test_a_config_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        EncoderDecoderConfig(**{**SIZES, **settings})


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "relative"])
def test_texts_that_are_too_long(positions):
    model = make(positions=positions)
    long = torch.full((1, 17), 5)
    with pytest.raises(ValueError, match="The source is 17 tokens long, but this model's positions end after 16"):
        model(long, TARGETS[:1])
    with pytest.raises(ValueError, match="The target is 17 tokens long"):
        model(SOURCE[:1], long)
    cache = model.new_cache(1, 20)
    encoded = model.encode(SOURCE[:1])
    model.decode(long[:, :16], encoded, cache=cache)
    with pytest.raises(ValueError, match="The target is 17 tokens long"):
        model.decode(long[:, :1], encoded, cache=cache)


def test_tokens_of_another_vocabulary():
    model = make()
    for source, targets in itertools.product((SOURCE, SOURCE + 9), (TARGETS, TARGETS.abs() + 9)):
        if source is SOURCE and targets is TARGETS:
            continue
        with pytest.raises(ValueError, match="is outside 0 … 12: was the text encoded with another"):
            model(source, targets)
