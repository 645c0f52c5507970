"""Lesson 17, the Hugging Face world: the exercises."""

import json
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib.exercises import Draw, Exercise, Misconception
from course_lib.models.gpt import IGNORED

BYTES = {"F32": 4, "F16": 2, "I64": 8}
HEADER_LENGTH = 8  # bytes at the beginning of a safetensors file that say how long its header is


def _file(draw: Draw) -> tuple[bytes]:
    """A safetensors file with a matrix, two vectors and a scalar, and an entry that is no tensor."""
    rows, columns, width = (int(draw.integers(low, low + 4)) for low in (3, 8, 20))
    tensors = {"table": ("F32", [rows, columns]), "norm": ("F16", [width]), "ids": ("I64", [5]), "scale": ("F32", [])}
    header: dict = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in tensors.items():
        begin, end = end, end + math.prod(shape) * BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    written = json.dumps(header).encode()
    written += b" " * (-len(written) % 8)
    return (len(written).to_bytes(HEADER_LENGTH, "little") + written + bytes(end),)


def _entries(file: bytes) -> dict:
    """All that the header says, what is no tensor included."""
    length = int.from_bytes(file[:HEADER_LENGTH], "little")
    return json.loads(file[HEADER_LENGTH : HEADER_LENGTH + length])


def _header(file: bytes) -> dict:
    return {name: entry for name, entry in _entries(file).items() if name != "__metadata__"}


def _numbers(file: bytes) -> int:
    return sum(math.prod(entry["shape"]) for entry in _header(file).values())


def _bytes_of(entry: dict) -> int:
    begin, end = entry["data_offsets"]
    return end - begin


