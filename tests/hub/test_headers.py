"""A file of weights described without loading it."""

import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    BertForPreTraining,
    GPT2Config,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
)

from course_lib.hub.headers import numbers_by_part, part_of, read_header


def test_the_header_says_what_is_in_the_file(tmp_path):
    tensors = {"a": torch.zeros(2, 3), "b": torch.zeros(5, dtype=torch.float16), "c": torch.tensor(1.0)}
    file = tmp_path / "model.safetensors"
    save_file(tensors, file, metadata={"format": "pt"})
    header = read_header(file)
    assert {name: (entry.dtype, entry.shape, entry.numbers, entry.n_bytes) for name, entry in header.items()} == {
        "a": ("F32", (2, 3), 6, 24),
        "b": ("F16", (5,), 5, 10),
        "c": ("F32", (), 1, 4),
    }


def test_only_the_header_is_read(tmp_path):
    """A file whose numbers are missing is described all the same."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [1000, 1000], "data_offsets": [0, 4_000_000]}}).encode()
    (tmp_path / "cut").write_bytes(len(header).to_bytes(8, "little") + header)
    assert read_header(tmp_path / "cut")["w"].numbers == 1_000_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 a pickle in a zip, and more of it", "name a header of"),
        ((4).to_bytes(8, "little") + b"ohno", "no description of tensors"),
        ((2).to_bytes(8, "little") + b"[]", "no description of tensors"),
        ((9).to_bytes(8, "little") + b'{"a": {}}', "no description of tensors"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_header(tmp_path / "file")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file"):
        read_header(tmp_path / "none")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            GPT2LMHeadModel(GPT2Config(vocab_size=11, n_positions=7, n_embd=8, n_layer=1, n_head=2)),
            {"tables": (11 + 7) * 8, "attention": 8 * 24 + 24 + 72, "feed-forward": 2 * 8 * 32 + 32 + 8, "norms": 6 * 8,
             "heads": 0},
        ),
        (
            BertForPreTraining(
                BertConfig(vocab_size=11, max_position_embeddings=7, hidden_size=8, num_hidden_layers=1,
                           num_attention_heads=2, intermediate_size=12)
            ),
            {"tables": (11 + 7 + 2) * 8, "attention": 4 * 72, "feed-forward": 2 * 96 + 12 + 8, "norms": 4 * 16,
             "heads": 72 + 72 + 11 + 18},
        ),
        (
            T5ForConditionalGeneration(
                T5Config(vocab_size=11, d_model=8, d_kv=4, d_ff=12, num_layers=1, num_heads=2, num_decoder_layers=1)
            ),
            {"tables": 11 * 8 + 128, "attention": 3 * 4 * 64, "feed-forward": 4 * 96, "norms": 7 * 8, "heads": 0},
        ),
    ],
    ids=["GPT-2", "BERT", "T5"],
)  # fmt: skip
def test_parts_of_three_families(tmp_path, model, expected):
    model.save_pretrained(tmp_path)
    found = numbers_by_part(tmp_path / "model.safetensors")
    assert found == expected
    assert sum(found.values()) == model.num_parameters()


def test_our_own_names_have_parts_too():
    names = {"token_embedding.weight": "tables", "blocks.0.attention_norm.gain": "norms",
             "blocks.0.attention.query.weight": "attention", "blocks.0.feed_forward.up.weight": "feed-forward",
             "classifier.weight": "heads"}  # fmt: skip
    assert {name: part_of(name) for name in names} == names
