"""How `transformers` says the same things: GPT-2's and Llama's configs and weight names, in both directions.

A GPT of this course is one of theirs when its switches are set as theirs are fixed. A format is a pair of
dictionaries (settings, names of weights) and the few rearrangements that are left.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from course_lib.models.gpt import GPT, GPTConfig

Weights = dict[str, Tensor]

FREE = ("vocab_size", "context_length", "d_model", "n_heads", "n_layers", "d_ff", "norm_eps", "tie_embeddings")
"""Settings that every format takes as they are."""

OF_THE_START = ("zero_writers",)
"""Settings that decide how training begins; a trained model computes the same without them."""


@dataclass(frozen=True)
class Format:
    """One architecture of `transformers`.

    Attributes:
        name: what people call it; model_type: what its config calls it; architecture: its class.
        fixed: what each of our settings must be.
        also_free: our settings that it takes as they are, besides FREE.
        settings: their name of a setting and how our config gives it.
        to_gpt: their config as the arguments of ours.
        unlike: what their config may switch on that our GPT has not, in words.
        names: pieces of our weights' names, and of theirs.
        pack, unpack: rearrange our weights into theirs, and back (names already changed).
    """

    name: str
    model_type: str
    architecture: str
    fixed: dict[str, tuple]
    also_free: tuple[str, ...]
    settings: dict[str, Callable[[GPTConfig], Any]]
    to_gpt: Callable[[Any], dict[str, Any]]
    unlike: Callable[[Any], list[str]]
    names: tuple[tuple[str, str], ...]
    pack: Callable[[Weights], Weights]
    unpack: Callable[[Weights], Weights]

    def obstacles(self, config: GPTConfig) -> list[str]:
        """The settings of `config` that this format cannot express, in words."""
        found = []
        for field in dataclasses.fields(config):
            value = getattr(config, field.name)
            if field.name in (*FREE, *OF_THE_START, *self.also_free):
                continue
            if value not in self.fixed.get(field.name, (field.default,)):
                found.append(f"{field.name}={value!r}")
        return found


def explicit_config(model: GPT) -> GPTConfig:
    """A model's config with nothing left to a default: `d_ff` as it is, `n_kv_heads` only where it is smaller."""
    config, feed_forward = model.config, model.blocks[0].feed_forward
    return dataclasses.replace(
        config,
        d_ff=None if feed_forward is None else feed_forward.up.out_features,
        n_kv_heads=None if config.kv_heads == config.n_heads else config.kv_heads,
    )


def _renamed(weights: Weights, names: tuple[tuple[str, str], ...]) -> Weights:
    """The same weights, with each piece of a name replaced by its counterpart."""
    renamed = {}
    for name, weight in weights.items():
        for old, new in names:
            name = name.replace(old, new)
        renamed[name] = weight
    return renamed


def to_their_weights(weights: Weights, form: Format) -> Weights:
    """Our GPT's state dict as that of `form`'s model."""
    return form.pack(_renamed(weights, form.names))


def to_our_weights(weights: Weights, form: Format) -> Weights:
    """The state dict of `form`'s model as that of our GPT."""
    return _renamed(form.unpack(weights), tuple((new, old) for old, new in form.names))


def _pack_gpt2(weights: Weights) -> Weights:
    """Query, key and value side by side in one matrix, and matrices transposed: GPT-2 keeps them input × output."""
    packed = {name: weight for name, weight in weights.items() if ".attention." not in name}
    for name in weights:
        if ".attention.query." in name:
            parts = [weights[name.replace("query", part)] for part in ("query", "key", "value")]
            packed[name.replace("attention.query", "attn.c_attn")] = torch.cat(parts)
    return {name: weight.t() if _is_transposed(name) else weight for name, weight in packed.items()}


def _unpack_gpt2(weights: Weights) -> Weights:
    """Undo `_pack_gpt2`."""
    unpacked = {}
    for name, weight in weights.items():
        weight = weight.t() if _is_transposed(name) else weight
        if ".attn.c_attn." in name:
            for part, piece in zip(("query", "key", "value"), weight.chunk(3), strict=True):
                unpacked[name.replace("attn.c_attn", f"attention.{part}")] = piece
        else:
            unpacked[name] = weight
    return unpacked


def _is_transposed(name: str) -> bool:
    return ".c_" in name and name.endswith(".weight")


def _unlike_gpt2(theirs: Any) -> list[str]:
    usual = {
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
    }
    return [f"{name}={getattr(theirs, name)}" for name, value in usual.items() if getattr(theirs, name) != value]


