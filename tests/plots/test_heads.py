import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from course_lib.plots import heads as draw


def test_coloured_tokens_colour_each_row_of_the_right_heads_alike_and_of_the_wrong_ones_not():
    _, right, wrong = draw.coloured_tokens(["a", "b", "c"], n_heads=2, d_head=2).axes

    def rows(axes):
        found = {}
        for patch in axes.patches:
            found.setdefault(patch.get_y(), set()).add(to_hex(patch.get_facecolor()))
        return found

    def colors_from_above(axes):
        return [sorted(colors) for _, colors in sorted(rows(axes).items())]

    blue, orange, green = ([color.lower()] for color in draw.TOKEN_COLORS[:3])
    assert colors_from_above(right) == [blue, orange, green, blue, orange, green]
    assert colors_from_above(wrong) == [blue, blue, orange, orange, green, green]


@pytest.mark.parametrize(("n_kv_heads", "lines_to_0"), [(8, 1), (2, 4), (1, 8)])
def test_sharing_leads_each_query_head_to_the_head_of_its_group(n_kv_heads, lines_to_0):
    figure = draw.sharing(8, {"one": n_kv_heads, "other": 8})
    ends = [line.get_xdata()[1] for line in figure.axes[0].lines]
    assert len(set(ends)) == n_kv_heads
    assert ends.count(ends[0]) == lines_to_0


def test_influence_tells_allowed_from_forbidden_and_missing():
    allowed = torch.block_diag(torch.ones(2, 2).tril(), torch.ones(2, 2).tril())
    leak = allowed.clone()
    leak[2, 0] = 1.0  # sentence 1 hears sentence 0
    leak[1, 0] = 0.0  # and token 1 does not hear token 0
    right, wrong = (
        np.asarray(axes.images[0].get_array()) for axes in draw.influence({"r": allowed, "w": leak}, time=2).axes
    )
    different = np.argwhere((right != wrong).any(axis=-1)).tolist()
    assert different == [[1, 0], [2, 0]]
    assert (wrong[2, 0] != wrong[1, 0]).any()


def test_errors_draws_every_seed():
    figure = draw.errors({"a, long": [0.5, 0.4], "b": [0.1, 0.2]}, floor=0.5, floor_name="floor", y_name="error")
    dots = [tuple(offset[1] for offset in points.get_offsets()) for points in figure.axes[0].collections]
    assert dots == [(0.5, 0.4), (0.1, 0.2)]
