"""Text in, text out: whole or in pieces, up to an end that the model or the reader set."""

import pytest
import torch

from course_lib.generation import complete, stream_text
from course_lib.text.tokenizers import BPETokenizer, CharTokenizer
from tests.generation.conftest import make_gpt

TOKENIZER = CharTokenizer.train(["abcdefghijkl"])
BYTES = BPETokenizer.train(["学习编程 été 😀"], vocab_size=257)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("prompt", ["abc", "fed", "l"])
def test_the_end_token_stands_before_the_text_and_ends_it(gpt, prompt):
    tokens = torch.tensor([[TOKENIZER.end_id, *TOKENIZER.encode(prompt)]])
    added: list[int] = []
    while len(added) < 15:
        choice = gpt(tokens).logits[0, -1].argmax().item()
        if choice == TOKENIZER.end_id:
            break
        added.append(choice)
        tokens = torch.cat([tokens, torch.tensor([[choice]])], dim=1)
    assert complete(gpt, TOKENIZER, prompt, 15, temperature=0.0) == TOKENIZER.decode(added)


def test_several_prompts_and_an_empty_one(gpt):
    texts = complete(gpt, TOKENIZER, ["abc", "", "fedcba"], 12, temperature=0.0)
    assert texts == [complete(gpt, TOKENIZER, text, 12, temperature=0.0) for text in ("abc", "", "fedcba")]
    assert len(set(texts)) > 1


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("stop", [(), "ab", ["dc", "f", "aaa"]], ids=str)
def test_the_pieces_joined_are_the_text(gpt, seed, stop):
    whole = complete(gpt, TOKENIZER, "ab", 20, stop=stop, temperature=2.0, generator=seeded(seed))
    pieces = list(stream_text(gpt, TOKENIZER, "ab", 20, stop=stop, temperature=2.0, generator=seeded(seed)))
    assert "".join(pieces) == whole
    assert all(pieces)
    assert not any(s in whole for s in ([stop] if isinstance(stop, str) else stop))


def test_a_stop_text_is_left_out(gpt):
    texts = ["ab"] * 9
    frees = complete(gpt, TOKENIZER, texts, 15, temperature=2.0, generator=seeded())
    row, free = max(enumerate(frees), key=lambda pair: len(pair[1]))
    stop = free[3:5]
    stopped = complete(gpt, TOKENIZER, texts, 15, stop=stop, temperature=2.0, generator=seeded())
    assert len(stop) == 2
    assert stopped[row] == free[: free.index(stop)]


def says(ids: list[int], vocab_size: int):
    """A GPT whose next token is decided by the position alone."""
    model = make_gpt(vocab_size=vocab_size, context_length=64, d_model=64, n_heads=1, n_layers=1, tie_embeddings=False)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.final_norm.weight.fill_(1.0)
        for position, token in enumerate([*ids, 0]):
            model.positions.embedding.weight[position, position] = 1.0
            model.unembedding.weight[token, position] += 1.0
    return model


def test_a_character_of_several_tokens_comes_whole():
    text = "été 学😀."
    model = says(BYTES.encode(text), BYTES.vocab_size)
    pieces = list(stream_text(model, BYTES, "", 60, temperature=0.0))
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)
    assert complete(model, BYTES, "", 60, temperature=0.0) == text


def test_the_beginning_of_a_stop_text_is_held_back():
    model = says(BYTES.encode("one\n two\n\nthree"), BYTES.vocab_size)
    assert "".join(stream_text(model, BYTES, "", 60, stop="\n\n", temperature=0.0)) == "one\n two"
    pieces = list(stream_text(model, BYTES, "", 60, stop="\n\n", temperature=0.0))
    assert "\n" not in pieces  # it came with what followed, when it was certain


def test_a_prompt_longer_than_the_context(gpt):
    with pytest.raises(ValueError, match="31 tokens long, but this model's context is 24"):
        complete(gpt, TOKENIZER, "a" * 30, 5)
