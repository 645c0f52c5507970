"""Where models of Hugging Face's format lie: a folder, this machine's cache, or the hub; and how they are read."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from course_lib.hub.folder import shipped_models

SECONDS_TO_ANSWER = 3.0
"""How long the hub may take to answer a knock before it counts as out of reach."""

WANTED = ("*.json", "*.safetensors", "*.txt", "*.model")
"""The files of a repository that are fetched: settings, weights and tokenizers, and nothing that could run."""

ELSEWHERE = "*/*"
"""Folders of a repository hold the same weights for other programs, and are left alone."""


def model_folder(source: str | Path) -> Path:
    """The folder with a model's `config.json` and safetensors: as given, from this machine's cache, or fetched.

    Raises FileNotFoundError, at once, for a name that is not on this machine when the hub cannot be reached, and for
    a folder without a model.
    """
    if Path(source).is_dir():
        check_folder(Path(source))
        return Path(source)
    name = str(source)
    if is_path(name):
        raise FileNotFoundError(f"There is no folder {name}.")
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=WANTED, ignore_patterns=ELSEWHERE, local_files_only=True))
        check_folder(folder)
        return folder
    except (OSError, ValueError) as error:
        if not hub_answers():
            raise FileNotFoundError(out_of_reach(name)) from error
    try:
        folder = Path(snapshot_download(name, allow_patterns=WANTED, ignore_patterns=ELSEWHERE))
    except (OSError, ValueError) as error:
        raise FileNotFoundError(f"The hub has no model {name!r} that can be used here: {error}") from error
    check_folder(folder)
    return folder


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder's model, of one file or of its parts. Raises ValueError for a damaged one."""
    whole = folder / "model.safetensors"
    weights: dict[str, Tensor] = {}
    for file in [whole] if whole.is_file() else sorted(folder.glob("*.safetensors")):
        try:
            weights |= load_file(file)
        except SafetensorError as error:
            raise ValueError(f"{file} cannot be loaded, it may be damaged: {error}") from None
    return weights


def is_path(source: str) -> bool:
    """Whether a text can only mean a path, for no name on the hub looks like it."""
    return source.startswith((".", "/", "~")) or source.count("/") > 1 or "\\" in source


def out_of_reach(name: str) -> str:
    """What to do without a network, in a sentence or two."""
    return (
        f"The model {name!r} is not on this machine, and the Hugging Face hub cannot be reached. Where there "
        f"is a network, `hf download {name}` fetches it; without one, give a folder that save_pretrained "
        f"wrote, or use a model of the course with load_model ({', '.join(shipped_models()) or 'none here'})."
    )


def check_folder(folder: Path) -> None:
    """Raise for a folder without a Hugging Face model in safetensors, in one sentence."""
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"The folder {folder} holds no config.json: it is not a model of Hugging Face's format."
        )
    if not any(folder.glob("*.safetensors")):
        raise FileNotFoundError(
            f"The folder {folder} holds no *.safetensors. Other files of weights are pickles, which can run code, and "
            "are not read: save the model again with save_pretrained(folder, safe_serialization=True)."
        )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{folder / 'config.json'} is damaged: it holds no valid JSON ({error}).") from None
    if "architectures" not in config:
        raise ValueError(f"{folder} holds no model of Hugging Face's format; a model of this course: use load_model.")


def hub_answers() -> bool:
    """Whether the hub can be reached: known in seconds, where its client would go on trying for half a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True  # a proxy answers for it, or says that it cannot
    address = urlsplit(constants.ENDPOINT)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname, port), timeout=SECONDS_TO_ANSWER).close()
    except OSError:
        return False
    return True


@contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars of `transformers`: a lesson's page is no place for them."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
