"""What a training run costs, from its plan alone: arithmetic, memory on each device, time, money.

Everything is derived from a `GPTConfig` by the formulas of `counting`, and from a handful of numbers that a maker
states about a device. The one number that nobody can derive is how much of a device's peak a real program reaches: the
utilisation, which a plan therefore states.
"""

from dataclasses import dataclass

from course_lib.models.counting import count_parameters, inner_width, training_flops, training_memory
from course_lib.models.gpt import GPTConfig

SPLITS = ("nothing", "optimiser", "optimiser and gradients", "everything")
"""What is split among devices, so that each holds a part: copies of all (DDP), ZeRO's stages 1 and 2, and 3 (FSDP)."""

PRECISIONS = ("mixed", "float32")


@dataclass(frozen=True)
class Device:
    """What a maker says about one device. FLOPs per second, bytes, bytes per second.

    Attributes:
        name: such as "A100".
        peak: dense matrix products in 16 bits, sums in 32.
        peak_float32: the same with float32 numbers.
        memory: its own memory.
        bandwidth: how fast it reads that memory.
    """

    name: str
    peak: float
    peak_float32: float
    memory: float
    bandwidth: float

    @property
    def ridge(self) -> float:
        """FLOPs per byte at which arithmetic takes as long as reading and writing, in 16 bits."""
        return self.peak / self.bandwidth


DEVICES: dict[str, Device] = {
    device.name: device
    for device in (
        Device("T4", 65e12, 8.1e12, 16e9, 320e9),
        Device("A100", 312e12, 19.5e12, 80e9, 2039e9),
        Device("H100", 989e12, 67e12, 80e9, 3350e9),
    )
}
"""NVIDIA's data sheets: T4 (2019), A100 80 GB SXM (2021), H100 SXM (2023). Peaks without sparsity."""

LLAMA_7B = GPTConfig(
    vocab_size=32_000,
    context_length=2048,
    d_model=4096,
    n_heads=32,
    n_layers=32,
    d_ff=11_008,
    positions="rotary",
    norm="rmsnorm",
    activation="swiglu",
    bias=False,
    tie_embeddings=False,
)
"""The shape of LLaMA-7B, a published model of the size that people call 7 B (Touvron et al. 2023, section 2)."""


@dataclass(frozen=True)
class Plan:
    """A training run that somebody thinks about.

    Attributes:
        config: the model.
        tokens: how many it learns from, each time it sees one.
        batch: texts of full context that one device works on at once.
        precision: "mixed" (16-bit weights, gradients and activations beside float32 weights) or "float32".
        optimizer: "adamw" or "muon".
        device, n_devices: on what.
        split: one of SPLITS.
        checkpointing: keep only each block's input, and compute the rest again.
        utilization: the share of the peak that the model's own arithmetic reaches.
    """

    config: GPTConfig
    tokens: float = 1e9
    batch: int = 8
    precision: str = "mixed"
    optimizer: str = "adamw"
    device: Device = DEVICES["A100"]
    n_devices: int = 1
    split: str = "nothing"
    checkpointing: bool = False
    utilization: float = 0.4

    def __post_init__(self):
        for name, value, known in (("precision", self.precision, PRECISIONS), ("split", self.split, SPLITS)):
            if value not in known:
                raise ValueError(f"There is no {name} {value!r}: choose one of {', '.join(known)}.")
        if self.n_devices < 1 or self.batch < 1 or not self.tokens > 0:
            raise ValueError("A plan needs at least one device, one text in a batch, and some tokens.")
        if not 0 < self.utilization <= 1:
            raise ValueError(f"Utilisation is a share above 0 and at most 1, but it is {self.utilization}.")


