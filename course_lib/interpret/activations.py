"""Reading and changing what flows through a model while it runs: the stream, and what each part adds to it.

A `Site` names a place. Blocks, attentions and feed-forward networks are watched through hooks; heads through the
`AttentionTap`. All of it is gone at the end of the `with`, also when something raises.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn

from course_lib.interpret.reading import HeadAt
from course_lib.interpret.tap import AttentionCall, AttentionTap, Edit, stacks_of

PARTS = ("stream", "attention", "mlp", "head")

# Where models keep what adds to the stream, as paths inside a block; the first that is there counts. Some wrap it
# together with the residual sum (BERT, Bloom), so their innermost linear map stands before the wrapper.
PLACES = {
    "attention": (
        "attention.output.dense",
        "self_attention.dense",
        "attention",
        "self_attn",
        "attn",
        "self_attention",
        "layer.0.SelfAttention",
    ),
    "cross": ("cross_attention", "encoder_attn", "crossattention.output.dense", "layer.1.EncDecAttention"),
    "mlp": (
        "feed_forward",
        "output.dense",
        "mlp.dense_4h_to_h",
        "mlp",
        "ffn",
        "fc2",
        "layer.2.DenseReluDense",
        "layer.1.DenseReluDense",
    ),
}


class Site(NamedTuple):
    """A place in a model where vectors can be read and changed.

    Attributes:
        part: "stream" (what enters block `layer`; one more layer than there are blocks is what leaves the last),
            "attention" or "mlp" (what a sublayer adds to the stream), "head" (a head's output, before W_O).
        layer: from 0.
        head: which head, for "head".
        view: "self"; "encoder" or "decoder" in an encoder–decoder, and "cross" for "attention" and "head".
    """

    part: str
    layer: int
    head: int | None = None
    view: str = "self"


@dataclass
class Stack:
    """The blocks that a stack runs one after the other.

    Attributes:
        name: "self", "encoder" or "decoder".
        blocks: its blocks; fewer than `n_layers` when layers share their weights (ALBERT).
        n_layers: how many it runs.
        running: the layer that is running now, −1 before the first.
    """

    name: str
    blocks: tuple[nn.Module, ...]
    n_layers: int
    running: int = field(default=-1)


class ActivationTap:
    """Within `with ActivationTap(model, on_activation=look):`, `look(site, value)` gets every value; `edits` are made.

    Args:
        model: a model of this course, or one of transformers whose blocks can be found.
        on_activation: gets each site and its value (batch, time, width) before any edit.
        edits: for each site what becomes of its value; same shape.
        parts: which parts are looked at; edits are made wherever they are asked for.

    Raises ValueError for a part that there is not, for a model whose blocks or parts cannot be found, and, at the end
    of the `with`, for an edit of a layer or a head that there is not.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        on_activation: Callable[[Site, Tensor], None] | None = None,
        edits: Mapping[Site, Edit] | None = None,
        parts: Collection[str] = PARTS,
    ):
        self.model = model
        self.on_activation = on_activation
        self.edits = dict(edits or {})
        wanted = set(parts if on_activation is not None else ()) | {site.part for site in self.edits}
        if unknown := sorted(wanted - set(PARTS)):
            raise ValueError(f"There is no part {unknown[0]!r}: choose from {', '.join(map(repr, PARTS))}.")
        self._wanted = wanted
        self._reached: set[Site] = set()
        self._ran = False

    def __enter__(self) -> ActivationTap:
        with ExitStack() as opened:
            if "head" in self._wanted:
                edits = {HeadAt(s.view, s.layer, s.head): edit for s, edit in self.edits.items() if s.part == "head"}
                opened.enter_context(AttentionTap(self.model, on_call=self._heads, edits=edits))
            if self._wanted - {"head"}:
                for stack in block_stacks(self.model).values():
                    self._watch(stack, opened)
            self._open = opened.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.__exit__(*error)
        missed = [site for site in self.edits if site.part != "head" and site not in self._reached]
        if error[0] is None and self._ran and missed:
            site = missed[0]
            layers = [there.layer for there in self._reached if (there.part, there.view) == (site.part, site.view)]
            there = (
                f"its layers go from 0 to {max(layers)}"
                if layers
                else f"this model has no {site.part} in {site.view!r}"
            )
            raise ValueError(f"There is no {site.part} in layer {site.layer} of {site.view!r}: {there}.")

    def _watch(self, stack: Stack, opened: ExitStack) -> None:
        """Hang hooks on a stack's blocks and their parts."""

        def enter(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]] | None:
            self._ran = True
            stack.running = 0 if stack.running + 1 == stack.n_layers else stack.running + 1
            if "stream" not in self._wanted:
                return None
            site = Site("stream", stack.running, view=stack.name)
            if args:
                return (self._pass(site, args[0]), *args[1:]), kwargs
            name = next(name for name in ("hidden_states", "x") if name in kwargs)
            return args, kwargs | {name: self._pass(site, kwargs[name])}

        def leave(module: nn.Module, args: tuple, output: Any) -> Any:
            if "stream" not in self._wanted or stack.running + 1 < stack.n_layers:
                return output
            return self._pass_first(Site("stream", stack.n_layers, view=stack.name), output)

        def watch_part(part: str, view: str) -> Callable[[nn.Module, tuple, Any], Any]:
            return lambda module, args, output: self._pass_first(Site(part, stack.running, view=view), output)

        def begin(*_: Any) -> None:
            stack.running = -1

        opened.callback(stacks_of(self.model)[stack.name].register_forward_pre_hook(begin).remove)
        for block in dict.fromkeys(stack.blocks):
            opened.callback(block.register_forward_pre_hook(enter, with_kwargs=True).remove)
            opened.callback(block.register_forward_hook(leave).remove)
            for part, view in (("attention", stack.name), ("attention", "cross"), ("mlp", stack.name)):
                if part in self._wanted and (found := part_of(block, "cross" if view == "cross" else part)) is not None:
                    opened.callback(found.register_forward_hook(watch_part(part, view)).remove)

    def _pass(self, site: Site, value: Tensor) -> Tensor:
        """Show a value, and answer what the model shall go on with."""
        self._reached.add(site)
        if self.on_activation is not None:
            self.on_activation(site, value)
        edit = self.edits.get(site)
        return value if edit is None else edit(value)

    def _pass_first(self, site: Site, output: Any) -> Any:
        """The same for what a module answers: a tensor, or a tuple whose first entry is one."""
        if isinstance(output, Tensor):
            return self._pass(site, output)
        first = self._pass(site, output[0])
        if hasattr(output, "_fields"):
            return output._replace(**{output._fields[0]: first})
        return (first, *output[1:])

    def _heads(self, call: AttentionCall) -> None:
        if self.on_activation is not None:
            for head, output in enumerate(call.output.unbind(dim=1)):  # (batch, query, d_head)
                self.on_activation(Site("head", call.layer, head, call.view), output)


