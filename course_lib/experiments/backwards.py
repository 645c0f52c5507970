"""A toy translation task for lesson 01, and two encoder–decoders: one fixed vector, and one that looks back.

    red cat wet sun     →     tac der nus tew

The tongue is made up so that any reader can check a translation: every word is spelled backwards, and an adjective
stands behind its noun. `python -m course_lib.experiments.backwards` repeats the long version (some minutes).
"""

import argparse
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.experiments.minimise import minimise
from course_lib.experiments.results import save_results

ADJECTIVES = ("red", "big", "old", "wet", "hot", "sad", "shy", "new")
NOUNS = ("cat", "dog", "sun", "car", "hat", "map", "key", "cup")
WORDS = ADJECTIVES + NOUNS
START = len(WORDS)  # what the decoder is given before the first word
VOCAB_SIZE = len(WORDS) + 1


class Pairs(NamedTuple):
    """Sentences and their translations, both as word numbers; word 3 of the source translates to word 3."""

    source: Int[Tensor, "batch time"]
    target: Int[Tensor, "batch time"]


def draw_pairs(size: int, length: int, generator: torch.Generator) -> Pairs:
    """Sentences of exactly `length` words: nouns, about half of them with an adjective before them."""
    noun = torch.ones(size, length, dtype=torch.bool)
    for place in range(length - 1):
        may = torch.ones(size, dtype=torch.bool) if place == 0 else noun[:, place - 1]
        noun[:, place] = ~(may & (torch.rand(size, generator=generator) < 0.6))
    words = torch.randint(len(ADJECTIVES), (size, length), generator=generator) + noun * len(ADJECTIVES)
    order = torch.arange(length).repeat(size, 1)  # which source word each target word translates
    adjective = ~noun
    order = order + adjective.long() - F.pad(adjective, (1, 0))[:, :-1].long()
    return Pairs(words, words.gather(1, order))


def spell(words: Int[Tensor, " time"], backwards: bool = False) -> list[str]:
    """The words as text; `backwards` for the made-up tongue."""
    texts = [WORDS[int(word)] for word in words]
    return [text[::-1] for text in texts] if backwards else texts


class AdditiveAttention(nn.Module):
    """e_j = vᵀ tanh(W s + U h_j), α = softmax(e), c = Σ_j α_j h_j: where a decoder in state s looks.

    Source: Bahdanau, Cho & Bengio 2015, section 3.1 and appendix A.1.2 (there W is W_a, U is U_a, v is v_a).
    """

    def __init__(self, d_state: int, d_annotation: int, d_align: int) -> None:
        super().__init__()
        self.from_state = nn.Linear(d_state, d_align, bias=False)  # W
        self.from_annotation = nn.Linear(d_annotation, d_align, bias=False)  # U
        self.score = nn.Linear(d_align, 1, bias=False)  # vᵀ

    def forward(
        self, state: Float[Tensor, "batch d_state"], annotations: Float[Tensor, "batch time d_annotation"]
    ) -> tuple[Float[Tensor, "batch d_annotation"], Float[Tensor, "batch time"]]:
        """The context vector, and the weights that mixed it."""
        hidden = torch.tanh(self.from_state(state)[:, None] + self.from_annotation(annotations))
        weights = self.score(hidden)[:, :, 0].softmax(dim=-1)  # (batch, time)
        return (weights[:, None] @ annotations)[:, 0], weights


