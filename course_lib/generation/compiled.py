"""A GPT whose step from token to token is compiled: tens of seconds before the second token, and faster from there.

At batch 1 a linear map reads each weight once and does little with it. Compiled, the products with the weights and
everything between them become a few loops over memory, where otherwise each small operation is started from Python.
"""

import types
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.generation.stand_in import StandIn
from course_lib.generation.token_step import Function, TokenStep, linear_function
from course_lib.models.gpt import GPT, GPTOutput
from course_lib.nn.int8 import Int8Linear
from course_lib.nn.kv_cache import KVCache

Step = Callable[[Tensor, Tensor, Sequence[Tensor]], Tensor]
"""The logits from a token, its position, and what each block stores of the tokens so far."""

STREAMS = 6
"""Parts of a matrix that are read side by side, so that the memory fetches ahead in each of them."""


class Compiled(StandIn):
    """A GPT to sample from, one text at a time, with steps that `torch.compile` has translated.

    Give it to `generate` or `stream` in place of the model, and keep it: what was compiled is kept with it. It reads
    the model's weights where they are, so the model may be trained on. It needs a C++ compiler.

    For one text on a CPU: for several, for a model elsewhere, and for one with relative positions, whose table is
    worked out of weights beforehand, steps are taken as without it.

    Logits are the model's up to rounding. With 8-bit weights they are a little nearer to what the weights stand for,
    since here no input of a linear map is rounded to 8 bits.
    """

    def __init__(self, model: GPT):
        self.model = model
        self.config = model.config
        self._steps: dict[tuple[int, torch.dtype], Step] = {}

    def translates(self, prompts: Sequence[Tensor]) -> bool:
        """Whether compiled steps continue these texts."""
        return len(prompts) == 1 and prompts[0].device.type == "cpu" and self.config.positions != "relative"

    def __call__(self, tokens: Int[Tensor, "batch time"], *, cache: list[KVCache] | None = None) -> GPTOutput:
        """As the model: whole texts are not compiled."""
        return self.model(tokens, cache=cache)

    def new_cache(self, batch: int, max_length: int | None = None) -> list[KVCache]:
        """As `GPT.new_cache`."""
        return self.model.new_cache(batch, max_length)

    def step(
        self,
        token: Int[Tensor, "1"],
        position: Int[Tensor, "1"],
        pasts: Sequence[Float[Tensor, "1 both_heads end d_head"]],
    ) -> Float[Tensor, "1 vocab_size"]:
        """The logits after one more token, whose key and value are put at the end of each block's `pasts`.

        Raises OSError without a C++ compiler.
        """
        kind = (torch.get_num_threads(), self.model.token_embedding.weight.dtype)  # loops are written for these
        step = self._steps.get(kind) or _translated(step_of_one(self.model))
        for past in pasts:
            torch._dynamo.mark_dynamic(past, 2)
        try:
            logits = step(token, position, pasts)
        except RuntimeError as error:
            if "InvalidCxxCompiler" not in str(error):
                raise
            raise OSError(
                "There is no C++ compiler here that torch finds, so nothing can be compiled: install one (on Linux "
                "g++, on macOS the Xcode command line tools), or sample from the model itself."
            ) from error
        self._steps[kind] = step  # only now: compiling may be interrupted
        return logits


def step_of_one(model: GPT) -> Step:
    """A `TokenStep` of a single text, written so that one translation holds for all positions."""
    token_step = TokenStep(model, model.config.context_length + 1, streamed)

    def step(token: Tensor, position: Tensor, pasts: Sequence[Tensor]) -> Tensor:
        return token_step(token, pasts, token_step.positions.place_of_one(position, pasts[0].shape[2]))

    return step


OPTIONS = {
    "realize_opcount_threshold": 2,  # a norm is computed once, and not anew for each row of the next matrix
    "cpp_wrapper": True,  # the loops are called from C++
    "size_asserts": False,
    # At each token torch would look whether all weights are still as they were, which takes long. `Compiled` sees to
    # what can change: it has a translation for each number of threads and each dtype.
    "guard_filter_fn": lambda guards: [False] * len(guards),
}


def _translated(function: types.FunctionType) -> Step:
    """The function as torch compiles it, as a whole or not at all: parts of it would be shared by all models.

    It gets code of its own. torch keeps translations with the code of a function; with the code shared, one model
    would find another's.
    """
    own = types.FunctionType(
        function.__code__.replace(), function.__globals__, function.__name__, None, function.__closure__
    )
    return torch.compile(own, fullgraph=True, options=dict(OPTIONS))  # torch takes some of them out


def streamed(module: nn.Module, dtype: torch.dtype) -> Function:
    """What a linear module computes of one vector, (1, in) → (1, out), as sums that a compiler turns into loops.

    The rows stand in `STREAMS` parts, whose sums become one loop over all of them.
    """
    if dtype != torch.float32 or not isinstance(module, nn.Linear | Int8Linear):
        return linear_function(module, dtype)

    def function(x: Float[Tensor, "1 in"]) -> Float[Tensor, "1 out"]:
        y = torch.cat([(part * x).sum(-1) for part in _parts(module.weight)])[None]
        if isinstance(module, Int8Linear):
            y = y * module.scale
        return y if module.bias is None else y + module.bias

    return function


def _parts(weight: Float[Tensor, "out in"] | Int[Tensor, "out in"]) -> list[Tensor]:
    """The rows of a matrix in `STREAMS` equal parts, and what is left of them."""
    whole = len(weight) // STREAMS * STREAMS
    return [part for part in (*weight[:whole].chunk(STREAMS), weight[whole:]) if len(part)]
