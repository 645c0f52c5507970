"""The attention explorer: every layer and head at once, one of them at full size, and each weight as a number.

`attention_weights` checks and reduces the numbers, `attention_shown` works out what is asked for, `attention_picture`
draws the static picture; this module holds the choices and answers the page, which draws.
The page opens with one message and asks for everything else, so that a long text opens as fast as a short one.

Traits
======

What is chosen, readable, settable and observable on both sides (Python validates, and raises ValueError):

    view, layer, head      which head is shown at full size; `view` is "self", or "encoder", "decoder", "cross"
    query, key             the cell in focus, as positions of tokens
    combine                "" for that head; "mean" or "max" over the layer's heads; "rollout" up to the layer
    kind                   "weights", "scores" (before the softmax; −∞ is masked) or "values" (weight · ‖v W_O‖)
    shown                  "a", or when two readings are compared "b" and "difference" (b − a)
    top_k                  how many lines and rows the strongest links have
    pins                   cells kept in view: [layer, head, query, key], with the view's name in front if it is not
                           the first view's
    text, other_text, decoder_text, causal, ablated
                           what the model reads (live only); `decoder_text` is for an encoder–decoder, and empty when
                           its decoder reads what the model writes; `ablated` is a list of [layer, head], with the
                           view's name in front if it is not the first view's. Setting one in Python runs the model
                           before the next line.

What the page gets, in one message at the start and again whenever the model has read anew:

    contents    a dict: "version", a number that grows with each reading; "views", for each its size, tokens, flags
                and place in the atlas; "notes" and "problems", sentences to show; "predictions"; "live"; "names"
    atlas       uint8 thumbnails of all heads: 254 · √weight, the largest of each block of tokens; of a difference
                127 ± 127 · √(|difference| / the view's "reach"); 255 is NaN
    focus       float16 (query, key) of the matrix that `focus_of` names

A matrix has the name [version, shown, view, layer, head, combine, kind].

What the page asks for and gets, each as a pair of traits with a sequence number:

    wanted → answer, answer_bytes     {"seq", "names"}: matrices, or ["measures", version, shown, view, layer], or
                                      ["atlas", version, shown]. Each answer is {"seq", "name", "rows", "columns"} with
                                      float16 (a matrix), float32 (five measures × heads) or uint8 (an atlas) in
                                      `answer_bytes`, or {"seq", "name", "error"}. A front end sends only the last of
                                      several requests, so each names all that is under way, with "numbers" in the
                                      order of asking and the "page" that counts them; each is answered once.
    asked → status                    {"seq", "text", "other_text", "decoder_text", "causal", "ablated"}: the model
                                      reads; the page shows a spinner until `status` has {"seq", "error"} with its
                                      number. One is under way at a time, and the newest waits: a fast typist queues
                                      up nothing.

All of it runs in the kernel's own thread, one answer after the other: nobody's training step meets a half-ablated
model. In a page of its own (`to_html`) there is no kernel: `packed` holds all matrices, and a script of the page
answers `wanted` out of them, with "exact": true and float32. Large traits arrive as DataView, in Colab as Uint8Array.

The page's parts carry `data-role` attributes for tests and for styling: "atlas", "atlas-order", "focus", "focus-title",
"overlay", "bar", "bar-text", "scale", "range", "shown", "view", "kind", "combine", "top-k", "strip", "table", "cell"
(the sentence about the cell), "pins", "pin", "words", "special", "sinks", "zoom-in", "zoom-out", "text", "other-text",
"decoder-text", "causal", "ablate", "predictions", "status", "notes", "keys".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import traitlets
from numpy.typing import NDArray

from course_lib.interpret.reading import HeadAt, Reader, Reading, View, as_head
from course_lib.widgets import attention_picture as picture
from course_lib.widgets.attention_packed import pack
from course_lib.widgets.attention_shown import Shown, count_tokens, counted
from course_lib.widgets.attention_weights import half_precision, prediction_rows, reading_of_arrays
from course_lib.widgets.base import HERE, CourseWidget
from course_lib.widgets.page import write_page

LARGEST_PAGE = 23_000_000  # bytes of numbers that a single HTML file may carry: as text they make it 32 MB large
LIVE = ("text", "other_text", "decoder_text", "causal", "ablated")
NEEDS_MODEL = (
    "This explorer holds numbers and no model, so it cannot read anew: make it with "
    "AttentionExplorer.from_model(model, tokenizer, text)."
)
NO_MODEL = (
    "Editing the text, the causal mask and switching heads off need a model (AttentionExplorer.from_model) and a "
    "running kernel; all else works here."
)


class AttentionExplorer(CourseWidget):
    """All attention weights of one text, to look at in a notebook or in a page of their own.

    The overview shows layers downwards and heads across. Click on a thumbnail, or move with the arrow keys, to see
    that head at full size; then a cell gives its weight, its rank in the row, its raw score and the distance it looks.
    With a model behind it (`from_model`) the text can be edited, the causal mask taken off, heads switched off, and
    two texts or two models compared.

    Args:
        attentions: one (heads, query, key) or (1, heads, query, key) array or tensor for each layer; or a `Reading`.
        tokens: the tokens' texts, one for each query (and key).
        key_tokens: the keys' texts, when they are another text's (cross-attention).
        scores: what the softmax was taken of, shaped like the attentions, −∞ where a query may not look.
        reader: the live model that can read anew.
        other: a second `Reading` to compare with; the explorer opens on the difference, other − attentions.
        other_reader: the live model of the other reading; the same model reads both texts when it is left out.
        names: what to call the two sides of a comparison.
        decoder_text: what the reader's decoder was given to read.

    Raises:
        ValueError: when the shapes do not fit each other or the tokens, there are no weights, or none is a number.
            A few weights that are not numbers, and rows that do not add to 1, are shown, marked and said instead.
    """

    label = "Attention explorer"

    view = traitlets.Unicode().tag(sync=True)
    layer = traitlets.Int(0).tag(sync=True)
    head = traitlets.Int(0).tag(sync=True)
    query = traitlets.Int(0).tag(sync=True)
    key = traitlets.Int(0).tag(sync=True)
    combine = traitlets.Enum(["", "mean", "max", "rollout"], "").tag(sync=True)
    kind = traitlets.Enum(["weights", "scores", "values"], "weights").tag(sync=True)
    shown = traitlets.Enum(["a", "b", "difference"], "a").tag(sync=True)
    top_k = traitlets.Int(5, min=1, max=20).tag(sync=True)
    pins = traitlets.List().tag(sync=True)

    text = traitlets.Unicode().tag(sync=True)
    other_text = traitlets.Unicode().tag(sync=True)
    decoder_text = traitlets.Unicode().tag(sync=True)
    causal = traitlets.Bool(None, allow_none=True).tag(sync=True)
    ablated = traitlets.List().tag(sync=True)

    contents = traitlets.Dict().tag(sync=True)
    atlas = traitlets.Bytes().tag(sync=True)
    focus = traitlets.Bytes().tag(sync=True)
    focus_of = traitlets.List().tag(sync=True)
    packed = traitlets.Bytes().tag(sync=True)  # only in a page of its own
    answer = traitlets.Dict().tag(sync=True)
    answer_bytes = traitlets.Bytes().tag(sync=True)
    status = traitlets.Dict().tag(sync=True)
    wanted = traitlets.Dict().tag(sync=True, echo_update=False)
    asked = traitlets.Dict().tag(sync=True, echo_update=False)

    def __init__(
        self,
        attentions: Sequence[Any] | Reading,
        tokens: Sequence[str] | None = None,
        *,
        key_tokens: Sequence[str] | None = None,
        scores: Sequence[Any] | None = None,
        reader: Reader | None = None,
        other: Reading | None = None,
        other_reader: Reader | None = None,
        names: tuple[str, str] = ("A", "B"),
        decoder_text: str = "",
    ) -> None:
        if not isinstance(attentions, Reading):
            if tokens is None:
                raise ValueError("Give the tokens too: AttentionExplorer(attentions, tokens).")
            attentions = reading_of_arrays(attentions, tokens, key_tokens, scores)
        self._reader, self._other_reader, self._names = reader, other_reader, names
        self._version, self._settled = 0, False
        self._answered: dict[float, int] = {}  # for each page that is open, the number of its last answered request
        self._untouched: Reading | None = None  # what the model says with nothing switched off
        self._take(attentions, other)
        first = next(iter(self._shown.views["a"].values()))
        self._choice = {"view": next(iter(self._shown.views["a"])), "shown": "difference" if other else "a"}
        last = len(first.query_tokens) - 1
        super().__init__(
            **self._choice,
            **self._message(),
            query=last,
            key=strongest(self.matrix(layer=0, head=0, shown="a")[last]),
            text=attentions.text,
            other_text=other.text if other and not other_reader else "",
            decoder_text=decoder_text,
            ablated=[self._wire(head) for head in attentions.ablated],
        )
        self._settled = True

    @classmethod
    def from_model(cls, model: Any, tokenizer: Any, text: str, *, decoder_text: str = "") -> AttentionExplorer:
        """Run a model of course_lib or transformers on the text; the explorer can then read other texts too.

        Args:
            model, tokenizer: both of course_lib, of transformers, or one of each.
            text: what the model reads; an encoder–decoder's encoder.
            decoder_text: what an encoder–decoder's decoder reads; empty: what the model writes for the text.

        Raises:
            ValueError: for an empty text, or a model that gives no attention weights.
        """
        from course_lib.interpret.readers import reader_for

        return cls.from_reader(reader_for(model, tokenizer), text, decoder_text=decoder_text)

    @classmethod
    def from_reader(cls, reader: Reader, text: str, *, decoder_text: str = "") -> AttentionExplorer:
        """The same for a model that is wrapped in a reader already."""
        reading = read(reader, text, **for_decoder(decoder_text))
        return cls(reading, reader=reader, decoder_text=decoder_text)

    @classmethod
    def from_reading(cls, reading: Reading, *, reader: Reader | None = None) -> AttentionExplorer:
        """Show what was read before; with its reader, the explorer can read anew."""
        return cls(reading, reader=reader)

    @classmethod
    def compare(
        cls,
        first: Reading | AttentionExplorer | tuple[Any, Any, str],
        second: Reading | AttentionExplorer | tuple[Any, Any, str],
        *,
        names: tuple[str, str] = ("A", "B"),
    ) -> AttentionExplorer:
        """Two texts, two models or two checkpoints, head by head: the explorer opens on second − first.

        Args:
            first, second: each a reading, an explorer, or (model, tokenizer, text).
            names: what to call the two.

        Raises:
            ValueError: when they differ in layers or heads, or share no token.
        """
        (reading, reader), (other, other_reader) = (side_of(side) for side in (first, second))
        return cls(reading, reader=reader, other=other, other_reader=other_reader, names=names)

    # ------------------------------------------------------------------ what Python users read
    @property
    def reading(self) -> Reading:
        """What is shown: the first of the two when two are compared."""
        return self._shown.reading

    @property
    def other_reading(self) -> Reading | None:
        """The second reading of a comparison."""
        return self._shown.other

    @property
    def tokens(self) -> list[str]:
        """The texts of the tokens whose queries are shown."""
        return list(self._shown.views["a"][self._now("view")].query_tokens)

    def matrix(
        self,
        *,
        view: str | None = None,
        layer: int | None = None,
        head: int | None = None,
        combine: str | None = None,
        kind: str | None = None,
        shown: str | None = None,
    ) -> NDArray[np.floating[Any]]:
        """The (query, key) numbers of the picture; what is left out is as the explorer shows it now.

        Raises ValueError for a head, or scores or value norms, that this explorer does not have.
        """
        given = {"view": view, "layer": layer, "head": head, "combine": combine, "kind": kind, "shown": shown}
        choice = {name: self._now(name) if value is None else value for name, value in given.items()}
        self._head([choice["view"], choice["layer"], choice["head"]])
        side = choice.pop("shown")
        return self._shown.matrix(side, **choice)

    def describe(self) -> str:
        """Layers, heads, tokens, and the start of the text."""
        views = self._shown.views["a"]
        sizes = [
            f"{name + ': ' if len(views) > 1 else ''}{counted(view.n_layers, 'layer')} × "
            f"{counted(view.n_heads, 'head')} × {count_tokens(view)}"
            for name, view in views.items()
        ]
        text = self._shown.reading.text or "".join(self.tokens)
        shown = shortened(text, 40)
        if self._shown.other is not None:
            return f"AttentionExplorer({'; '.join(sizes)}; {self._names[1]} − {self._names[0]}: {shown!r})"
        return f"AttentionExplorer({'; '.join(sizes)}: {shown!r})"

    def picture_bundle(self) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
        """The overview on the left, the head in focus on the right, as PNG with alt text."""
        side, view = self._shown.views[self.shown if self.shown != "difference" else "a"], self.view
        chosen = side[view]
        values = np.asarray(self.matrix(), dtype=np.float32)
        place = f"layer {self.layer}, " + (COMBINED[self.combine] if self.combine else f"head {self.head}")
        signed = self.shown == "difference"
        title = f"{place}: {self._names[1]} − {self._names[0]}" if signed else place
        levels, ticks, scale = picture_scale(values, self.kind, signed)
        tiles = picture.Tiles(self._shown.view_atlas(self.shown, view), self.layer, self.head)
        names = [
            [shortened(visible(token), 9) for token in tokens] for tokens in (chosen.query_tokens, chosen.key_tokens)
        ]
        image = picture.draw(tiles, picture.Focus(levels, *names, title, ticks, scale, signed))
        return picture.bundle(image, self._alt(chosen, values, place, signed))

    def _alt(self, view: View, values: NDArray[np.float32], place: str, signed: bool) -> str:
        """The picture in words."""
        largest = np.unravel_index(np.nanargmax(np.abs(np.where(np.isfinite(values), values, 0))), values.shape)
        query, key = (int(number) for number in largest)
        what = "difference" if signed else {"weights": "weight", "scores": "score", "values": "weight · ‖v‖"}[self.kind]
        return (
            f"Attention weights of {counted(view.n_layers, 'layer')} with {counted(view.n_heads, 'head')} over "
            f"{count_tokens(view)}. "
            f"In {place} the largest {what} is {values[query, key]:.2f}: "
            f"{view.query_tokens[query]!r} looking at {view.key_tokens[key]!r}."
        )

    def to_html(self, path: str | Path) -> Path:
        """Write one HTML file that shows this explorer anywhere, with no outside reference; the file's path.

        Weights that would make it larger than 32 MB are rounded, and the page says so.

        Raises:
            ValueError: when even the rounded weights are too many for one page.
        """
        blob, places, notes = pack(self._shown, LARGEST_PAGE)
        skipped = ("packed", "wanted", "asked", "answer", "answer_bytes")
        state = {name: value for name, value in self.get_state().items() if name in self._own_traits() - set(skipped)}
        binary = {name: bytes(state.pop(name)) for name in ("atlas", "focus")}
        contents = state["contents"]
        views = [{**view, "scores": "scores" in places["a"][view["name"]]} for view in contents["views"]]
        notes = [*contents["notes"], *notes]
        state["contents"] = {**contents, "packed": places, "views": views, "notes": notes, "live": False}
        extra = (HERE / "attention_explorer_page.js").read_text("utf-8")
        return write_page(Path(path), self, state, {**binary, "packed": blob}, extra)

    # ------------------------------------------------------------------ the numbers
    def _take(self, reading: Reading, other: Reading | None) -> None:
        """Show this from now on; nothing changes when it cannot be shown."""
        self._shown = Shown(reading, other)
        self._version += 1

    def _now(self, name: str) -> Any:
        """A choice, also before the traits exist."""
        return getattr(self, name) if self._settled else self._choice.get(name, getattr(type(self), name).default_value)

    def _message(self) -> dict[str, Any]:
        """What the page opens with."""
        shown, view, layer, head = (self._now(name) for name in ("shown", "view", "layer", "head"))
        combine, kind = self._now("combine"), self._now("kind")
        return {
            "atlas": self._shown.atlas(shown),
            "contents": self._contents(),
            "focus": half_precision(self.matrix()),
            "focus_of": [self._version, shown, view, layer, head, combine, kind],
        }

    def _contents(self) -> dict[str, Any]:
        """Everything small that the page must know of the reading."""
        return {
            "version": self._version,
            "views": self._shown.described(),
            "notes": self._shown.notes,
            "problems": self._shown.problems,
            "predictions": self._predictions(),
            "names": list(self._names) if self._shown.other is not None else [],
            "live": self._reader is not None,
            "needs": NO_MODEL,
            "two_models": self._other_reader is not None,
            "decoder": "decoder" in self._shown.views["a"],
            "title": getattr(self._reader, "title", ""),
            "causal": bool(getattr(self._reader, "causal", False)),
            "step": self._shown.step,
        }

    def _predictions(self) -> list[dict[str, Any]]:
        """What the model predicts, before and after what was changed (or on the one side and the other)."""
        before, after = self._shown.reading.predictions, None
        if self._shown.other is not None:
            after = self._shown.other.predictions
        elif self._untouched is not None and self._untouched.predictions is not None:
            before, after = self._untouched.predictions, before
        if before is None:
            return []
        views = self._shown.reading.views
        return prediction_rows(before, after, views.get("decoder", next(iter(views.values()))).query_tokens)

    def _own_traits(self) -> set[str]:
        return set(AttentionExplorer.class_own_traits()) | {"accessible_name"}

    # ------------------------------------------------------------------ what the page asks
    @traitlets.observe("wanted")
    def _answer_all(self, change: dict[str, Any]) -> None:
        """Send each thing that the page wants to draw, once."""
        wanted = change["new"]
        names, page = wanted.get("names", []), wanted.get("page")
        numbers = wanted.get("numbers", [wanted.get("seq")] * len(names))
        answered = self._answered.get(page, 0) if page is not None else 0
        for name, number in zip(names, numbers, strict=True):
            if page is not None and number <= answered:
                continue
            answer = {"seq": number, "name": name}
            data = b""
            try:
                data, sizes = self._find(name)
                answer |= sizes
            except (ValueError, KeyError, IndexError) as error:
                answer["error"] = str(error)
            with self.hold_sync():
                self.answer_bytes = data
                self.answer = answer
        if page is not None:
            self._answered[page] = max([answered, *numbers])

    def _find(self, name: list[Any]) -> tuple[bytes, dict[str, int]]:
        """The bytes that a name stands for."""
        if name[0] == "atlas":
            self._check_version(name[1])
            return self._shown.atlas(name[2]), {}
        if name[0] == "measures":
            self._check_version(name[1])
            measured = self._shown.measures(*name[2:])
            return measured.astype("<f4").tobytes(), {"rows": measured.shape[0], "columns": measured.shape[1]}
        version, shown, view, layer, head, combine, kind = name
        self._check_version(version)
        numbers = self.matrix(shown=shown, view=view, layer=layer, head=head, combine=combine, kind=kind)
        return half_precision(numbers), {"rows": numbers.shape[0], "columns": numbers.shape[1]}

    def _check_version(self, version: int) -> None:
        if version != self._version:
            raise ValueError("The model has read another text since.")

    @traitlets.observe("asked")
    def _read_for_page(self, change: dict[str, Any]) -> None:
        """Read what the page asks for; whatever goes wrong is a sentence in the page, and the notebook goes on."""
        seq = change["new"]["seq"]
        asked = {name: change["new"][name] for name in LIVE if name in change["new"]}
        message = ""
        try:
            self._read(asked)
        except ValueError as error:
            message = str(error)
        self.status = {"seq": seq, "error": message}

    # ------------------------------------------------------------------ the model reads
    def _read(self, changes: dict[str, Any]) -> None:
        """Run the model with these changes and show what it gives; nothing changes when it fails.

        Raises ValueError when there is no model, or it cannot read this.
        """
        if self._reader is None:
            raise ValueError(NEEDS_MODEL)
        state = {name: changes.get(name, getattr(self, name)) for name in LIVE}
        heads = [self._head(head) for head in state["ablated"]]
        given = for_decoder(state["decoder_text"])
        how = {"causal": state["causal"], "ablated": heads, **given}
        reading = read(self._reader, state["text"], **how)
        untouched = read(self._reader, state["text"], **given) if heads or state["causal"] is not None else None
        other = None
        if self._other_reader is not None or state["other_text"]:
            other = read(self._other_reader or self._reader, state["other_text"] or state["text"], **how)
        self._take(reading, other)
        self._untouched = untouched
        with self._unsettled(), self.hold_sync():
            self._fit_choices()
            state["ablated"] = [self._wire(head) for head in heads]
            for name, value in {**state, **self._message()}.items():
                setattr(self, name, value)

    def _fit_choices(self) -> None:
        """Move the choices to where there still is something to see."""
        if self.shown not in self._shown.sides:
            self.shown = "a"
        elif self._shown.other is not None and self.shown == "a":
            self.shown = "difference"
        if self.view not in self._shown.views["a"]:
            self.view = next(iter(self._shown.views["a"]))
        for name, size in self._limits().items():
            setattr(self, name, min(getattr(self, name), size - 1))

    @contextmanager
    def _unsettled(self) -> Iterator[None]:
        """Within, traits are set without being checked or acted upon: what is set was made to fit."""
        # `_now` still reads the traits, because they exist.
        self._acting = True
        try:
            yield
        finally:
            self._acting = False

    _acting = False

    @traitlets.validate(*LIVE)
    def _read_before_it_changes(self, proposal: dict[str, Any]) -> Any:
        """From Python: the model reads first, so that a text it cannot read leaves all as it was."""
        name, value = proposal["trait"].name, proposal["value"]
        if self._settled and not self._acting and value != getattr(self, name):
            self._read({name: value})
            return getattr(self, name)
        return value

    # ------------------------------------------------------------------ choices are checked
    def _limits(self) -> dict[str, int]:
        view = self._shown.views["a"][self.view]
        _, queries, keys = view.weights[0].shape
        return {"layer": view.n_layers, "head": view.n_heads, "query": queries, "key": keys}

    @traitlets.validate("layer", "head", "query", "key")
    def _within(self, proposal: dict[str, Any]) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        if self._settled and not self._acting and not 0 <= value < self._limits()[name]:
            raise ValueError(f"There is no {name} {value}: they go from 0 to {self._limits()[name] - 1}.")
        return value

    @traitlets.validate("view")
    def _known_view(self, proposal: dict[str, Any]) -> str:
        views = self._shown.views["a"]
        if proposal["value"] not in views:
            raise ValueError(
                f"There is no view {proposal['value']!r}; this explorer has {', '.join(map(repr, views))}."
            )
        return proposal["value"]

    @traitlets.observe("view")
    def _clamp(self, change: dict[str, Any]) -> None:
        if self._settled and not self._acting:
            for name, size in self._limits().items():
                setattr(self, name, min(getattr(self, name), size - 1))

    @traitlets.validate("shown")
    def _known_side(self, proposal: dict[str, Any]) -> str:
        if proposal["value"] not in self._shown.sides:
            raise ValueError(f"There is nothing to compare with, so {proposal['value']!r} cannot be shown.")
        return proposal["value"]

    @traitlets.validate("pins")
    def _known_cells(self, proposal: dict[str, Any]) -> list[Any]:
        pins = []
        for pin in proposal["value"]:
            *head, query, key = pin
            at = self._head(head)
            _, queries, keys = self._shown.views["a"][at.view].weights[0].shape
            if not (0 <= query < queries and 0 <= key < keys):
                raise ValueError(f"There is no cell ({query}, {key}): there are {queries} queries and {keys} keys.")
            pins.append([*self._wire(at), int(query), int(key)])
        return pins

    def _head(self, head: Sequence[Any]) -> HeadAt:
        """The head that [layer, head] or [view, layer, head] names; ValueError when there is none."""
        if len(head) not in (2, 3):
            raise ValueError(f"A head is [layer, head] or [view, layer, head], not {list(head)}.")
        return as_head(
            tuple(head), {name: (view.n_layers, view.n_heads) for name, view in self._shown.views["a"].items()}
        )

    def _wire(self, head: HeadAt) -> list[Any]:
        """A head as the page writes it: the first view's name is left out."""
        return [head.layer, head.head] if head.view == next(iter(self._shown.views["a"])) else list(head)


