"""Encoder–decoders from T5's weights and back: the same logits in both directions.

T5 1.0 has ReLUs, T5 1.1 gated GELUs; neither has biases, absolute positions or a scale for its scores.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from course_lib.hub.bert import check_names, read_source
from course_lib.hub.folder import own_tensors
from course_lib.models.encoder_decoder import EncoderDecoder, EncoderDecoderConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

CONTEXT = 512
"""T5's positions never end; this is the length of the texts that it was trained on."""

ACTIVATIONS = {
    "relu": "relu", "gelu": "gelu", "gelu_new": "gelu_tanh", "gated-gelu": "geglu", "gated-silu": "swiglu",
}  # fmt: skip
THEIR_ACTIVATION = {ours: theirs for theirs, ours in ACTIVATIONS.items()}

FIXED = {"positions": "relative", "norm": "rmsnorm", "norm_position": "pre", "bias": False, "tie_embeddings": True}
"""What our switches must be for a model of ours to be a T5."""

OUTSIDE = {
    "token_embedding": "shared",
    "unembedding": "lm_head",
    "encoder.positions.embedding": "encoder.block.0.layer.0.SelfAttention.relative_attention_bias",
    "decoder.positions.embedding": "decoder.block.0.layer.0.SelfAttention.relative_attention_bias",
    "encoder.final_norm": "encoder.final_layer_norm",
    "decoder.final_norm": "decoder.final_layer_norm",
}
ATTENTION = {"query": "q", "key": "k", "value": "v", "output": "o"}
COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
"""A table that the published T5 1.0 carries and nothing reads."""


def t5_from_huggingface(source: "str | Path | PreTrainedModel") -> EncoderDecoder:
    """Our encoder–decoder with the weights of a T5 of `transformers`: it answers the same logits.

    Args:
        source: a T5ForConditionalGeneration that is loaded already, a folder that `save_pretrained` wrote, or a name on
            the hub ("t5-small"), which needs the network once. Only safetensors are read, and no code is run.

    The model is on the CPU, in float32 and in evaluation mode.

    Raises FileNotFoundError when a name is not on this machine and the hub cannot be reached; ValueError for a
    checkpoint of another family, for a setting that ours does not have, and when weights are missing or left over.
    """
    theirs, weights, where = read_source(source)
    if theirs.model_type != "t5":
        advice = {"gpt2": "gpt_from_huggingface", "llama": "gpt_from_huggingface"}
        advice |= dict.fromkeys(("bert", "roberta", "albert"), "bert_from_huggingface")
        hint = f": {advice[theirs.model_type]} loads it" if theirs.model_type in advice else ""
        raise ValueError(f"{where} is of the family {theirs.model_type!r}, not a T5{hint}.")
    if theirs.feed_forward_proj not in ACTIVATIONS:
        raise ValueError(
            f"The T5 in {where} has feed_forward_proj={theirs.feed_forward_proj!r}, and ours knows "
            f"{', '.join(ACTIVATIONS)}."
        )
    weights = _tidied(weights)
    ours = EncoderDecoder(_config(theirs, tied="lm_head.weight" not in weights))
    names = their_names(ours)
    check_names(names, weights, ours, where)
    ours.load_state_dict({name: weights[there].float() for name, there in names.items()}, strict=False)
    return ours.eval()


def t5_to_transformers(model: EncoderDecoder, end_id: int | None = None) -> "PreTrainedModel":
    """The same model as a T5ForConditionalGeneration; its `generate` stops at `end_id`.

    A scale of the scores goes into the queries' weights. Raises ValueError for a model that is no T5, with the settings
    that stand in the way.
    """
    from transformers import T5Config, T5ForConditionalGeneration

    config = model.config
    obstacles = [
        f"{name}={value!r}" for name, value in dataclasses.asdict(config).items() if value != FIXED.get(name, value)
    ]
    if config.activation not in THEIR_ACTIVATION:
        obstacles.append(f"activation={config.activation!r}")
    if config.final_norm is False:
        obstacles.append("final_norm=False")
    if obstacles:
        raise ValueError(
            f"transformers has no T5 with {', '.join(obstacles)}: save the model with save_model, or build it with the "
            "switches of T5."
        )
    theirs = T5ForConditionalGeneration(
        T5Config(
            vocab_size=config.vocab_size,
            d_model=config.d_model,
            d_kv=config.head_width,
            d_ff=model.encoder.blocks[0].feed_forward.up.out_features,
            num_layers=config.n_layers,
            num_decoder_layers=config.decoder_layers,
            num_heads=config.n_heads,
            relative_attention_num_buckets=config.n_buckets,
            relative_attention_max_distance=config.max_distance,
            layer_norm_epsilon=config.norm_eps,
            dropout_rate=config.dropout,
            feed_forward_proj=THEIR_ACTIVATION[config.activation],
            tie_word_embeddings=config.scale_output,  # so T5 says whether the output is scaled; it ties always
            pad_token_id=config.pad_id,
            decoder_start_token_id=config.first_id,
            eos_token_id=end_id,
        )
    )
    theirs.to(dtype=model.token_embedding.weight.dtype)
    scale = config.head_width**-0.5 if config.scale_scores else 1.0
    names = their_names(model)
    theirs.load_state_dict(
        {
            names[name]: tensor * scale if name.endswith("attention.query.weight") else tensor
            for name, tensor in own_tensors(model)
        },
        strict=False,
    )
    return theirs.eval()


