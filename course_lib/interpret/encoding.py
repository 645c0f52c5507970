"""From a text that somebody typed to ids that a model can read: cut to its context, and what was done is said."""

from __future__ import annotations

from typing import Any, NamedTuple

REPLACEMENT = "\ufffd"
SHOWN = 12  # unknown words that a note lists


class Encoded(NamedTuple):
    """A text as ids, and sentences on what had to be done to it."""

    ids: list[int]
    notes: list[str]


def encode_text(tokenizer: Any, text: str, limit: int | None, *, end_id: int | None = None) -> Encoded:
    """The ids of a text with the special tokens that the tokenizer's models expect, at most `limit` of them.

    With `end_id` no special tokens but this one, at the end: what this course's encoder–decoders read and write.
    `tokenizer` is one of this course's or of transformers'. Half characters (lone surrogates), which no tokenizer can
    read, become "\ufffd". Raises ValueError for an empty text, and for one that the tokenizer cannot encode.
    """
    text, notes = without_surrogates(text)
    if not text:
        raise ValueError("The text is empty: give the model at least one token to attend to.")
    ids = _encode(tokenizer, text, None, end_id)
    if not ids or (not text.strip() and ids == _encode(tokenizer, "", None, end_id)):
        raise ValueError(f"The text {text!r} has no token in this vocabulary: give the model something to attend to.")
    if limit is not None and len(ids) > limit:
        notes.append(f"The text is {len(ids)} tokens long and {limit} are read: the last {len(ids) - limit} were cut.")
        ids = _encode(tokenizer, text, limit, end_id)
    unknown = _unknown_words(tokenizer, text)
    if unknown:
        shown = " ".join(unknown[:SHOWN]) + (" …" if len(unknown) > SHOWN else "")
        notes.append(f"Not in this vocabulary, and read as {tokenizer.unk_token}: {shown}")
    return Encoded(ids, notes)


def without_surrogates(text: str) -> tuple[str, list[str]]:
    """The text with each half character replaced, and a sentence that says so if there was one."""
    halves = sum("\ud800" <= character <= "\udfff" for character in text)
    if not halves:
        return text, []
    whole = "".join(REPLACEMENT if "\ud800" <= character <= "\udfff" else character for character in text)
    return whole, [f"The text holds {halves} half character(s) (lone surrogates), read as {REPLACEMENT}."]


def _unknown_words(tokenizer: Any, text: str) -> list[str]:
    """The different words of a text that the vocabulary has no token for, where the tokenizer can tell."""
    if not getattr(tokenizer, "is_fast", False) or tokenizer.unk_token_id in (None, tokenizer.eos_token_id):
        return []  # a byte-level vocabulary knows every text; GPT-2's calls its end of text "unknown" all the same
    encoded = tokenizer(text, return_offsets_mapping=True, verbose=False)
    unknown = [
        text[start:end]
        for index, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        if index == tokenizer.unk_token_id and end > start
    ]
    return list(dict.fromkeys(unknown))


def mask_id_of(tokenizer: Any) -> int | None:
    """The id of the tokenizer's mask; None when it has none."""
    return getattr(tokenizer, "mask_token_id", getattr(tokenizer, "mask_id", None))


def mask_text_of(tokenizer: Any) -> str:
    """How the tokenizer's mask is written in a text."""
    return getattr(tokenizer, "mask_token", None) or "[MASK]"


def end_id_of(tokenizer: Any) -> int | None:
    """The id that ends a text; None when there is none."""
    return getattr(tokenizer, "eos_token_id", getattr(tokenizer, "end_id", None))


def _encode(tokenizer: Any, text: str, limit: int | None, end_id: int | None) -> list[int]:
    if end_id is not None:
        plain = {"add_special_tokens": False} if hasattr(tokenizer, "convert_ids_to_tokens") else {}
        return [*list(tokenizer.encode(text, **plain))[: None if limit is None else limit - 1], end_id]
    if hasattr(tokenizer, "convert_ids_to_tokens"):  # transformers; it says itself when a text is too long: we do
        cut = {"truncation": True, "max_length": limit} if limit is not None else {"verbose": False}
        return list(tokenizer(text, **cut)["input_ids"])
    if hasattr(tokenizer, "cls_id"):
        room = None if limit is None else limit - 2
        inner = tokenizer.encode(text, allow_special=True)[:room]  # a "[MASK]" in the text is a mask
        return [tokenizer.cls_id, *inner, tokenizer.sep_id]
    return list(tokenizer.encode(text))[:limit]