@contextmanager
def record_activations(model: nn.Module, parts: Collection[str] = PARTS) -> Iterator[dict[Site, Tensor]]:
    """Within `with record_activations(model) as seen:`, `seen` fills with the values of the last run, site by site."""
    seen: dict[Site, Tensor] = {}
    with ActivationTap(model, on_activation=seen.__setitem__, parts=parts):
        yield seen


@contextmanager
def edit_activations(model: nn.Module, edits: Mapping[Site, Edit]) -> Iterator[None]:
    """Within the `with`, each site's value (batch, time, width) is what its edit makes of it.

    The model is as before at the end, also when something raises. Raises ValueError as `ActivationTap` does.
    """
    with ActivationTap(model, edits=edits):
        yield


def block_stacks(model: nn.Module) -> dict[str, Stack]:
    """The blocks of each stack of a model: "self", or "encoder" and "decoder".

    Raises ValueError when no list of blocks with an attention and a feed-forward network can be found.
    """
    stacks = {}
    for name, module in stacks_of(model).items():
        blocks = next((found for part in module.modules() if (found := _as_blocks(part))), None)
        if blocks is None:
            raise ValueError(
                f"No blocks could be found in {type(module).__name__}: a list of modules (ModuleList) is looked for, "
                f"each with an attention ({', '.join(PLACES['attention'])})."
            )
        config = getattr(model, "config", None)
        told = (getattr(config, key, None) for key in ("n_layers", "num_hidden_layers", f"n_{name}_layers"))
        shared = len(set(blocks)) == 1
        n_layers = next((n for n in told if isinstance(n, int)), len(blocks)) if shared else len(blocks)
        stacks[name] = Stack(name, blocks, n_layers)
    return stacks


def part_of(block: nn.Module, part: str) -> nn.Module | None:
    """The module of a block whose answer is "attention", "mlp" or "cross"; None when the block has none."""
    for path in PLACES[part]:
        found: Any = block
        for name in path.split("."):
            found = getattr(found, "_modules", {}).get(name)
        if found is not None:
            return found
    return None


def _as_blocks(module: nn.Module) -> tuple[nn.Module, ...] | None:
    """The members of a list of blocks; None for any other module."""
    if not isinstance(module, nn.ModuleList) or not len(module):
        return None
    return tuple(module) if all(part_of(block, "attention") is not None for block in module) else None