class Translator(nn.Module):
    """A two-way GRU encoder and a GRU decoder that gets a context vector c_i with every word.

    With `looks_back`, c_i is a fresh weighted average of the annotations for each word (Bahdanau, Cho & Bengio 2015,
    section 3). Without, it is the same for all words: the encoder's last state in each direction (the RNN
    encoder–decoder of Cho et al. 2014, section 2.2). The widths are chosen so that both have about the same number
    of parameters. The readout is one linear layer where the paper has a maxout layer.
    """

    def __init__(self, looks_back: bool, d_embed: int = 24, d_encoder: int = 32) -> None:
        super().__init__()
        d_state = 48 if looks_back else 56
        self.looks_back = looks_back
        self.embedding = nn.Embedding(VOCAB_SIZE, d_embed)
        self.encoder = nn.GRU(d_embed, d_encoder, bidirectional=True, batch_first=True)
        self.first_state = nn.Linear(d_encoder, d_state)
        self.attention = AdditiveAttention(d_state, 2 * d_encoder, 32) if looks_back else None
        self.decoder = nn.GRUCell(d_embed + 2 * d_encoder, d_state)
        self.readout = nn.Linear(d_state + 2 * d_encoder, len(WORDS))

    def encode(self, source: Int[Tensor, "batch time"]) -> tuple[Tensor, Tensor, Tensor]:
        """Annotations (batch, time, 2·d_encoder), the fixed vector (batch, 2·d_encoder) and the first state s_0."""
        annotations, last = self.encoder(self.embedding(source))  # last: (direction, batch, d_encoder)
        fixed = torch.cat([last[0], last[1]], dim=-1)
        return annotations, fixed, torch.tanh(self.first_state(last[1]))

    def forward(
        self, source: Int[Tensor, "batch time"], target: Int[Tensor, "batch time"] | None = None
    ) -> tuple[Float[Tensor, "batch time word"], Float[Tensor, "batch time time"] | None]:
        """Logits for each word of the translation, and the alignment (target word, source word) if it looks back.

        With `target` each step is given the true word before it (teacher forcing), without it the model's own.
        """
        annotations, context, state = self.encode(source)
        previous = torch.full_like(source[:, 0], START)
        logits, alignment = [], []
        for step in range(source.shape[1]):
            if self.attention is not None:
                context, weights = self.attention(state, annotations)
                alignment.append(weights)
            state = self.decoder(torch.cat([self.embedding(previous), context], dim=-1), state)
            logits.append(self.readout(torch.cat([state, context], dim=-1)))
            previous = logits[-1].argmax(dim=-1) if target is None else target[:, step]
        return torch.stack(logits, dim=1), torch.stack(alignment, dim=1) if alignment else None


def train_translator(
    model: nn.Module, seed: int, steps: int = 400, longest: int = 8, learning_rate: float = 5e-3
) -> list[float]:
    """Train in place on sentences of 1 to `longest` words, as `minimise` does; the loss of each step."""
    generator = torch.Generator().manual_seed(seed)

    def batch_losses() -> Iterator[Tensor]:
        for _ in range(steps):
            length = int(torch.randint(1, longest + 1, (), generator=generator))
            source, target = draw_pairs(64, length, generator)
            logits, _ = model(source, target)
            yield F.cross_entropy(logits.flatten(0, 1), target.flatten())

    return minimise(model, batch_losses(), steps, learning_rate)


@torch.no_grad()
def word_accuracy(model: nn.Module, lengths: tuple[int, ...], size: int = 256, seed: int = 999) -> list[float]:
    """The share of words translated rightly at each sentence length, the model reading its own words."""
    shares = []
    for length in lengths:
        source, target = draw_pairs(size, length, torch.Generator().manual_seed(seed + length))
        shares.append((model(source)[0].argmax(dim=-1) == target).float().mean().item())
    return shares


# ------------------------------------------------------------------------------------------- the long version

LENGTHS = (2, 4, 6, 8, 10, 12, 16, 20)
SEEDS = (1, 2, 3)
LONGEST = 10
STEPS = 600
RATE = 1e-2


def run_all() -> dict[str, Any]:
    """Both translators with each seed: the share of words right at each length."""
    shares: dict[str, list[list[float]]] = {"one fixed vector": [], "looks back": []}
    for seed in SEEDS:
        for name, runs in shares.items():
            torch.manual_seed(seed)
            model = Translator(looks_back=name == "looks back")
            train_translator(model, seed, STEPS, LONGEST, RATE)
            runs.append([float(f"{share:.3g}") for share in word_accuracy(model, LENGTHS)])
            print(name, seed, runs[-1], flush=True)
    return {
        "command": "python -m course_lib.experiments.backwards",
        "steps": STEPS,
        "longest": LONGEST,
        "seeds": list(SEEDS),
        "lengths": list(LENGTHS),
        "accuracy": shares,
    }


def main() -> None:
    """Run the long version and store what it found."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()
    save_results("backwards", run_all())


if __name__ == "__main__":
    main()
