"""A model that was saved comes back as it was; a damaged or foreign one does not come at all."""

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from course_lib.hub import load_model, save_model
from course_lib.hub.folder import _checksum, own_tensors, shipped_models
from course_lib.text.tokenizers import CharTokenizer

TOKENIZER = CharTokenizer.train(["abcdefghijklmnopqrstuvwxyz "])
TOKENS = torch.randint(28, (2, 16), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tie_embeddings": False, "bias": False},
        {"positions": "rotary", "norm": "rmsnorm", "activation": "swiglu", "n_kv_heads": 2, "qk_norm": True},
        {"positions": "relative", "norm_position": "post", "dropout": 0.1},
    ],
)
def test_a_model_comes_back_bit_for_bit(tmp_path, make_gpt, settings):
    model = make_gpt(**settings)
    assert save_model(tmp_path / "new" / "folder", model, TOKENIZER) == tmp_path / "new" / "folder"
    again, tokenizer = load_model(tmp_path / "new" / "folder")
    assert again.config == model.config
    assert not again.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    assert torch.equal(again(TOKENS).logits, model(TOKENS).logits)
    assert tokenizer.encode("what now") == TOKENIZER.encode("what now")


def test_tied_embeddings_are_stored_once_and_stay_tied(tmp_path, make_gpt):
    model = make_gpt()
    save_model(tmp_path, model)
    assert "unembedding.weight" not in load_file(tmp_path / "model.safetensors")
    again, tokenizer = load_model(tmp_path)
    assert again.unembedding.weight is again.token_embedding.weight
    assert tokenizer is None


def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path, make_gpt):
    model = make_gpt(d_model=64)
    sizes = [
        (save_model(tmp_path / str(dtype), model, dtype=dtype) / "model.safetensors").stat().st_size
        for dtype in (None, torch.float16)
    ]
    assert sizes[1] < 0.6 * sizes[0]
    again, _ = load_model(tmp_path / "torch.float16")
    weight = dict(own_tensors(model))["blocks.0.attention.query.weight"]
    assert torch.equal(again.blocks[0].attention.query.weight, weight.half().float())


def test_saving_again_replaces_the_model_and_leaves_other_files(tmp_path, make_gpt):
    (tmp_path / "README.md").write_text("a model card")
    save_model(tmp_path, make_gpt(), TOKENIZER)
    second = make_gpt(n_layers=3)
    save_model(tmp_path, second, TOKENIZER)
    assert torch.equal(load_model(tmp_path)[0](TOKENS).logits, second(TOKENS).logits)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["README.md", "config.json", "model.safetensors", "tokenizer.json"]


def test_a_save_that_fails_leaves_the_old_model(tmp_path, make_gpt, monkeypatch):
    old = make_gpt()
    save_model(tmp_path, old, TOKENIZER)

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("course_lib.hub.folder.os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_model(tmp_path, make_gpt(n_layers=3), TOKENIZER)
    assert torch.equal(load_model(tmp_path)[0](TOKENS).logits, old(TOKENS).logits)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "gone"])
def test_a_damaged_file_is_found(tmp_path, make_gpt, file, damage):
    save_model(tmp_path, make_gpt(), TOKENIZER)
    path = tmp_path / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    if damage == "gone":
        path.unlink()
        with pytest.raises(FileNotFoundError, match=f"{file} is missing"):
            load_model(tmp_path)
        return
    path.write_bytes({"cut": content[:-10], "flip": content, "empty": b""}[damage])
    with pytest.raises(ValueError, match=f"{file} is damaged, or of another model"):
        load_model(tmp_path)


def rewrite_config(folder: Path, **changes) -> None:
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "version 2 of the format, and this course reads version 1"),
        ({"model": "mamba"}, "describes a 'mamba', and this course knows gpt"),
        ({"config": {"vocab_size": 28, "wings": 2}}, "settings that this version of the course does not know"),
        ({"architectures": ["GPT2LMHeadModel"]}, "gpt_from_huggingface"),
    ],
)
def test_a_config_of_another_world(tmp_path, make_gpt, changes, message):
    save_model(tmp_path, make_gpt(), TOKENIZER)
    rewrite_config(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"), [("{", "no valid JSON"), ("[1]", "does not describe"), ("{}", "does not describe")]
)
def test_a_config_that_is_none(tmp_path, content, message):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        load_model(tmp_path)


def test_weights_that_do_not_fit_the_config(tmp_path, make_gpt):
    save_model(tmp_path, make_gpt())
    content = json.loads((tmp_path / "config.json").read_text())
    rewrite_config(tmp_path, config={**content["config"], "n_layers": 3})
    with pytest.raises(ValueError, match=r"lacks 16 weights \(blocks.2.attention_norm.weight, .* and 11 more\)"):
        load_model(tmp_path)
    rewrite_config(tmp_path, config={**content["config"], "d_ff": 8})
    with pytest.raises(ValueError, match=r"feed_forward.up.weight has shape \(96, 24\) there, and \(8, 24\)"):
        load_model(tmp_path)


def test_a_pickle_in_place_of_weights_is_not_run(tmp_path, make_gpt):
    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(ran),)

    save_model(tmp_path, make_gpt())
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="damaged"):
        load_model(tmp_path)
    # Even when the checksum was made to fit.
    content = json.loads((tmp_path / "config.json").read_text())
    checksum = _checksum(tmp_path / "model.safetensors")
    rewrite_config(tmp_path, sha256={**content["sha256"], "model.safetensors": checksum})
    with pytest.raises(ValueError, match="no valid safetensors"):
        load_model(tmp_path)
    assert not ran.exists()


def test_safetensors_of_something_else(tmp_path, make_gpt):
    save_model(tmp_path, make_gpt())
    save_file({"x": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="damaged, or of another model"):
        load_model(tmp_path)


def test_a_tokenizer_of_another_model(tmp_path, make_gpt):
    for size in (27, 28 + 200):
        with pytest.raises(ValueError, match=f"28 tokens and the model a vocabulary of {size}"):
            save_model(tmp_path, make_gpt(vocab_size=size), TOKENIZER)
    save_model(tmp_path, make_gpt(vocab_size=64), TOKENIZER)  # rounded up, as for speed


def test_there_is_no_such_model(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no model 'story_gtp'"):
        load_model("story_gtp")
    with pytest.raises(FileNotFoundError, match="holds no config.json"):
        load_model(tmp_path)


def test_a_model_of_the_course_is_found_by_name(tmp_path, make_gpt, monkeypatch):
    model = make_gpt()
    save_model(tmp_path / "models" / "small_gpt", model, TOKENIZER)
    monkeypatch.setattr("course_lib.hub.folder.data_folder", lambda: tmp_path)
    assert shipped_models() == ["small_gpt"]
    assert torch.equal(load_model("small_gpt")[0](TOKENS).logits, model(TOKENS).logits)
    with pytest.raises(FileNotFoundError, match=r"own models \(small_gpt\)"):
        load_model("large_gpt")


def test_only_models_of_the_course_are_saved(tmp_path):
    with pytest.raises(ValueError, match="not a Linear"):
        save_model(tmp_path, torch.nn.Linear(2, 2))
