"""Texts from an encoder–decoder: what its own forward says, whatever the length of the sources, cached or not."""

import pytest
import torch

from course_lib.generation import beam_search, generate, stream, translate
from course_lib.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from course_lib.text.tokenizers import CharTokenizer, WordPieceTokenizer

SOURCES = [[5, 6, 7, 8, 3], [9, 3], [4, 4, 10, 3]]


def make(**settings) -> EncoderDecoder:
    torch.manual_seed(0)
    sizes = {"vocab_size": 13, "context_length": 12, "d_model": 32, "n_heads": 4, "n_layers": 1, "start_id": 2}
    switches = {"norm_position": "pre", "tie_embeddings": False, "bias": False}
    model = EncoderDecoder(EncoderDecoderConfig(**{**sizes, **switches, **settings}))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(mean=float("norm" in name), std=0.4)
    return model.eval()


@pytest.fixture(scope="module", params=["learned", "relative"])
def model(request) -> EncoderDecoder:
    return make(positions=request.param)


@torch.no_grad()
def greedy(model: EncoderDecoder, source: list[int], length: int) -> list[int]:
    encoded, tokens = model.encode(torch.tensor([source])), [2]
    for _ in range(length):
        tokens.append(int(model.decode(torch.tensor([tokens]), encoded).logits[0, -1].argmax()))
    return tokens


@pytest.mark.parametrize("use_cache", [False, True])
def test_the_likeliest_tokens_whatever_the_other_sources_are(model, use_cache):
    expected = [greedy(model, source, 6) for source in SOURCES]
    assert generate(model, SOURCES, 6, temperature=0.0, use_cache=use_cache) == expected
    assert len({tuple(row) for row in expected}) > 1


def test_a_tensor_of_sources_gives_a_tensor(model):
    sources = torch.tensor([SOURCES[0], [*SOURCES[2], 0]])
    expected = [greedy(model, source, 5) for source in (SOURCES[0], SOURCES[2])]
    assert generate(model, sources, 5, temperature=0.0).tolist() == expected


def test_drawn_texts_are_the_same_with_and_without_the_cache(model):
    drawn = [
        generate(model, SOURCES, 8, top_k=5, use_cache=use_cache, generator=torch.Generator().manual_seed(1))
        for use_cache in (False, True)
    ]
    assert drawn[0] == drawn[1]
    steps = stream(model, SOURCES, 8, top_k=5, generator=torch.Generator().manual_seed(1))
    assert [[2, *row] for row in torch.stack(list(steps), dim=1).tolist()] == drawn[0]


def test_a_finished_text_ends(model):
    whole = generate(model, SOURCES, 8, temperature=0.0)
    stop = whole[0][3]
    ended = generate(model, SOURCES, 8, temperature=0.0, stop_id=stop)
    assert ended[0] == whole[0][: whole[0].index(stop, 1) + 1]


@pytest.mark.slow
@pytest.mark.parametrize("use_cache", [False, True])
def test_beams_are_scored_as_forward_scores_them(model, use_cache):
    found = beam_search(model, SOURCES, 5, beams=3, length_penalty=0.7, use_cache=use_cache)
    assert [len(row) for row in found] == [3, 3, 3]
    for source, hypotheses in zip(SOURCES, found, strict=True):
        encoded = model.encode(torch.tensor([source]))
        for hypothesis in hypotheses:
            tokens = torch.tensor([hypothesis.tokens])
            log_p = model.decode(tokens[:, :-1], encoded).logits.log_softmax(-1).gather(2, tokens[:, 1:, None]).sum()
            assert hypothesis.log_probability == pytest.approx(log_p.item(), abs=1e-4)
            assert hypothesis.score == pytest.approx(log_p.item() / 5**0.7, abs=1e-4)
        alone = beam_search(model, [source], 5, beams=3, length_penalty=0.7)[0]
        assert [h.tokens for h in hypotheses] == [h.tokens for h in alone]


def test_one_beam_is_greedy(model):
    assert [row[0].tokens for row in beam_search(model, SOURCES, 6, beams=1)] == generate(
        model, SOURCES, 6, temperature=0.0
    )


def test_the_model_is_left_as_it_was(model):
    model.train()
    generate(model, SOURCES, 2)
    beam_search(model, SOURCES, 2)
    assert model.training
    model.eval()


class TestTranslate:
    def test_text_in_text_out(self):
        tokenizer = CharTokenizer.train(["abcdefg"])
        model = make(vocab_size=tokenizer.vocab_size + 1, pad_id=tokenizer.vocab_size, start_id=None, n_layers=2)
        several = translate(model, tokenizer, ["abc", "gfedcba"])
        assert several == [translate(model, tokenizer, text) for text in ("abc", "gfedcba")]
        source = [*tokenizer.encode("abc"), tokenizer.end_id]
        row = generate(model, [source], 11, temperature=0.0, stop_id=tokenizer.end_id)[0][1:]
        special = (tokenizer.end_id, tokenizer.vocab_size)
        assert several[0] == tokenizer.decode([token for token in row if token not in special]) != ""
        best = beam_search(model, [source], 4, beams=3, stop_id=tokenizer.end_id)[0][0].tokens[1:]
        expected = tokenizer.decode([token for token in best if token not in special])
        assert translate(model, tokenizer, "abc", beams=3, max_new_tokens=4) == expected

    def test_chinese_is_written_without_spaces(self):
        tokenizer = WordPieceTokenizer.train(["红色的风筝。ab cd"], 40)
        model = make(vocab_size=tokenizer.vocab_size, start_id=0)
        written = iter(["红 色 的 ab cd 风 筝 。"])

        class Spaced:
            end_id, encode = tokenizer.end_id, tokenizer.encode

            def decode(self, ids) -> str:
                return next(written)

        assert translate(model, Spaced(), "ab") == "红色的 ab cd 风筝。"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokens": []}, "There is no source"),
        ({"tokens": [5, 6]}, r"The sources are a list of texts, .* write \[ids\]"),
        ({"tokens": torch.tensor([5, 6])}, r"have shape \(2,\); .* write tokens\[None\]"),
        ({"tokens": [[5], []]}, "A source is empty"),
        ({"tokens": [[5] * 13]}, "The source is 13 tokens long, but this model's positions end after 12"),
        ({"tokens": [[13]]}, "Token 13 is outside 0 … 12"),
        ({"max_new_tokens": 12}, "max_new_tokens is 12, but the decoder's positions end after 11 tokens and its start"),
        ({"temperature": -1}, "temperature must be 0 or more"),
    ],
)
def test_what_cannot_be_read_or_written(settings, message, shapes_unchecked):
    with pytest.raises(ValueError, match=message):
        generate(**{"model": make(), "tokens": SOURCES, "max_new_tokens": 3, **settings})