COMBINED = {"mean": "mean over heads", "max": "maximum over heads", "rollout": "rollout up to here"}


def read(reader: Reader, text: str, **how: Any) -> Reading:
    """What the reader gives, or a ValueError in one sentence, whatever happened inside the model."""
    if not text.strip():
        raise ValueError("The text is empty: give the model at least one token to attend to.")
    try:
        return reader.read(text, **how)
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"The model failed while reading this text ({type(error).__name__}: {error}).") from error


def for_decoder(text: str) -> dict[str, str]:
    """How a reader is told what its decoder reads; nothing is said when the model writes that itself."""
    return {"decoder_text": text} if text else {}


def side_of(side: Reading | AttentionExplorer | tuple[Any, Any, str]) -> tuple[Reading, Reader | None]:
    """One side of a comparison: what was read, and who can read anew."""
    if isinstance(side, AttentionExplorer):
        return side.reading, side._reader
    if isinstance(side, Reading):
        return side, None
    made = AttentionExplorer.from_model(*side)
    made.close()
    return made.reading, made._reader


def strongest(row: NDArray[Any]) -> int:
    """Where the row is largest; 0 when it holds no number."""
    return int(np.where(np.isfinite(row), row, -np.inf).argmax())


def picture_scale(
    values: NDArray[np.float32], kind: str, signed: bool
) -> tuple[NDArray[np.float32], list[tuple[float, str]], str]:
    """Levels on the colour map, the colour bar's ticks, and what the bar measures."""
    if signed:
        reach = float(np.abs(np.where(np.isfinite(values), values, 0)).max()) or 1.0
        return values / reach / 2 + 0.5, [(0, f"−{reach:.2g}"), (0.5, "0"), (1, f"{reach:.2g}")], "difference"
    if kind == "weights":
        weights = (0, 0.05, 0.25, 0.5, 1)
        return np.sqrt(np.maximum(values, 0)), [(weight**0.5, f"{weight:g}") for weight in weights], "weight, √ scale"
    fine = values[np.isfinite(values)]
    low, high = (float(fine.min()), float(fine.max())) if fine.size else (0.0, 1.0)
    levels = (values - low) / (high - low if high > low else 1.0)
    name = "score" if kind == "scores" else "weight · ‖v‖"
    return np.where(np.isfinite(values), levels, np.nan), [(0, f"{low:.2g}"), (1, f"{high:.2g}")], name


def shortened(text: str, most: int) -> str:
    """The text, or its beginning and "…" when it has more than `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def visible(token: str) -> str:
    """The token with spaces and line ends made visible."""
    return token.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥")