def ends_sources(fast: "PreTrainedTokenizerFast", tokenizer: Any, pad_id: int) -> None:
    """Make their form of a tokenizer prepare sources as `Pairs` does: the text, then the end token, then padding."""
    from tokenizers.processors import TemplateProcessing

    end = tokenizer.tokens[tokenizer.end_id]
    fast.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, tokenizer.end_id)]
    )
    fast.eos_token = end
    if pad_id < tokenizer.vocab_size:
        fast.pad_token = tokenizer.tokens[pad_id]
    fast.model_input_names = ["input_ids", "attention_mask"]


def their_names(model: EncoderDecoder) -> dict[str, str]:
    """T5's name of each of our model's weights; a tensor that has two names counts under the first."""
    gated = model.encoder.blocks[0].feed_forward.gate is not None
    feed_forward = {"up": "wi_1", "gate": "wi_0", "down": "wo"} if gated else {"up": "wi", "down": "wo"}

    def their_name(name: str) -> str:
        part, leaf = name.rsplit(".", 1)
        if part in OUTSIDE:
            return f"{OUTSIDE[part]}.{leaf}"
        side, _, number, part = part.split(".", 3)
        last = 2 if side == "decoder" else 1
        sublayer, _, piece = part.partition(".")
        place = {
            "attention_norm": "0.layer_norm",
            "attention": f"0.SelfAttention.{ATTENTION.get(piece)}",
            "cross_norm": "1.layer_norm",
            "cross_attention": f"1.EncDecAttention.{ATTENTION.get(piece)}",
            "feed_forward_norm": f"{last}.layer_norm",
            "feed_forward": f"{last}.DenseReluDense.{feed_forward.get(piece)}",
        }[sublayer]
        return f"{side}.block.{number}.layer.{place}.{leaf}"

    return {name: their_name(name) for name, _ in own_tensors(model)}


def _tidied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights without what is kept twice, and without what nothing reads."""
    tidy = {name: tensor for name, tensor in weights.items() if name != UNUSED}
    shared = tidy.get("shared.weight")
    for name in (*COPIES, "lm_head.weight"):
        if shared is None and name in COPIES and name in tidy:
            shared = tidy["shared.weight"] = tidy[name]
        if name in tidy and shared is not None and tidy[name].shape == shared.shape and torch.equal(tidy[name], shared):
            del tidy[name]
    return tidy


def _config(theirs: Any, *, tied: bool) -> EncoderDecoderConfig:
    """T5's settings as ours."""
    start = theirs.decoder_start_token_id if hasattr(theirs, "decoder_start_token_id") else None
    return EncoderDecoderConfig(
        vocab_size=theirs.vocab_size,
        context_length=CONTEXT,
        d_model=theirs.d_model,
        n_heads=theirs.num_heads,
        n_layers=theirs.num_layers,
        n_decoder_layers=theirs.num_decoder_layers,
        d_head=theirs.d_kv,
        d_ff=theirs.d_ff,
        pad_id=theirs.pad_token_id or 0,
        start_id=start,
        n_buckets=theirs.relative_attention_num_buckets,
        max_distance=theirs.relative_attention_max_distance,
        norm_eps=theirs.layer_norm_epsilon,
        activation=ACTIVATIONS[theirs.feed_forward_proj],
        scale_scores=False,
        scale_output=theirs.scale_decoder_outputs,
        dropout=float(theirs.dropout_rate),
        **FIXED | {"tie_embeddings": tied},
    )