HEADER = Exercise(
    id="17.1",
    title="Count without loading",
    inputs=_file,
    solution=_numbers,
    solution_code="""\
def count(file):
    length = int.from_bytes(file[:8], "little")
    header = json.loads(file[8:8 + length])
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
""",
    also_right=[
        lambda file: sum(_bytes_of(entry) // BYTES[entry["dtype"]] for entry in _header(file).values()),
    ],
    misconceptions=[
        Misconception(
            lambda file: sum(_bytes_of(entry) for entry in _header(file).values()),
            "These are bytes: the offsets count those. Asked is how many *numbers* there are, whatever each one takes: "
            "multiply the sizes in `shape`.",
        ),
        Misconception(
            lambda file: sum(_bytes_of(entry) for entry in _header(file).values()) // 4,
            "Bytes divided by 4: that takes every tensor for float32. This file also holds F16 (2 bytes a number) and "
            "I64 (8). The shapes do not depend on it.",
        ),
        Misconception(
            lambda file: sum(sum(entry["shape"]) for entry in _header(file).values()),
            "You added the sizes of each shape. A matrix of 3 × 8 holds 24 numbers, not 11: multiply.",
        ),
        Misconception(
            lambda file: sum(math.prod(entry["shape"]) for entry in _header(file).values() if entry["shape"]),
            "The scalar is missing: its shape is `[]`, and it is one number. `math.prod([])` is 1, as it should be.",
        ),
        Misconception(
            lambda file: len(_header(file)),
            "That is how many tensors there are. How many numbers do they hold together?",
        ),
        Misconception(
            lambda file: len(_header(file)) + 1,
            "That is how many entries the header has. Leave out `__metadata__`, which is no tensor, and add up what "
            "the tensors hold.",
        ),
        Misconception(
            lambda file: (len(file) - HEADER_LENGTH) // 4,
            "You divided the size of the file by 4: the header's own text is counted with it, and not every number "
            "takes 4 bytes.",
        ),
        Misconception(
            lambda file: json.loads(file[HEADER_LENGTH : HEADER_LENGTH + int.from_bytes(file[:8], "big")]),
            "The header did not parse, for its length was read the wrong way round: the 8 bytes are little-endian, "
            'smallest first. `int.from_bytes(file[:8], "little")`.',
        ),
        Misconception(
            lambda file: sum(math.prod(entry["shape"]) for entry in _entries(file).values()),
            "The entry `__metadata__` is no tensor and has no shape: leave it out.",
        ),
    ],
    hints=(
        "Where does the header begin, and how do you know where it ends?",
        "Which entry of the header is no tensor, and how many numbers does a tensor of shape [3, 8] hold? And one of "
        "shape []?",
        "Length from the first 8 bytes, little-endian; `json.loads` of that many bytes; add `math.prod(shape)` over "
        "all entries but `__metadata__`.",
    ),
    why="A header of a few kilobytes says what a file of gigabytes holds. Names, shapes and types are known before a "
    "single weight is read, and nothing in the file can run.",
    starter="""\
def count(file):                        # the bytes of a safetensors file
    ...                                 # → how many numbers its tensors hold together
""",
    see="A model is a folder",
)


def _packed(draw: Draw) -> tuple[Tensor, Tensor]:
    return draw.normal(6, 18), draw.normal(18)


def _in_three(weight: Tensor, bias: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(weight.t().chunk(3), bias.chunk(3), strict=True))


def _by_head(tensor: Tensor, heads: int) -> list[Tensor]:
    """Query, key and value where each head keeps its own three together."""
    pieces = tensor.reshape(heads, 3, -1, *tensor.shape[1:]).transpose(0, 1)
    return [piece.flatten(0, 1) for piece in pieces]


SPLIT = Exercise(
    id="17.2",
    title="Unpack GPT-2's attention",
    inputs=_packed,
    solution=_in_three,
    solution_code="""\
def unpack(weight, bias):
    return list(zip(weight.T.chunk(3), bias.chunk(3)))
""",
    also_right=[
        lambda weight, bias: [(weight[:, at : at + 6].T, bias[at : at + 6]) for at in (0, 6, 12)],
    ],
    misconceptions=[
        Misconception(
            lambda weight, bias: list(zip(weight.chunk(3, dim=1), bias.chunk(3), strict=True)),
            "The three blocks are right, but not turned: GPT-2 keeps input × output and computes x @ W, while "
            "nn.Linear keeps output × input and computes x @ Wᵀ. Each block is square, so nothing would complain: you "
            "would load it and get noise.",
        ),
        Misconception(
            lambda weight, bias: list(zip(weight.chunk(3), bias.chunk(3), strict=True)),
            "You cut the rows, which are the *inputs*: each piece is 2 × 18 here. Query, key and value are outputs: "
            "they lie side by side along the columns.",
        ),
        Misconception(
            lambda weight, bias: [(w, b) for w, b in zip(weight.reshape(3, 6, 6), bias.chunk(3), strict=True)],
            "`reshape` keeps the order of the numbers in memory: each of your blocks mixes pieces of all three. Cut "
            "columns, with `chunk` or a slice.",
        ),
        Misconception(
            lambda weight, bias: [_in_three(weight, bias)[i] for i in (0, 2, 1)],
            "Key and value are exchanged. The order in the matrix is query, key, value.",
        ),
        Misconception(
            lambda weight, bias: list(zip(_by_head(weight.t(), 2), _by_head(bias, 2), strict=True)),
            "You took the matrix for one in which each head keeps its own query, key and value together. Some models "
            "are packed so; GPT-2 has all queries first, then all keys, then all values.",
        ),
        Misconception(
            lambda weight, bias: [(w.contiguous(), bias) for w in weight.t().chunk(3)],
            "The weights are right; the bias of 18 numbers was not cut. Each part has its own 6.",
        ),
        Misconception(
            lambda weight, bias: list(weight.t().chunk(3)),
            "The biases are missing: each part is a pair (weight, bias).",
        ),
    ],
    hints=(
        "x @ weight has 18 columns. Which of them are the queries?",
        "nn.Linear computes x @ W.T. What must W be, so that this is x @ weight[:, :6]?",
        "Turn the matrix, then cut it in three along its first axis; cut the bias in three as well.",
    ),
    why="Three blocks side by side, and turned. Square blocks fit whichever way they lie, so the only proof of a "
    "conversion is that the logits are the same.",
    starter="""\
def unpack(weight, bias):               # (d_model, 3 * d_model), (3 * d_model,); here d_model is 6
    ...                                 # → [(weight, bias) of query, of key, of value], each as nn.Linear keeps it
""",
    see="The same weights under other names",
)


def _masked_text(draw: Draw) -> tuple[Tensor, Tensor, int, int]:
    ids = draw.integers(5, 12, 7)
    ids[int(draw.integers(2, 6))] = 4
    return 2 * draw.normal(7, 12), ids, 4, 3


def _fill(logits: Tensor, ids: Tensor, mask_id: int, k: int) -> list[tuple[int, float]]:
    place = (ids == mask_id).nonzero()[0, 0]
    return _best(logits[place].softmax(dim=-1), k)


def _best(values: Tensor, k: int) -> list[tuple[int, float]]:
    top = values.topk(k)
    return [(int(token), float(value)) for value, token in zip(top.values, top.indices, strict=True)]


def _place(ids: Tensor, mask_id: int) -> int:
    return int((ids == mask_id).nonzero()[0, 0])


def _renormalised(logits: Tensor, ids: Tensor, mask_id: int, k: int) -> list[tuple[int, float]]:
    top = logits[_place(ids, mask_id)].topk(k)
    chances = top.values.softmax(dim=-1)
    return [(int(token), float(chance)) for chance, token in zip(chances, top.indices, strict=True)]


FILL = Exercise(
    id="17.3",
    title="Fill the mask yourself",
    inputs=_masked_text,
    solution=_fill,
    solution_code="""\
def fill_mask(logits, ids, mask_id, k):
    place = (ids == mask_id).nonzero()[0, 0]
    top = logits[place].softmax(dim=-1).topk(k)
    return list(zip(top.indices.tolist(), top.values.tolist()))
""",
    also_right=[
        lambda logits, ids, mask_id, k: _best(F.softmax(logits, dim=-1)[ids == mask_id][0], k),
        lambda logits, ids, mask_id, k: [
            (int(token), float(logits[_place(ids, mask_id)].softmax(-1)[token]))
            for token in logits[_place(ids, mask_id)].argsort(descending=True)[:k]
        ],
    ],
    misconceptions=[
        Misconception(
            lambda logits, ids, mask_id, k: _best(logits[_place(ids, mask_id) - 1].softmax(dim=-1), k),
            "You read the place *before* the mask, as one would with a GPT. A masked model answers at the mask itself.",
        ),
        Misconception(
            lambda logits, ids, mask_id, k: _best(logits[-1].softmax(dim=-1), k),
            "You read the last place: a GPT's answer stands there. Here it stands where the mask is.",
        ),
        Misconception(
            lambda logits, ids, mask_id, k: _best(logits[_place(ids, mask_id)], k),
            "The tokens are right; the numbers are logits. The pipeline's `score` is a probability: softmax first.",
        ),
        Misconception(
            _renormalised,
            "The softmax was taken over the 3 best only, so that they add up to 1. A score is the share of the *whole* "
            "vocabulary: softmax first, then the best.",
        ),
        Misconception(
            lambda logits, ids, mask_id, k: _best(logits.softmax(dim=0)[_place(ids, mask_id)], k),
            "The softmax ran over the 7 places. At one place the 12 tokens compete: `dim=-1`.",
        ),
        Misconception(
            lambda logits, ids, mask_id, k: _best(logits[_place(ids, mask_id)].log_softmax(dim=-1), k),
            "These are logarithms of probabilities: negative numbers. Take `softmax`.",
        ),
        Misconception(
            lambda logits, ids, mask_id, k: [
                (token, chance)
                for token, chance in reversed(_best(logits[_place(ids, mask_id)].softmax(dim=-1), logits.shape[1]))
            ][:k],
            "These are the least likely tokens: you sorted upwards.",
        ),
        Misconception(
            lambda logits, ids, mask_id, k: [(chance, token) for token, chance in _fill(logits, ids, mask_id, k)],
            "The right pairs, the wrong way round: (token id, probability).",
        ),
    ],
    hints=(
        "At which place of the text does the model answer?",
        "What turns the 12 logits of that place into probabilities, and over what do they add up to 1?",
        "`(ids == mask_id).nonzero()`, softmax over the vocabulary there, then `topk(k)`.",
    ),
    why="That is all that the pipeline does after the model: find the mask, softmax over the vocabulary, take the "
    "best. The token of the mask comes from the tokenizer, so a text that spells another model's mask has none.",
    starter="""\
def fill_mask(logits, ids, mask_id, k):  # (time, vocab_size), (time,), the id of the one mask, how many answers
    ...                                  # → [(token id, probability)], the likeliest first
""",
    see="What a pipeline is",
)


def _hidden(draw: Draw) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([[5], [3], [4]])
    return draw.normal(3, 5, 6) + 0.5, (torch.arange(5) < lengths).long()


def _mean(hidden: Tensor, attention_mask: Tensor) -> Tensor:
    real = attention_mask[..., None]
    return (hidden * real).sum(dim=1) / real.sum(dim=1)


POOL = Exercise(
    id="17.4",
    title="One vector for a sentence",
    inputs=_hidden,
    solution=lambda hidden, attention_mask: F.normalize(_mean(hidden, attention_mask), dim=-1),
    solution_code="""\
def sentence_vectors(hidden, attention_mask):
    real = attention_mask[..., None]
    mean = (hidden * real).sum(dim=1) / real.sum(dim=1)
    return F.normalize(mean, dim=-1)
""",
    also_right=[
        lambda hidden, attention_mask: torch.stack(
            [F.normalize(row[mask.bool()].mean(dim=0), dim=0) for row, mask in zip(hidden, attention_mask, strict=True)]
        ),
    ],
    misconceptions=[
        Misconception(
            lambda hidden, attention_mask: F.normalize(hidden.mean(dim=1), dim=-1),
            "The padding is in the mean: the second text has 3 tokens and 2 paddings, and the vector of `[PAD]` is not "
            "zero. So the text's vector depends on how long its neighbours in the batch are.",
        ),
        Misconception(
            _mean,
            "The mean is right; it is not scaled to length 1. The model was trained on the cosine, and with vectors of "
            "length 1 a dot product is the cosine.",
        ),
        Misconception(
            lambda hidden, attention_mask: F.normalize(hidden[:, 0], dim=-1),
            "That is the vector of [CLS]. Some models are trained so that it stands for the text; this one was trained "
            "on the mean (its file `1_Pooling/config.json` says so).",
        ),
        Misconception(
            lambda hidden, attention_mask: F.normalize(hidden[:, -1], dim=-1),
            "That is the last column, which is padding in two of the three texts.",
        ),
        Misconception(
            lambda hidden, attention_mask: F.normalize(
                (F.normalize(hidden, dim=-1) * attention_mask[..., None]).sum(1), dim=-1
            ),
            "You scaled each token's vector to length 1 before the mean. The mean comes first, then the length.",
        ),
        Misconception(
            lambda hidden, attention_mask: F.normalize(
                hidden.masked_fill(attention_mask[..., None] == 0, -math.inf).amax(dim=1), dim=-1
            ),
            "That is the largest value of each feature. This model takes the mean.",
        ),
        Misconception(
            lambda hidden, attention_mask: F.normalize((hidden * (1 - attention_mask[..., None])).sum(1), dim=-1),
            "Inside out: you averaged the padding. 1 means a real token.",
        ),
    ],
    hints=(
        "Over which tokens should the mean run, and which tensor says so?",
        "How do you make the padding count nothing in the sum, and in the number that you divide by?",
        "Multiply by `attention_mask[..., None]`, add up over time, divide by its sum, then `F.normalize`.",
    ),
    why="The mean over real tokens, at length 1. Without the mask the same sentence has another vector in another "
    "batch, and a search index built from such vectors is wrong in a way that nobody sees.",
    starter="""\
def sentence_vectors(hidden, attention_mask):     # (batch, time, d_model), (batch, time): 1 for a real token
    ...                                           # → (batch, d_model): the mean of the real tokens, of length 1
""",
    see="Vectors for sentences, from a real BERT",
)


PAD = 0
"""The id of padding in exercises 17.5 and 17.6, which is also that of the end token, as in GPTs without one."""


def _ended(draw: Draw) -> tuple[Tensor, Tensor, int]:
    lengths = torch.tensor([[6], [4], [5]])
    mask = (torch.arange(7) < lengths).long()
    ids = draw.integers(3, 30, 3, 7) * mask
    ids[torch.arange(3), lengths[:, 0] - 1] = PAD  # each text closes with the end token, whose id is that of padding
    return ids, mask, PAD


def _labels(ids: Tensor, mask: Tensor) -> Tensor:
    return ids.masked_fill(mask == 0, IGNORED)


LABELS = Exercise(
    id="17.5",
    title="Labels that teach the end",
    inputs=_ended,
    solution=lambda ids, attention_mask, pad_id: _labels(ids, attention_mask),
    solution_code="""\
def labels_for(ids, attention_mask, pad_id):
    return ids.masked_fill(attention_mask == 0, -100)
""",
    also_right=[
        lambda ids, attention_mask, pad_id: torch.where(attention_mask.bool(), ids, IGNORED),
        lambda ids, attention_mask, pad_id: ids * attention_mask - 100 * (1 - attention_mask),
    ],
    misconceptions=[
        Misconception(
            lambda ids, attention_mask, pad_id: ids.masked_fill(ids == pad_id, IGNORED),
            "You compared with `pad_id`, as the collator does. The end token has the same id, so no text's end is ever "
            "a label: the model is never told when to stop. The attention mask tells the two apart.",
        ),
        Misconception(
            lambda ids, attention_mask, pad_id: ids.clone(),
            "The padding is among the labels, as the token 0, which is the end token: the model is trained to write "
            "the end after the end, and much of a short text's loss is that. The loss leaves out −100.",
        ),
        Misconception(
            lambda ids, attention_mask, pad_id: F.pad(_labels(ids, attention_mask)[:, 1:], (0, 1), value=IGNORED),
            "You shifted the labels by one. `transformers` does that inside the model: labels are the inputs "
            "themselves. Shifted twice, the model learns the token after the next.",
        ),
        Misconception(
            lambda ids, attention_mask, pad_id: F.pad(_labels(ids, attention_mask)[:, :-1], (1, 0), value=IGNORED),
            "You shifted the labels to the right: with the model's own shift, each token is asked to predict itself.",
        ),
        Misconception(
            lambda ids, attention_mask, pad_id: ids.masked_fill(attention_mask == 1, IGNORED),
            "Inside out: only the padding is left as label.",
        ),
        Misconception(
            lambda ids, attention_mask, pad_id: ids.masked_fill(attention_mask == 0, -1),
            "The padding is marked with −1. The number that the loss leaves out is −100; −1 is an error.",
        ),
    ],
    hints=(
        "Which places should the loss leave out, and which number says so?",
        "Two things have the id 0 here. What tells them apart?",
        "`ids.masked_fill(attention_mask == 0, -100)`: no shift, the model shifts.",
    ),
    why="The mask knows what is padding; the id does not. The model's loss shifts by itself, so that the label of the "
    "last word is the end token, and the end is learned.",
    starter="""\
def labels_for(ids, attention_mask, pad_id):      # (batch, time) each; pad_id is also the end token's id
    ...                                           # → (batch, time): labels for a GPT of `transformers`
""",
    see="The model that never stops",
)


def _ragged(draw: Draw) -> tuple[list[list[int]], int]:
    rows = [draw.integers(3, 30, n).tolist() for n in (4, 7, 2)]
    rows[0][0] = rows[1][0] = PAD  # a text may begin with the end of the one before
    return rows, PAD


def _left(rows: list[list[int]], pad_id: int) -> tuple[Tensor, Tensor, Tensor]:
    time = max(map(len, rows))
    ids = torch.tensor([[pad_id] * (time - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (time - len(row)) + [1] * len(row) for row in rows])
    return ids, mask, (mask.cumsum(dim=1) - 1).clamp(min=0)


def _right(rows: list[list[int]], pad_id: int) -> tuple[Tensor, Tensor, Tensor]:
    time = max(map(len, rows))
    ids = torch.tensor([row + [pad_id] * (time - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (time - len(row)) for row in rows])
    return ids, mask, (mask.cumsum(dim=1) - 1) * mask


def _with_positions(positions: Callable[[Tensor], Tensor]) -> Callable:
    """Ids and mask are right, the positions are others."""
    return lambda rows, pad_id: (*_left(rows, pad_id)[:2], positions(_left(rows, pad_id)[1]))


def _mask_by_id(rows: list[list[int]], pad_id: int) -> tuple[Tensor, Tensor, Tensor]:
    ids = _left(rows, pad_id)[0]
    mask = (ids != pad_id).long()
    return ids, mask, (mask.cumsum(dim=1) - 1).clamp(min=0)


LEFT = Exercise(
    id="17.6",
    title="Pad on the left",
    inputs=_ragged,
    solution=_left,
    solution_code="""\
def pad_left(rows, pad_id):
    time = max(len(row) for row in rows)
    ids = torch.tensor([[pad_id] * (time - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (time - len(row)) + [1] * len(row) for row in rows])
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    return ids, mask, positions
""",
    also_right=[
        _with_positions(lambda mask: (torch.arange(mask.shape[1]) - (mask == 0).sum(dim=1, keepdim=True)).clamp(min=0))
    ],
    misconceptions=[
        Misconception(
            _right,
            "The padding stands on the right: the last column, where generation goes on, is padding for the short "
            "texts. Fill up on the left.",
        ),
        Misconception(
            _mask_by_id,
            "Your mask was made by comparing ids with `pad_id`. Here, as in many GPTs without a padding token of their "
            "own, that is also the end token, and two of these texts *begin* with it: they lost a real token. "
            "The lengths know better.",
        ),
        Misconception(
            _with_positions(lambda mask: torch.arange(mask.shape[1]).expand_as(mask).clone()),
            "The positions count the padding: the text of 2 tokens is told that it stands at 5 and 6. Alone it would "
            "stand at 0 and 1, and it must be the same model with the same input.",
        ),
        Misconception(
            _with_positions(lambda mask: mask.cumsum(dim=1)),
            "Your positions begin at 1. Alone, a text's first token is at position 0.",
        ),
        Misconception(
            _with_positions(lambda mask: mask.cumsum(dim=1) - 1),
            "At the padding your positions are −1: no row of a table (or, worse in Python, the last one). Nobody looks "
            "at padding, but the look-up still happens: use 0.",
        ),
        Misconception(
            lambda rows, pad_id: (
                _left(rows, pad_id)[0],
                1 - _left(rows, pad_id)[1],
                _left(rows, pad_id)[2],
            ),
            "The mask is inside out. In `transformers`, 1 means: look at this token.",
        ),
        Misconception(
            lambda rows, pad_id: (
                _left(rows, pad_id)[0],
                torch.ones_like(_left(rows, pad_id)[1]),
                _left(rows, pad_id)[2],
            ),
            "The mask is 1 everywhere, so the padding is read as text.",
        ),
    ],
    hints=(
        "Generation goes on after the last column. What must stand there in each row?",
        "Which position does the first real token have when the text is alone? How can you count real tokens, row by "
        "row, with the mask?",
        "[pad] * missing + row; zeros and ones of the same lengths; `(mask.cumsum(dim=1) - 1).clamp(min=0)`.",
    ),
    why="Left padding brings every text's end to the last column; the mask hides what was filled in; positions count "
    "real tokens only. With all three, a text in company is computed as if it were alone.",
    starter="""\
def pad_left(rows, pad_id):             # lists of ids of different lengths; pad_id is the end token too
    ...                                 # → ids, mask (1: real), positions (0 at padding): each (batch, time)
""",
    see="Many texts in one batch",
)


Request = tuple[int, int | None, int | None]


def _requests(draw: Draw) -> tuple[list[Request]]:
    total, new = int(draw.integers(18, 28)), int(draw.integers(4, 12))
    return (
        [(3, total, None), (12, total, None), (31, total, None), (5, None, new), (30, None, new), (15, total, new)],
    )


def _room(requests: list[Request]) -> list[int]:
    return [max(0, total - prompt) if new is None else new for prompt, total, new in requests]


ROOM = Exercise(
    id="17.7",
    title="How much will it write?",
    inputs=_requests,
    solution=_room,
    solution_code="""\
def room(requests):
    return [max(0, max_length - prompt) if max_new_tokens is None else max_new_tokens
            for prompt, max_length, max_new_tokens in requests]
""",
    also_right=[
        lambda requests: [
            new if new is not None else (total - prompt if total > prompt else 0) for prompt, total, new in requests
        ]
    ],
    misconceptions=[
        Misconception(
            lambda requests: [total if new is None else new for prompt, total, new in requests],
            "You took `max_length` for the number of new tokens. It is the length of the whole, prompt included.",
        ),
        Misconception(
            lambda requests: [new if total is None else max(0, total - prompt) for prompt, total, new in requests],
            "In the last request both are given, and you let `max_length` decide. `max_new_tokens` takes precedence "
            "(and a warning says that both were set).",
        ),
        Misconception(
            lambda requests: [
                min(limit for limit in (total and max(0, total - prompt), new) if limit is not None)
                for prompt, total, new in requests
            ],
            "Where both are given you took the smaller limit. That would be sensible, but it is not what happens: "
            "`max_new_tokens` alone counts.",
        ),
        Misconception(
            lambda requests: [total - prompt if new is None else new for prompt, total, new in requests],
            "A prompt of 31 tokens is longer than its `max_length`, and your answer is negative. Nothing can be "
            "written: 0. (`generate` raises a ValueError there.)",
        ),
        Misconception(
            lambda requests: [
                max(0, total - prompt) if new is None else max(0, new - prompt) for prompt, total, new in requests
            ],
            "You subtracted the prompt from `max_new_tokens` too. New tokens are those after the prompt.",
        ),
        Misconception(
            lambda requests: [
                max(0, total - prompt) if new is None else prompt + new for prompt, total, new in requests
            ],
            "You added the prompt to `max_new_tokens`: that is how long the whole may become. Asked is what is new.",
        ),
        Misconception(
            lambda requests: [20 if new is None else new for prompt, total, new in requests],
            "20 is what `generate` writes when *no* limit is given. Here `max_length` is.",
        ),
    ],
    hints=(
        "Which of the two limits counts the prompt?",
        "What remains for a prompt of 12 tokens if the whole may have 20? And for one of 31?",
        "If `max_new_tokens` is given, it is the answer; else `max(0, max_length - prompt)`.",
    ),
    why="`max_length` bounds prompt and answer together: the longer the question, the shorter the answer, silently. "
    "Say `max_new_tokens`.",
    starter="""\
def room(requests):                     # [(tokens of the prompt, max_length, max_new_tokens)], None: not given
    ...                                 # → for each request, the most new tokens that generate writes
""",
    see="How long may the answer be?",
)

EXERCISES = [HEADER, SPLIT, FILL, POOL, LABELS, LEFT, ROOM]