@dataclass(frozen=True)
class Cost:
    """What a plan comes to.

    Attributes:
        parameters: of the model.
        flops: the model's arithmetic over all tokens, forward and backward; computing again is not counted.
        memory: bytes of each part on the fullest device.
        seconds: from the first to the last step.
    """

    parameters: int
    flops: float
    memory: dict[str, float]
    seconds: float

    def fits(self, device: Device) -> bool:
        """Whether the parts fit the device together. Work space and fragments need some room on top."""
        return sum(self.memory.values()) <= device.memory


def activation_numbers(config: GPTConfig, time: int, batch: int = 1, *, fused: bool = True) -> int:
    """How many numbers the forward pass of a GPT keeps for the backward pass.

    Exact for GPT-2's choices (a test compares it with what autograd holds), near it for others. Each block keeps 16
    vectors of width d_model for each token, when d_ff = 4 · d_model: both norms' inputs and outputs (4), query, key,
    value and what attention made of them (4), the feed-forward's inner vector before and after its activation
    (2 · d_ff). Without the fused kernel it also keeps every attention weight.
    """
    inner = (4 if config.activation == "swiglu" else 2) * inner_width(config)
    # The fused kernel of attention keeps one number a head besides: each row's logarithm of the softmax's sum.
    attention = 4 * config.d_model + config.n_heads * (1 if fused else time)
    per_block = 2 * _norm(config) + attention + inner
    return batch * time * config.n_layers * per_block + _ends(config, time, batch)


def checkpointed_numbers(config: GPTConfig, time: int, batch: int = 1) -> int:
    """As `activation_numbers`, when each block keeps its input alone and the rest is computed again, block by block.

    At the worst moment one block has all of its own.
    """
    all_but_ends = activation_numbers(config, time, batch) - _ends(config, time, batch)
    return (
        batch * time * config.n_layers * config.d_model + all_but_ends // config.n_layers + _ends(config, time, batch)
    )


def memory_of(plan: Plan) -> dict[str, float]:
    """Bytes of each part on one of the plan's devices.

    Mixed precision holds 16-bit weights and gradients, and the optimiser keeps float32 weights beside its averages:
    2 + 2 + 12 bytes for each parameter with AdamW (Rajbhandari et al. 2020, "ZeRO", section 3.1).
    """
    mixed = plan.precision == "mixed"
    width = 2 if mixed else 4
    parameters = count_parameters(plan.config).total
    states = training_memory(plan.config, optimizer=plan.optimizer).optimizer + (4 * parameters if mixed else 0)
    stage = SPLITS.index(plan.split)
    keep = checkpointed_numbers if plan.checkpointing else activation_numbers
    return {
        "weights": width * parameters / (plan.n_devices if stage >= 3 else 1),
        "gradients": width * parameters / (plan.n_devices if stage >= 2 else 1),
        "optimiser": states / (plan.n_devices if stage >= 1 else 1),
        "activations": float(width * keep(plan.config, plan.config.context_length, plan.batch)),
    }


def cost_of(plan: Plan) -> Cost:
    """Parameters, arithmetic, memory and time of a plan."""
    time = plan.config.context_length
    flops = plan.tokens / time * training_flops(plan.config, time)
    peak = plan.device.peak if plan.precision == "mixed" else plan.device.peak_float32
    # The forward pass is a third of the arithmetic, and checkpointing makes nearly all of it twice.
    done = flops * (4 / 3 if plan.checkpointing else 1)
    seconds = done / (plan.n_devices * peak * plan.utilization)
    return Cost(count_parameters(plan.config).total, flops, memory_of(plan), seconds)


def _norm(config: GPTConfig) -> int:
    """What a norm keeps for each token: input, output, mean and spread; RMSNorm, in steps, the scaled input too."""
    return 2 * config.d_model + 2 if config.norm == "layernorm" else 3 * config.d_model + 1


def _ends(config: GPTConfig, time: int, batch: int) -> int:
    """What is kept outside the blocks: by the last norm, and the logarithm of each token's probability."""
    return batch * time * (_norm(config) + config.vocab_size)