def _unlike_llama(theirs: Any) -> list[str]:
    found = []
    rope = theirs.rope_parameters or {}
    if rope.get("rope_type", "default") != "default" or rope.get("rope_theta", ROTARY_BASE) != ROTARY_BASE:
        found.append(f"rope_parameters={dict(rope)}")
    if theirs.head_dim not in (None, theirs.hidden_size // theirs.num_attention_heads):
        found.append(f"head_dim={theirs.head_dim}")
    if theirs.attention_bias != theirs.mlp_bias:
        found.append(f"attention_bias={theirs.attention_bias} with mlp_bias={theirs.mlp_bias}")
    return found


def _ours(activations: dict[str, str], theirs: str) -> str:
    """Our name of an activation; ValueError for one that we do not have."""
    if theirs not in activations:
        raise ValueError(f"The model's activation is {theirs!r}, and the course's GPT knows {', '.join(activations)}.")
    return activations[theirs]


ROTARY_BASE = 10_000.0

THEIR_ACTIVATION = {"gelu_tanh": "gelu_new", "gelu": "gelu", "relu": "relu", "relu2": "relu2"}
OUR_ACTIVATION = {theirs: ours for ours, theirs in THEIR_ACTIVATION.items()} | {"gelu_pytorch_tanh": "gelu_tanh"}

GPT2 = Format(
    name="GPT-2",
    model_type="gpt2",
    architecture="GPT2LMHeadModel",
    fixed={
        "positions": ("learned",),
        "norm": ("layernorm",),
        "norm_position": ("pre",),
        "activation": tuple(THEIR_ACTIVATION),
        "qk_norm": (False,),
    },
    also_free=("bias", "dropout"),
    settings={
        "vocab_size": lambda ours: ours.vocab_size,
        "n_positions": lambda ours: ours.context_length,
        "n_embd": lambda ours: ours.d_model,
        "n_head": lambda ours: ours.n_heads,
        "n_layer": lambda ours: ours.n_layers,
        "n_inner": lambda ours: ours.d_ff,
        "layer_norm_epsilon": lambda ours: ours.norm_eps,
        "activation_function": lambda ours: THEIR_ACTIVATION[ours.activation],
        "tie_word_embeddings": lambda ours: ours.tie_embeddings,
        "attn_pdrop": lambda ours: ours.dropout,
        "resid_pdrop": lambda ours: ours.dropout,
        "embd_pdrop": lambda ours: ours.dropout,
    },
    to_gpt=lambda theirs: {
        "vocab_size": theirs.vocab_size,
        "context_length": theirs.n_positions,
        "d_model": theirs.n_embd,
        "n_heads": theirs.n_head,
        "n_layers": theirs.n_layer,
        "d_ff": theirs.n_inner,
        "norm_eps": theirs.layer_norm_epsilon,
        "activation": _ours(OUR_ACTIVATION, theirs.activation_function),
        "tie_embeddings": theirs.tie_word_embeddings,
        "dropout": theirs.resid_pdrop,
    },
    unlike=_unlike_gpt2,
    names=(
        ("token_embedding", "transformer.wte"),
        ("positions.embedding", "transformer.wpe"),
        ("final_norm", "transformer.ln_f"),
        ("unembedding", "lm_head"),
        ("blocks", "transformer.h"),
        ("attention_norm", "ln_1"),
        ("feed_forward_norm", "ln_2"),
        ("attention.output", "attn.c_proj"),
        ("feed_forward.up", "mlp.c_fc"),
        ("feed_forward.down", "mlp.c_proj"),
    ),
    pack=_pack_gpt2,
    unpack=_unpack_gpt2,
)

LLAMA = Format(
    name="Llama",
    model_type="llama",
    architecture="LlamaForCausalLM",
    fixed={
        "positions": ("rotary",),
        "norm": ("rmsnorm",),
        "norm_position": ("pre",),
        "activation": ("swiglu",),
        "qk_norm": (False,),
        "dropout": (0.0,),
    },
    also_free=("bias", "n_kv_heads"),
    settings={
        "vocab_size": lambda ours: ours.vocab_size,
        "max_position_embeddings": lambda ours: ours.context_length,
        "hidden_size": lambda ours: ours.d_model,
        "num_attention_heads": lambda ours: ours.n_heads,
        "num_key_value_heads": lambda ours: ours.kv_heads,
        "intermediate_size": lambda ours: ours.d_ff,
        "num_hidden_layers": lambda ours: ours.n_layers,
        "rms_norm_eps": lambda ours: ours.norm_eps,
        "tie_word_embeddings": lambda ours: ours.tie_embeddings,
        "attention_bias": lambda ours: ours.bias,
        "mlp_bias": lambda ours: ours.bias,
        "rope_parameters": lambda ours: {"rope_type": "default", "rope_theta": ROTARY_BASE},
    },
    to_gpt=lambda theirs: {
        "vocab_size": theirs.vocab_size,
        "context_length": theirs.max_position_embeddings,
        "d_model": theirs.hidden_size,
        "n_heads": theirs.num_attention_heads,
        "n_kv_heads": theirs.num_key_value_heads,
        "n_layers": theirs.num_hidden_layers,
        "d_ff": theirs.intermediate_size,
        "positions": "rotary",
        "norm": "rmsnorm",
        "norm_eps": theirs.rms_norm_eps,
        "activation": _ours({"silu": "swiglu"}, theirs.hidden_act),
        "bias": theirs.attention_bias,
        "tie_embeddings": theirs.tie_word_embeddings,
    },
    unlike=_unlike_llama,
    names=(
        ("token_embedding", "model.embed_tokens"),
        ("final_norm", "model.norm"),
        ("unembedding", "lm_head"),
        ("blocks", "model.layers"),
        ("attention_norm", "input_layernorm"),
        ("feed_forward_norm", "post_attention_layernorm"),
        ("attention.output", "self_attn.o_proj"),
        ("attention.query", "self_attn.q_proj"),
        ("attention.key", "self_attn.k_proj"),
        ("attention.value", "self_attn.v_proj"),
        ("feed_forward.up", "mlp.up_proj"),
        ("feed_forward.gate", "mlp.gate_proj"),
        ("feed_forward.down", "mlp.down_proj"),
    ),
    pack=lambda weights: weights,
    unpack=lambda weights: weights,
)

FORMATS = (GPT2, LLAMA)
