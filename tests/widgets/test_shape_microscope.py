import pytest
import torch

from course_lib.nn.attention import merge_heads, scaled_dot_product_attention, split_heads
from course_lib.widgets.shape_microscope import ShapeMicroscope, steps, strangers


@pytest.fixture
def x():
    return torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))


def tensor_of(stage):
    return torch.tensor(stage["values"]).view(stage["shape"])


def test_the_right_steps_are_split_attend_merge(x):
    stages = steps(x, 2, wrong=False)
    heads = split_heads(x, 2)
    torch.testing.assert_close(tensor_of(stages[2]), heads, atol=1e-4, rtol=0)
    expected = merge_heads(scaled_dot_product_attention(heads, heads, heads)[0])
    torch.testing.assert_close(tensor_of(stages[-1]), expected, atol=1e-4, rtol=0)


def test_the_wrong_view_has_the_right_shapes_and_other_tokens_numbers(x):
    right, wrong = steps(x, 2, wrong=False), steps(x, 2, wrong=True)
    assert right[2]["shape"] == wrong[2]["shape"] == [2, 2, 3, 2]
    assert strangers(right[2], (2, 3, 2, 2)) == 0
    assert strangers(wrong[2], (2, 3, 2, 2)) == 16


@pytest.mark.parametrize("wrong", [False, True])
def test_each_cell_is_the_sum_of_its_sources(x, wrong):
    memory = x.flatten()
    for stage in steps(x, 2, wrong=wrong):
        made = [sum(share * memory[place].item() for place, share in sources) for sources in stage["sources"]]
        assert made == pytest.approx(stage["values"], abs=2e-3)


@pytest.mark.parametrize("wrong", [False, True])
def test_no_cell_mixes_sentences_and_places_are_those_of_the_strides(x, wrong):
    for stage in steps(x, 2, wrong=wrong):
        assert sorted(stage["places"]) == list(range(24))
        first = [place < 12 for sources in stage["sources"] for place, _ in sources]
        own = [cell < 12 for cell, sources in enumerate(stage["sources"]) for _ in sources]
        assert first == own


@pytest.mark.slow
def test_one_output_holds_view_picture_and_text(x):
    widget = ShapeMicroscope(x, n_heads=2)
    data, metadata = widget._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"} <= set(data)
    assert metadata["image/png"]["alt"]
    assert "right view 0, wrong view 16 of 24" in data["text/plain"]


@pytest.mark.parametrize(
    ("shape", "n_heads", "tokens", "said"),
    [
        ((3, 4), 2, None, "2 axes"),
        ((2, 5, 4), 2, None, "10 tokens"),
        ((1, 2, 16), 2, None, "12 features"),
        ((1, 3, 4), 3, None, "n_heads=3"),
        ((1, 3, 4), 2, [["a", "b"]], "names"),
    ],
)
def test_what_cannot_be_drawn_is_refused(shape, n_heads, tokens, said):
    with pytest.raises(ValueError, match=said):
        ShapeMicroscope(torch.zeros(shape), n_heads, tokens)
