"""`tokenizer.json`, the file in which `tokenizers` and `transformers` keep a tokenizer: reading and writing it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from course_lib.files import write_atomically


class UnsupportedTokenizer(ValueError):
    """A sound file, but of a tokenizer that the course's classes would not reproduce id for id."""

    def __init__(self, path: str | Path, what: str):
        super().__init__(
            f"{path} holds a tokenizer that course_lib does not build: {what}. "
            f"transformers.PreTrainedTokenizerFast(tokenizer_file=…) loads it."
        )


def write_tokenizer(path: str | Path, *, special: Mapping[str, int], **parts: Any) -> None:
    """Write the parts of a tokenizer, all or nothing; the parts that are not given are null."""
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added_token(token, index) for token, index in sorted(special.items(), key=lambda x: x[1])],
        **{part: parts.get(part) for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder", "model")},
    }
    write_atomically(Path(path), (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode())


def read_tokenizer(path: str | Path) -> dict[str, Any]:
    """The content of a `tokenizer.json`, or of the one in a folder. Raises ValueError if it is none."""
    path = Path(path)
    if path.is_dir():
        path = path / "tokenizer.json"
    if not path.is_file():
        raise FileNotFoundError(f"There is no tokenizer file {str(path)!r}.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not a saved tokenizer: it holds no valid JSON ({error}).") from None
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise ValueError(f'{path} is not a saved tokenizer: it has no "model", as every tokenizer.json has.')
    return content


def read_model(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The content of a `tokenizer.json`, and its model, which has to be of this kind ("BPE", "WordPiece")."""
    content = read_tokenizer(path)
    model = content["model"]
    found = model.get("type") or ("BPE" if "merges" in model else "unknown")  # old files leave the type out
    if found != kind:
        raise UnsupportedTokenizer(path, f"its model is {found}, and this class is {kind}")
    if not isinstance(model.get("vocab"), dict) or (kind == "BPE" and not isinstance(model.get("merges"), list)):
        raise ValueError(f"{path} is damaged: its {kind} model has no vocabulary or no list of merges.")
    return content, model


def added_tokens(path: str | Path, content: dict, vocabulary: dict[str, int]) -> tuple[list[str], list[str]]:
    """All tokens in the order of their ids, and those that are special, lowest id first."""
    added = content.get("added_tokens") or []
    plain = [token["content"] for token in added if not token.get("special")]
    if plain:
        raise UnsupportedTokenizer(path, f"it cuts texts at added tokens that are not special ({plain[0]!r})")
    special = {token["content"]: token["id"] for token in added}
    ids = {**vocabulary, **special}
    tokens = sorted(ids, key=ids.__getitem__)
    if [ids[token] for token in tokens] != list(range(len(tokens))):
        raise ValueError(f"{path} is damaged: its {len(tokens)} tokens do not have the ids 0 to {len(tokens) - 1}.")
    return tokens, sorted(special, key=special.__getitem__)


def _added_token(token: str, index: int) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": index, "content": token, **flags}
