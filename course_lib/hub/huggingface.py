"""A GPT from Hugging Face's weights, and Hugging Face's model from ours: the same logits in both directions."""

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import torch
from safetensors import SafetensorError

from course_lib.hub.folder import TOKENIZER, check_vocabularies, replacing, shipped_models
from course_lib.hub.formats import FORMATS, Format, explicit_config, to_our_weights, to_their_weights
from course_lib.models.gpt import GPT, GPTConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

SECONDS_TO_ANSWER = 3.0
"""How long the hub may take to answer a knock before it counts as out of reach."""


def gpt_from_huggingface(source: "str | Path | PreTrainedModel") -> GPT:
    """Our GPT with the weights of a GPT-2 or Llama of `transformers`: it answers the same logits.

    Args:
        source: a model that is loaded already, a folder that `save_pretrained` wrote, or a name on the hub ("gpt2"),
            which needs the network once. Only safetensors are read, and no code that comes with a model is run.

    The model is on the CPU, in float32 and in evaluation mode.

    Raises FileNotFoundError when a name is not on this machine and the hub cannot be reached; ValueError for an
    architecture or a setting that our GPT does not have.
    """
    theirs = _load(str(source)) if isinstance(source, str | Path) else source
    form = next((form for form in FORMATS if type(theirs).__name__ == form.architecture), None)
    if form is None:
        raise ValueError(
            f"The model is a {type(theirs).__name__}; a GPT of this course can be made from "
            f"{' or '.join(form.architecture for form in FORMATS)}."
        )
    if unlike := form.unlike(theirs.config):
        raise ValueError(f"This {form.name} is set up as our GPT cannot be: {', '.join(unlike)}.")

    ours = GPT(GPTConfig(**form.to_gpt(theirs.config)))
    weights = {name: tensor.detach().cpu() for name, tensor in theirs.state_dict().items()}
    ours.load_state_dict(to_our_weights(weights, form))
    return ours.eval()


def to_huggingface(model: GPT, tokenizer: Any = None, folder: str | Path | None = None) -> "PreTrainedModel":
    """The same model as one of `transformers`; with a folder, saved so that `from_pretrained` and `pipeline` load it.

    A GPT with GPT-2's switches becomes a GPT2LMHeadModel (without biases: one whose biases are 0); one with
    Llama's a LlamaForCausalLM.

    Args:
        model: the model to convert; it is left alone.
        tokenizer: one of this course's tokenizers; saved too, as a PreTrainedTokenizerFast.
        folder: where to save; files of it that are not part of the model stay.

    Raises ValueError for a model that is neither, with the settings that stand in the way.
    """
    import transformers

    config = explicit_config(model)
    form = _format_for(config)
    their_class = getattr(transformers, form.architecture)
    settings = {name: setting(config) for name, setting in form.settings.items()}
    theirs = their_class(their_class.config_class(**settings, **_special_ids(tokenizer)))
    theirs.to(dtype=model.token_embedding.weight.dtype)

    weights = to_their_weights(model.state_dict(), form)
    for name, tensor in theirs.state_dict().items():
        if name.endswith(".bias"):  # ours may do without
            weights.setdefault(name, torch.zeros_like(tensor))
    theirs.load_state_dict(weights)
    theirs.eval()

    if tokenizer is not None:
        check_vocabularies(model, tokenizer)
    if folder is not None:
        with replacing(Path(folder)) as beside, _quiet():
            theirs.save_pretrained(beside)
            if tokenizer is not None:
                fast_tokenizer(tokenizer, model.config.context_length).save_pretrained(beside)
    return theirs


def fast_tokenizer(tokenizer: Any, context_length: int | None = None) -> "PreTrainedTokenizerFast":
    """One of this course's tokenizers as `transformers` uses it: the same ids.

    As in ours, special tokens are never made from text, even from a text that spells them.
    """
    from transformers import PreTrainedTokenizerFast

    end = tokenizer.decode([tokenizer.end_id])
    return PreTrainedTokenizerFast(
        tokenizer_object=_tokenizers_object(tokenizer),
        bos_token=end,
        eos_token=end,
        pad_token=end,
        split_special_tokens=True,
        clean_up_tokenization_spaces=False,
        **({} if context_length is None else {"model_max_length": context_length}),
    )


def _format_for(config: GPTConfig) -> Format:
    """The first architecture that can express the config; ValueError with what stands in the way of each."""
    for form in FORMATS:
        if not form.obstacles(config):
            return form
    ways = "; ".join(f"for {form.name}, {', '.join(form.obstacles(config))}" for form in FORMATS)
    raise ValueError(
        f"transformers has no model with all of these switches. In the way stand: {ways}. Save the model with "
        "save_model, or build it with the switches of one of the two."
    )


def _special_ids(tokenizer: Any) -> dict[str, int | None]:
    """What begins and ends a text, for a config of `transformers`."""
    end = None if tokenizer is None else tokenizer.end_id
    return {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end}


def _tokenizers_object(tokenizer: Any) -> Any:
    """The tokenizer as one of the `tokenizers` library, in whose format ours save themselves."""
    from tokenizers import Tokenizer

    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(Path(folder) / TOKENIZER)
        return Tokenizer.from_file(str(Path(folder) / TOKENIZER))


def _load(source: str) -> "PreTrainedModel":
    """A causal language model of `transformers`, from a folder, this machine's cache, or the hub."""
    if Path(source).is_dir():
        _check_folder(Path(source))
        with _quiet():
            return _from_folder(source)
    if source.startswith((".", "/", "~")) or source.count("/") > 1 or "\\" in source:
        raise FileNotFoundError(f"There is no folder {source}.")
    with _quiet():
        return _by_name(source)


def _from_folder(folder: str) -> "PreTrainedModel":
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, local_files_only=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"The model in {folder} cannot be loaded, it may be damaged: {error}") from error


def _by_name(name: str) -> "PreTrainedModel":
    """What is on this machine, or else on the hub; FileNotFoundError, at once, where there is neither."""
    from transformers import AutoModelForCausalLM

    try:
        return AutoModelForCausalLM.from_pretrained(name, use_safetensors=True, local_files_only=True)
    except (OSError, ValueError) as error:
        if not _hub_answers():
            raise FileNotFoundError(
                f"The model {name!r} is not on this machine, and the Hugging Face hub cannot be reached. Where there "
                f"is a network, `hf download {name}` fetches it; without one, give a folder that save_pretrained "
                f"wrote, or use a model of the course with load_model ({', '.join(shipped_models()) or 'none here'})."
            ) from error
    try:
        return AutoModelForCausalLM.from_pretrained(name, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(f"The hub has no model {name!r} that can be used here: {error}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars of `transformers`: a lesson's page is no place for them."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _check_folder(folder: Path) -> None:
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


def _hub_answers() -> bool:
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
