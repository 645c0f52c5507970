import json
import re

import numpy as np
import pytest
import torch

from course_lib.models.gpt import GPT, GPTConfig
from course_lib.widgets import AttentionExplorer
from course_lib.widgets.attention_explorer import square_root_atlas
from course_lib.widgets.page import json_for_html

HOSTILE = "</script><img src=x onerror=alert(1)>"


def causal_weights(layers=2, heads=3, count=5, seed=0):
    scores = np.random.default_rng(seed).normal(size=(layers, heads, count, count)) * 2
    weights = np.exp(scores) * np.tril(np.ones((count, count)))
    return list(weights / weights.sum(-1, keepdims=True))


def explorer(**sizes):
    attentions = causal_weights(**sizes)
    return AttentionExplorer(attentions, [f"t{i}" for i in range(attentions[0].shape[-1])])


def test_it_takes_tensors_of_one_text_with_or_without_the_batch_axis():
    plain = causal_weights()
    tensors = [torch.tensor(layer, dtype=torch.float32)[None] for layer in plain]
    tokens = list("abcde")
    assert AttentionExplorer(plain, tokens).atlas == AttentionExplorer(tensors, tokens).atlas


def test_the_selected_head_is_sent_in_half_precision():
    widget = explorer()
    widget.selected = [1, 2]
    sent = np.frombuffer(widget.matrix, "<f2").reshape(5, 5)
    np.testing.assert_allclose(sent, causal_weights()[1][2], atol=1e-3)
    assert widget.matrix_of == [1, 2]


def test_a_head_that_does_not_exist_changes_nothing():
    widget = explorer()
    before = widget.matrix
    widget.selected = [7, 0]
    assert widget.matrix == before and widget.matrix_of == [0, 0]


def test_the_atlas_keeps_weights_that_a_linear_scale_would_lose():
    weights = np.full((1, 1, 1000, 1000), 1 / 1000, dtype=np.float32)
    assert np.round(255 * weights).max() == 0
    assert (square_root_atlas(weights) == 8).all()  # 255 · √0.001


def test_a_cell_of_a_thumbnail_is_the_largest_weight_it_stands_for():
    weights = np.zeros((1, 1, 100, 100), dtype=np.float32)
    weights[..., 7] = 1.0
    atlas = square_root_atlas(weights)[0, 0]
    assert atlas.shape == (34, 34)
    assert (atlas[:, 2] == 255).all() and atlas.sum() == 34 * 255


def test_the_picture_says_where_the_selected_head_looks():
    widget = explorer()
    widget.selected = [1, 0]
    _, alt = widget.static_picture()
    assert alt.startswith("Attention weights of 2 layers with 3 heads over 5 tokens. In layer 1, head 0 the largest")


def test_the_text_form_is_one_short_line():
    tokens = ["我爱", " a\n", HOSTILE, *["x" * 50] * 2]
    assert repr(AttentionExplorer(causal_weights(), tokens)).startswith(
        "AttentionExplorer(2 layers × 3 heads × 5 tokens: '我爱 a\\n</script>"
    )


class Characters:
    """The smallest tokenizer that the explorer can use."""

    def encode(self, text):
        return [ord(char) - 97 for char in text]

    def decode(self, ids):
        return "".join(chr(token + 97) for token in ids)


def test_from_model_shows_what_the_model_attended_to_and_leaves_it_as_it_was():
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=26, context_length=8, d_model=16, n_heads=2, n_layers=3, dropout=0.5))
    widget = AttentionExplorer.from_model(model, Characters(), "abcab")
    assert model.training
    assert widget.tokens == list("abcab") and widget.shape == [3, 2, 5, 5]
    model.eval()
    attentions = model(torch.tensor([[0, 1, 2, 0, 1]]), return_attentions=True).attentions
    np.testing.assert_allclose(widget.weights[2], attentions[2][0].detach().numpy(), atol=1e-6)


def test_from_model_refuses_an_empty_text():
    with pytest.raises(ValueError, match="text is empty"):
        AttentionExplorer.from_model(torch.nn.Linear(1, 1), Characters(), "")


def broken(change):
    attentions = [layer.copy() for layer in causal_weights()]
    return change(attentions) or attentions


def put(value):
    def change(attentions):
        attentions[1][2, 3, 1] = value

    return change


@pytest.mark.parametrize(
    ("attentions", "message"),
    [
        ([], "no attention weights: did you ask"),
        (causal_weights(count=4), "4 queries and 4 keys, but there are 5 tokens"),
        ([layer[:, :3] for layer in causal_weights()], "3 queries and 5 keys, but there are 5 tokens"),
        ([np.stack([layer, layer]) for layer in causal_weights()], "Layer 0 holds 2 texts: pick one"),
        ([layer[0] for layer in causal_weights()], r"Layer 0 has the shape \(5, 5\); it should be"),
        ([causal_weights()[0], causal_weights()[1][:2]], "All layers must have the same shape"),
        (broken(put(np.nan)), "1 of the weights are not numbers"),
        (broken(put(0.9)), "Row 3 of layer 1, head 2 adds to 1.* Are these raw scores"),
        (broken(lambda attentions: [layer * 3 for layer in attentions]), "Row 0 of layer 0, head 0 adds to 3.000"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(attentions, message):
    with pytest.raises(ValueError, match=message):
        AttentionExplorer(attentions, list("abcde"))


def test_negative_weights_are_refused_even_when_they_add_to_one():
    weights = np.tile([[-1.0, 2.0]], (1, 2, 1))
    with pytest.raises(ValueError, match=r"smallest entry is -1\.000"):
        AttentionExplorer([weights], ["a", "b"])


def test_a_query_that_may_look_nowhere_is_allowed():
    weights = np.array([[[0.0, 0.0], [0.5, 0.5]]])
    assert AttentionExplorer([weights], ["a", "b"]).shape == [1, 1, 2, 2]


def test_the_page_is_one_file_that_refers_to_nothing_outside(tmp_path):
    path = explorer().to_html(tmp_path / "page.html")
    page = path.read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy and "unsafe" not in policy
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_a_token_cannot_end_the_script_that_carries_it(tmp_path):
    attentions = causal_weights(count=2)
    page = AttentionExplorer(attentions, [HOSTILE, "<!--"]).to_html(tmp_path / "page.html").read_text("utf-8")
    assert HOSTILE not in page and page.count("</script>") == 2
    state = re.search(r'<script type="application/json" id="state">(.*?)</script>', page, re.DOTALL)[1]
    assert json.loads(state)["values"]["tokens"] == [HOSTILE, "<!--"]


def test_json_in_a_page_survives_what_scripts_trip_over():
    nasty = "</script> <!-- & \u2028 我"
    written = json_for_html(nasty)
    assert json.loads(written) == nasty
    assert not set("<>&\u2028") & set(written)


def test_too_many_weights_for_a_page_are_refused_with_the_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr("course_lib.widgets.attention_explorer.LARGEST_PAGE", 100)
    with pytest.raises(ValueError, match="show fewer layers or a shorter text than 5 tokens"):
        explorer().to_html(tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []
