import html
import re

import numpy as np
import pytest

from course_lib.interpret.reading import Reading, View
from course_lib.widgets import bertviz
from course_lib.widgets.bertviz import head_view, model_view
from tests.hostile import HOSTILE


def weights(layers=2, heads=3, queries=4, keys=None):
    shape = (layers, heads, queries)
    return list(np.random.default_rng(0).dirichlet(np.ones(keys or queries), shape).astype(np.float32))


def translation():
    """A reading of an encoder–decoder with four layers below and two above, three source and five target tokens."""
    source, target = ("我", "爱", "。"), ("<s>", "I", "love", "it", ".")
    views = {
        "encoder": View(tuple(weights(4, 2, 3)), source, source),
        "decoder": View(tuple(weights(2, 2, 5)), target, target),
        "cross": View(tuple(weights(2, 2, 5, 3)), target, source),
    }
    return Reading(views, text="我爱。")


def pages(view):
    """The documents inside the frames of the view's output, as a browser reads them."""
    return [html.unescape(page) for page in re.findall(r'srcdoc="([^"]*)"', view._repr_mimebundle_()[0]["text/html"])]


@pytest.mark.parametrize("make", [head_view, model_view])
def test_an_output_has_frames_a_picture_and_a_line_of_text(make):
    data, metadata = make(weights(), ["a", "b", "c", "d"])._repr_mimebundle_()
    assert set(data) == {"text/html", "image/png", "text/plain"}
    assert data["text/plain"] == f"{make.__name__}(self attention, 2 layers × 3 heads, 4 tokens)"
    assert "2 layers × 3 heads, 4 tokens" in metadata["image/png"]["alt"]


@pytest.mark.parametrize("make", [head_view, model_view])
def test_what_a_page_may_do_is_next_to_nothing(make):
    view = make(weights(), list("abcd"))
    assert 'sandbox="allow-scripts"' in view._repr_mimebundle_()[0]["text/html"]
    (page,) = pages(view)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "https://cdnjs.cloudflare.com; style" in policy and "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]


@pytest.mark.parametrize("make", [head_view, model_view])
def test_an_output_is_the_same_whenever_it_is_made(make):
    one, again = (make(weights(), list("abcd"))._repr_mimebundle_() for _ in range(2))
    assert one == again


@pytest.mark.parametrize("make", [head_view, model_view])
def test_a_token_cannot_leave_its_string(make):
    tokens = list(HOSTILE.values())
    view = make(weights(1, 1, len(tokens)), tokens)
    (page,) = pages(view)
    page.encode()  # no half of a surrogate pair
    assert page.count("</script") == 3 and page.count("<script") == 3  # the guard, RequireJS, BertViz


@pytest.mark.slow
@pytest.mark.parametrize("make", [head_view, model_view])
def test_every_part_of_a_translation_is_as_deep_as_it_is(make):
    view = make(translation())
    assert repr(view) == (
        f"{make.__name__}(encoder attention, 4 layers × 2 heads, 3 tokens; decoder attention, 2 layers × 2 heads, "
        "5 tokens; cross attention, 2 layers × 2 heads, 5 queries, 3 keys)"
    )
    assert len(pages(view)) == 3


def test_layers_that_only_the_encoder_has_leave_the_decoder_out():
    assert [part.name for part in head_view(translation(), layers=[3]).parts] == ["encoder"]


def test_chosen_layers_and_heads_keep_their_numbers():
    (page,) = pages(model_view(weights(4, 3, 2), ["a", "b"], layers=[1, 3], heads=[2]))
    assert '"include_layers": [1, 3], "include_heads": [2]' in page
    assert '"total_heads": 3' in page


def test_the_numbers_in_the_page_are_the_weights():
    given = weights(1, 1, 2)
    (page,) = pages(head_view(given, ["a", "b"]))
    sent = re.search(r'"attn": \[\[\[\[([^\]]+)\]', page)[1]
    np.testing.assert_allclose([float(number) for number in sent.split(",")], given[0][0, 0], atol=6e-5)


def test_too_many_lines_are_refused_with_the_numbers_and_a_way_out():
    tokens = ["x"] * 27
    with pytest.raises(ValueError, match=r"104,976 lines \(12 layers × 12 heads × 27 × 27 tokens\).*AttentionExplorer"):
        model_view(weights(12, 12, 27), tokens)
    model_view(weights(12, 12, 27), tokens, layers=range(11))
    head_view(weights(12, 12, 27), tokens)  # one layer at a time


def test_too_many_weights_are_refused_even_where_few_are_drawn_at_once(monkeypatch):
    monkeypatch.setattr(bertviz, "MOST_WEIGHTS", 50)
    with pytest.raises(ValueError, match="96 weights into the page"):
        head_view(weights(), list("abcd"))
    head_view(weights(), list("abcd"), layers=[1])


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((weights(),), {}, "needs a reading, attention weights and their tokens, or a model"),
        ((weights(), list("abc")), {}, "there are 3 query tokens"),
        ((weights(), list("abcd")), {"layers": [2]}, r"no layer to show in \[2\]: they are numbered from 0 to 1"),
        ((weights(), list("abcd")), {"heads": []}, r"no head to show in \[\]"),
        (([weights()[0], weights()[0][:2]], list("abcd")), {}, "layers of 'self' have 2 to 3"),
        (([weights()[0] * np.nan], list("abcd")), {}, "not numbers"),
        (([weights()[0][0]], list("abcd")), {}, r"shape \(4, 4\); it should be \(heads, query, key\)"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        head_view(*arguments, **options)


def test_it_takes_a_batch_of_one_and_whatever_carries_a_reading():
    class Explorer:
        reading = translation()

    assert repr(head_view(Explorer())) == repr(head_view(translation()))
    assert head_view([layer[None] for layer in weights()], list("abcd")).parts[0].view.n_heads == 3


@pytest.mark.parametrize("token", ["$\\frac{1}{", "\ud800", "\0", "x" * 20_000, "👩‍👩‍👧‍👦", "\u202e"])
def test_a_strange_token_has_a_picture_too(token):
    assert "image/png" in head_view(weights(1, 1, 2), [token, "$_^$"])._repr_mimebundle_()[0]
