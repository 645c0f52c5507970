"""Five models for the recall task, each read from top to bottom in a few lines: n-gram, RNN, LSTM, CNN, attention.

All answer the same call: tokens of (batch, time) in, logits over the values of (batch, value) out, read off at the
last position, where the question stands. The widths are chosen so that the four trained networks have about the
same number of parameters (`parameters` counts them).
"""

from collections import defaultdict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.nn.attention import scaled_dot_product_attention

D_MODEL = 32


class NGram:
    """Counts which answer followed the last n − 1 tokens: a table, nothing else.

    `predict` gives (count + 1) / (all counts + number of values) as log-probabilities, so that a context never seen
    answers with the uniform distribution. Source: Shannon 1948, section 3; add-one smoothing is Laplace's.
    """

    def __init__(self, n: int, n_values: int) -> None:
        if n < 2:
            raise ValueError(f"An n-gram needs n of at least 2 to see anything before the answer; n is {n}.")
        self.n, self.n_values = n, n_values
        self.counts: dict[tuple[int, ...], Tensor] = defaultdict(lambda: torch.zeros(n_values))

    def fit(self, tokens: Int[Tensor, "batch time"], answers: Int[Tensor, " batch"]) -> None:
        """Add one to the count of each (context, answer) in the batch."""
        for context, answer in zip(tokens[:, 1 - self.n :].tolist(), answers.tolist(), strict=True):
            self.counts[tuple(context)][answer] += 1

    def __call__(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch value"]:
        """Log-probabilities of each answer."""
        nothing = torch.zeros(self.n_values)
        contexts = map(tuple, tokens[:, 1 - self.n :].tolist())
        counts = torch.stack([self.counts.get(context, nothing) for context in contexts])
        return ((counts + 1) / (counts.sum(dim=-1, keepdim=True) + self.n_values)).log()


class RNN(nn.Module):
    """h_t = tanh(W x_t + U h_{t−1} + b), one step after another; the answer is read off the last h.

    Source: Elman 1990, "Finding Structure in Time". U starts as an orthogonal matrix, the kindest start known for
    a plain RNN (Saxe et al. 2014; Le et al. 2015 use the identity); torch's own start forgets far faster.
    """

    def __init__(self, vocab_size: int, n_values: int, d_hidden: int = 72, orthogonal: bool = True) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, D_MODEL)
        self.rnn = nn.RNN(D_MODEL, d_hidden, batch_first=True)
        self.readout = nn.Linear(d_hidden, n_values)
        if orthogonal:
            nn.init.orthogonal_(self.rnn.weight_hh_l0)

    def read(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch value"]:
        """Logits from embedded tokens."""
        states, _ = self.rnn(x)  # (batch, time, d_hidden)
        return self.readout(states[:, -1])

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch value"]:
        """Logits from tokens."""
        return self.read(self.embedding(tokens))


class LSTM(nn.Module):
    """An RNN with a cell that is added to, behind gates: c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t, h_t = o_t ⊙ tanh(c_t).

    Source: Hochreiter & Schmidhuber 1997; the forget gate f is Gers et al. 2000, its bias of 1 at the start
    Jozefowicz et al. 2015, section 2.2.
    """

    def __init__(self, vocab_size: int, n_values: int, d_hidden: int = 32, forget_bias: float = 1.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, D_MODEL)
        self.lstm = nn.LSTM(D_MODEL, d_hidden, batch_first=True)
        self.readout = nn.Linear(d_hidden, n_values)
        with torch.no_grad():  # torch keeps the gates in the order input, forget, cell, output, and adds two biases
            self.lstm.bias_ih_l0[d_hidden : 2 * d_hidden] = forget_bias
            self.lstm.bias_hh_l0[d_hidden : 2 * d_hidden] = 0.0

    def read(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch value"]:
        """Logits from embedded tokens."""
        states, _ = self.lstm(x)  # (batch, time, d_hidden)
        return self.readout(states[:, -1])

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch value"]:
        """Logits from tokens."""
        return self.read(self.embedding(tokens))


class CNN(nn.Module):
    """Layers of causal 1-D convolution with residual connections; layer l looks `dilations[l]` steps apart.

    With kernel k and dilations d_1 … d_L the last position sees 1 + (k − 1)(d_1 + … + d_L) tokens and nothing older.
    Source: van den Oord et al. 2016, "WaveNet", section 2.1; Bai et al. 2018 for the comparison with RNNs.
    """

    def __init__(
        self,
        vocab_size: int,
        n_values: int,
        channels: int = D_MODEL,
        kernel: int = 3,
        dilations: Sequence[int] = (1, 2, 4),
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, channels)
        self.layers = nn.ModuleList(nn.Conv1d(channels, channels, kernel, dilation=step) for step in dilations)
        self.readout = nn.Linear(channels, n_values)
        self.receptive_field = 1 + (kernel - 1) * sum(dilations)

    def read(self, x: Float[Tensor, "batch time channels"]) -> Float[Tensor, "batch value"]:
        """Logits from embedded tokens."""
        x = x.transpose(1, 2)  # (batch, channels, time): what Conv1d wants
        for layer in self.layers:
            reach = layer.dilation[0] * (layer.kernel_size[0] - 1)
            x = x + F.relu(layer(F.pad(x, (reach, 0))))  # padded on the left only: no look at the future
        return self.readout(x[:, :, -1])

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch value"]:
        """Logits from tokens."""
        return self.read(self.embedding(tokens))


class Attention(nn.Module):
    """One look back: the last token's query against every token's key, and the average of their values.

    It has no positions (lesson 04 adds them): shuffle the tokens before the question and nothing changes.
    The embeddings start small, as in a GPT: with torch's standard normal ones the scores are so large that the
    softmax makes up its mind early, and in most runs one pair is never found.
    Source: Vaswani et al. 2017, section 3.2.1.
    """

    def __init__(self, vocab_size: int, n_values: int, d_head: int = 64) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, D_MODEL)
        self.query = nn.Linear(D_MODEL, d_head, bias=False)
        self.key = nn.Linear(D_MODEL, d_head, bias=False)
        self.value = nn.Linear(D_MODEL, d_head, bias=False)
        self.output = nn.Linear(d_head, D_MODEL, bias=False)
        self.readout = nn.Linear(D_MODEL, n_values)
        nn.init.normal_(self.embedding.weight, std=0.3)

    def look(self, x: Float[Tensor, "batch time d_model"]) -> tuple[Tensor, Float[Tensor, "batch time"]]:
        """Logits, and where the question looked."""
        mixed, weights = scaled_dot_product_attention(self.query(x[:, -1:]), self.key(x), self.value(x))
        return self.readout(x[:, -1] + self.output(mixed[:, 0])), weights[:, 0]

    def read(self, x: Float[Tensor, "batch time d_model"]) -> Float[Tensor, "batch value"]:
        """Logits from embedded tokens."""
        return self.look(x)[0]

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch value"]:
        """Logits from tokens."""
        return self.read(self.embedding(tokens))


def parameters(model: nn.Module) -> int:
    """How many numbers training may change."""
    return sum(parameter.numel() for parameter in model.parameters())
