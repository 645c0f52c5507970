"""Text in, text out: a prompt becomes tokens, and tokens become text as they come."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch

from course_lib.generation.beam import beam_search
from course_lib.generation.compiled import Compiled
from course_lib.generation.sampling import Endings, generate, stream
from course_lib.models.encoder_decoder import EncoderDecoder
from course_lib.models.gpt import GPT

UNFINISHED = "\ufffd"
"""What a byte-level tokenizer answers for the first bytes of a character whose last ones are still to come."""

BETWEEN_CHINESE = re.compile("(?<=[\u2e80-\u9fff\uff00-\uffef]) (?=[\u2e80-\u9fff\uff00-\uffef])")
"""The space that a WordPiece tokenizer decodes between two Chinese characters, where nobody writes one."""


@runtime_checkable
class Tokenizer(Protocol):
    """What text needs: ids from text, text from ids, and the token that stands between documents."""

    end_id: int

    def encode(self, text: str) -> list[int]:
        """The ids of a text."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids."""


def complete(
    model: GPT | Compiled,
    tokenizer: Tokenizer,
    prompt: str | Sequence[str],
    max_new_tokens: int = 200,
    *,
    stop: str | Sequence[str] = (),
    generator: torch.Generator | None = None,
    **settings: Any,
) -> str | list[str]:
    """The text that a model adds to a prompt, or to each of several.

    A prompt is read as the beginning of a document: the end token stands before it, as between the documents that the
    model was trained on. The completion ends before the model's own end token, before the first of the `stop` texts,
    or after `max_new_tokens`.

    Args:
        model, max_new_tokens, generator: as in `generate`.
        tokenizer: the one that the model was trained with.
        prompt: a text, which may be empty, or several; the answer has the same form.
        stop: texts that end the completion; they are not part of it.
        settings: temperature, top_k, top_p, min_p, repetition_penalty, use_cache: as in `generate`.
    """
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    ids = [document_start(tokenizer, text) for text in prompts]
    rows = generate(
        model,
        ids,
        max_new_tokens,
        generator=generator,
        stop_id=tokenizer.end_id,
        stop_strings=stop,
        tokenizer=tokenizer,
        **settings,
    )
    completions = []
    for start, row in zip(ids, rows, strict=True):
        added = [token for token in row[len(start) :] if token != tokenizer.end_id]
        completions.append(_before_stop(tokenizer.decode(added), stop))
    return completions[0] if isinstance(prompt, str) else completions


def translate(
    model: EncoderDecoder,
    tokenizer: Tokenizer,
    text: str | Sequence[str],
    *,
    beams: int = 1,
    length_penalty: float = 1.0,
    max_new_tokens: int | None = None,
) -> str | list[str]:
    """What an encoder–decoder writes for a text that it reads, or for each of several: its likeliest answer.

    The end token follows the text, as in training. The answer ends before the model's own end token.

    Args:
        model: an encoder–decoder.
        tokenizer: the one that the model was trained with.
        text: what to read, or several texts; the answer has the same form.
        beams, length_penalty: as in `beam_search`. With one beam the likeliest token is taken at each step, and all
            texts are answered at once.
        max_new_tokens: the most tokens of an answer; default what the model has room for.
    """
    sources = [[*tokenizer.encode(one), tokenizer.end_id] for one in ([text] if isinstance(text, str) else text)]
    length = model.config.context_length - 1 if max_new_tokens is None else max_new_tokens
    if beams == 1:
        rows = generate(model, sources, length, temperature=0.0, stop_id=tokenizer.end_id)
    else:
        found = beam_search(
            model, sources, length, beams=beams, length_penalty=length_penalty, stop_id=tokenizer.end_id
        )
        rows = [hypotheses[0].tokens for hypotheses in found]
    not_text = (tokenizer.end_id, model.config.pad_id)
    answers = [
        BETWEEN_CHINESE.sub("", tokenizer.decode([token for token in row[1:] if token not in not_text])) for row in rows
    ]
    return answers[0] if isinstance(text, str) else answers


def stream_text(
    model: GPT | Compiled,
    tokenizer: Tokenizer,
    prompt: str,
    max_new_tokens: int = 200,
    *,
    stop: str | Sequence[str] = (),
    generator: torch.Generator | None = None,
    **settings: Any,
) -> Iterator[str]:
    """The pieces of `complete`'s text, as they come: joined, they are what it answers for the same generator.

    A piece is held back while it may still change: the first bytes of a character, or the beginning of a stop text.
    """
    stops = [stop] if isinstance(stop, str) else list(stop)
    ends = Endings(1, tokenizer.end_id, stops, tokenizer)
    start = document_start(tokenizer, prompt)
    added: list[int] = []
    shown = ""
    for token in stream(model, [start], max_new_tokens, generator=generator, **settings):
        ends.take(token)
        if token.item() != tokenizer.end_id:
            added.append(token.item())
        text = tokenizer.decode(added)
        certain = _before_stop(text, stops) if ends.all_finished else text[: len(text) - _open_end(text, stops)]
        if len(certain) > len(shown):
            yield certain[len(shown) :]
            shown = certain
        if ends.all_finished:
            return
    rest = _before_stop(tokenizer.decode(added), stops)[len(shown) :]
    if rest:
        yield rest


def document_start(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text that begins a document: the end token of the one before, then the text."""
    return [tokenizer.end_id, *tokenizer.encode(text)]


def _before_stop(text: str, stop: str | Sequence[str]) -> str:
    """The text up to the first stop text in it."""
    stops = [stop] if isinstance(stop, str) else stop
    return text[: min((text.find(s) for s in stops if s in text), default=len(text))]


def _open_end(text: str, stops: Sequence[str]) -> int:
    """How many characters at the end may still become something else."""
    if text.endswith(UNFINISHED):
        return len(text) - len(text.rstrip(UNFINISHED))
    beginnings = (length for stop in stops for length in range(1, len(stop)) if text.endswith(stop[:length]))
    return max(beginnings, default=0)
