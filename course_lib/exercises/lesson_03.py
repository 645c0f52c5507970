"""Lesson 03, many heads: the exercises."""

import math

import torch
from torch import Tensor, nn

from course_lib.exercises import Draw, Exercise, Misconception
from course_lib.nn.attention import merge_heads, scaled_dot_product_attention, split_heads

SPLIT = Exercise(
    id="03.1",
    title="Split into heads",
    inputs=lambda draw: (draw.normal(2, 5, 12), 3),  # d_head is 4
    solution=lambda x, n_heads: x.view(x.shape[0], x.shape[1], n_heads, -1).transpose(1, 2),
    also_right=[
        lambda x, n_heads: torch.stack(x.chunk(n_heads, dim=-1), dim=1),
        lambda x, n_heads: x.unflatten(-1, (n_heads, -1)).permute(0, 2, 1, 3).contiguous(),
    ],
    misconceptions=[
        Misconception(
            lambda x, n_heads: x.view(x.shape[0], n_heads, x.shape[1], -1),
            "The shape (2, 3, 5, 4) is right and the numbers are not. A view reads memory in order, token after token, "
            "so your head 0 holds all of token 0, then two thirds of token 1, and calls that 5 tokens. "
            "Cut the last axis first; then move the heads.",
        ),
        Misconception(
            lambda x, n_heads: x.view(x.shape[0], x.shape[1], n_heads, -1),
            "The cut is right: each token has 3 pieces of 4. But the axes are still (batch, time, heads, d_head), and "
            "the scores would be between the heads of one token. Swap time and heads.",
        ),
        Misconception(
            lambda x, n_heads: x.view(x.shape[0], x.shape[1], -1, n_heads).permute(0, 3, 1, 2),
            "Each of your heads takes every third feature: 0, 3, 6, 9. A head is a block of neighbours, features 0 to "
            "3, so the heads come before d_head in the view.",
        ),
        Misconception(
            lambda x, n_heads: x.view(x.shape[0], x.shape[1], n_heads, -1).permute(2, 0, 1, 3),
            "You put the heads in front of the batch. The order of axes here is (batch, heads, time, d_head).",
        ),
        Misconception(
            lambda x, n_heads: x.transpose(1, 2).reshape(x.shape[0], n_heads, x.shape[1], -1),
            "You swapped time with the features before the cut, and then reshaped. That reads feature after feature, "
            "so a row of a head holds a feature or two of several tokens. Cut first, then transpose.",
        ),
    ],
    hints=(
        "Which numbers belong to head 0 of token 1: where do they stand in the row of token 1?",
        "Which view cuts only the last axis, so that every token keeps its own numbers?",
        "`x.view(batch, time, n_heads, d_head)`, and then `.transpose(1, 2)`.",
    ),
    why="A view never moves a number; it renames places. Cutting the last axis keeps each token's numbers together. "
    "And the transpose swaps two axes without moving a number either: it only changes the strides.",
    starter="""\
def split_heads(x, n_heads):            # (batch, time, n_heads · d_head)
    ...                                 # → (batch, heads, time, d_head)
""",
    see="Cutting: view, then transpose",
)

MERGE = Exercise(
    id="03.2",
    title="Merge the heads again",
    inputs=lambda draw: (draw.normal(2, 3, 5, 4),),
    solution=lambda x: x.transpose(1, 2).flatten(2),
    also_right=[
        lambda x: torch.cat(list(x.unbind(dim=1)), dim=-1),
        lambda x: x.transpose(1, 2).contiguous().view(x.shape[0], x.shape[2], -1),
        lambda x: x.permute(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], x.shape[1] * x.shape[3]),
    ],
    misconceptions=[
        Misconception(
            lambda x: x.reshape(x.shape[0], x.shape[2], -1),
            "The shape is right and the tokens are mixed: without the transpose, the row of token 0 is filled with "
            "tokens 0, 1 and 2 of head 0. Bring time back in front of the heads first.",
        ),
        Misconception(
            lambda x: x.transpose(1, 2).view(x.shape[0], x.shape[2], -1),
            "Right idea, and torch refuses: after the transpose, the heads of a token no longer lie side by side in "
            "memory, and a view cannot move numbers. `reshape` or `flatten` copies when it has to.",
        ),
        Misconception(
            lambda x: x.permute(0, 2, 3, 1).flatten(2),
            "You shuffled the heads into each other: first feature of each head, then the second. Concatenation keeps "
            "a head's 4 numbers together.",
        ),
        Misconception(
            lambda x: x.transpose(1, 2),
            "Time is back in its place. The 3 heads of 4 are still apart: join the last two axes into one of 12.",
        ),
        Misconception(
            lambda x: x.mean(dim=1),
            "You averaged the heads. Then nobody can tell any more which head said what; concatenation keeps all 12 "
            "numbers.",
        ),
        Misconception(
            lambda x: x.sum(dim=1),
            "You added the heads up, and 12 numbers became 4. Concatenate: the output matrix comes later, and it is "
            "what decides how heads are added.",
        ),
    ],
    hints=(
        "This undoes the split. Which was its last step, and how do you undo that?",
        "After the transpose, which two axes have to become one?",
        "`x.transpose(1, 2)` and then `.flatten(2)` or `.reshape(batch, time, n_heads * d_head)`.",
    ),
    why="Undo the steps backwards: heads back behind time, then the two last axes into one. This time numbers really "
    "move in memory, which is why `view` refuses and `reshape` makes a copy.",
    starter="""\
def merge_heads(x):                     # (batch, heads, time, d_head)
    ...                                 # → (batch, time, n_heads · d_head)
""",
    see="Putting the heads back",
)


class MultiHead(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(d_model, d_model, bias=False)
        self.key = nn.Linear(d_model, d_model, bias=False)
        self.value = nn.Linear(d_model, d_model, bias=False)
        self.output = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x):
        query = split_heads(self.query(x), self.n_heads)
        key = split_heads(self.key(x), self.n_heads)
        value = split_heads(self.value(x), self.n_heads)
        mixed, _ = scaled_dot_product_attention(query, key, value)
        return self.output(merge_heads(mixed))


class _HeadByHead(MultiHead):
    def forward(self, x):
        queries, keys, values = (part(x).chunk(self.n_heads, -1) for part in (self.query, self.key, self.value))
        heads = [scaled_dot_product_attention(q, k, v)[0] for q, k, v in zip(queries, keys, values, strict=True)]
        return self.output(torch.cat(heads, dim=-1))


class _NoOutput(MultiHead):
    def forward(self, x):
        parts = [split_heads(part(x), self.n_heads) for part in (self.query, self.key, self.value)]
        return merge_heads(scaled_dot_product_attention(*parts)[0])


def _wrong_view(x: Tensor, n_heads: int) -> Tensor:
    return x.view(x.shape[0], n_heads, x.shape[1], -1)


class _WrongSplit(MultiHead):
    def forward(self, x):
        parts = [_wrong_view(part(x), self.n_heads) for part in (self.query, self.key, self.value)]
        return self.output(merge_heads(scaled_dot_product_attention(*parts)[0]))


class _WrongMerge(MultiHead):
    def forward(self, x):
        parts = [split_heads(part(x), self.n_heads) for part in (self.query, self.key, self.value)]
        return self.output(scaled_dot_product_attention(*parts)[0].reshape(x.shape))


class _ScaledByModel(MultiHead):
    def forward(self, x):
        query, key, value = (split_heads(part(x), self.n_heads) for part in (self.query, self.key, self.value))
        weights = (query @ key.transpose(-2, -1) / math.sqrt(x.shape[-1])).softmax(dim=-1)
        return self.output(merge_heads(weights @ value))


class _OneHead(MultiHead):
    def forward(self, x):
        return self.output(scaled_dot_product_attention(self.query(x), self.key(x), self.value(x))[0])


class _NoTranspose(MultiHead):
    def forward(self, x):
        parts = [part(x).view(*x.shape[:2], self.n_heads, -1) for part in (self.query, self.key, self.value)]
        return self.output(scaled_dot_product_attention(*parts)[0].flatten(2))


class _NoProjections(MultiHead):
    def forward(self, x):
        heads = split_heads(x, self.n_heads)
        return self.output(merge_heads(scaled_dot_product_attention(heads, heads, heads)[0]))


MODULE = Exercise(
    id="03.3",
    title="Multi-head attention, the whole module",
    inputs=lambda draw: (draw.normal(2, 5, 12),),
    build=lambda cls, draw: draw.fill(cls(d_model=12, n_heads=3)),
    solution=MultiHead,
    also_right=[_HeadByHead],
    misconceptions=[
        Misconception(
            _NoOutput,
            "All right up to the last step: `self.output` is never used. The heads stand side by side and each writes "
            "to its own 4 features; the output matrix is what lets a head write anywhere.",
        ),
        Misconception(
            _WrongSplit,
            "You split with view(batch, heads, time, d_head). The shapes fit, and the rows of your heads are pieces of "
            "other tokens. Use split_heads, or view(batch, time, heads, d_head).transpose(1, 2).",
        ),
        Misconception(
            _WrongMerge,
            "You merged with a reshape alone. After the attention time stands behind the heads, so the row of token 0 "
            "gets filled with other tokens of head 0. Transpose back first, or use merge_heads.",
        ),
        Misconception(
            _ScaledByModel,
            "You divided the scores by √12, the root of d_model. Each head's dot product adds up 4 products, so it is "
            "√d_head = 2.",
        ),
        Misconception(
            _OneHead,
            "This is one head of width 12: `n_heads` has no effect. Split queries, keys and values before you attend.",
        ),
        Misconception(
            _NoTranspose,
            "You cut and never transposed. Attention works on the last two axes, which are (heads, d_head) in yours: "
            "the 3 heads of one token attend to each other, and no token ever sees another one.",
        ),
        Misconception(
            _NoProjections,
            "You split `x` itself three times. The queries, keys and values come from `self.query(x)`, `self.key(x)` "
            "and `self.value(x)`.",
        ),
    ],
    hints=(
        "Four things happen in order: project, split, attend, merge. And a fifth. Which?",
        "What shape must queries, keys and values have when they go into scaled_dot_product_attention?",
        "split_heads(self.query(x), self.n_heads), the same for key and value; attend; merge_heads; self.output.",
    ),
    why="Attention works on the last two axes and treats all axes before them as a batch. So heads are one more batch "
    "axis, and all of them are computed by the same two matrix products.",
    starter="""\
class MultiHead(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.query = nn.Linear(d_model, d_model, bias=False)
        self.key = nn.Linear(d_model, d_model, bias=False)
        self.value = nn.Linear(d_model, d_model, bias=False)
        self.output = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x):               # (batch, time, d_model)
        ...                             # → (batch, time, d_model)
""",
    see="The whole of it",
)


def _einsum_heads(x: Tensor, W_query: Tensor, W_key: Tensor, W_value: Tensor, scale: float | None = None) -> tuple:
    """Weights (batch, heads, query, key) and values (batch, heads, key, d_value), with any scale."""
    query, key, value = (torch.einsum("btm,hmd->bhtd", x, W) for W in (W_query, W_key, W_value))
    scale = math.sqrt(W_query.shape[-1]) if scale is None else scale
    return query @ key.transpose(-2, -1) / scale, value


def _no_scale(x: Tensor, W_query: Tensor, W_key: Tensor, W_value: Tensor, W_output: Tensor) -> Tensor:
    scores, value = _einsum_heads(x, W_query, W_key, W_value, scale=1.0)
    return torch.einsum("bhqk,bhkv,hvm->bqm", scores.softmax(dim=-1), value, W_output)


def _model_scale(x: Tensor, W_query: Tensor, W_key: Tensor, W_value: Tensor, W_output: Tensor) -> Tensor:
    scores, value = _einsum_heads(x, W_query, W_key, W_value, scale=math.sqrt(x.shape[-1]))
    return torch.einsum("bhqk,bhkv,hvm->bqm", scores.softmax(dim=-1), value, W_output)


def _mean_of_heads(x: Tensor, W_query: Tensor, W_key: Tensor, W_value: Tensor, W_output: Tensor) -> Tensor:
    scores, value = _einsum_heads(x, W_query, W_key, W_value)
    return torch.einsum("bhqk,bhkv,hvm->bhqm", scores.softmax(dim=-1), value, W_output).mean(dim=1)


def _all_pairs_of_heads(x: Tensor, W_query: Tensor, W_key: Tensor, W_value: Tensor, W_output: Tensor) -> Tensor:
    scores, value = _einsum_heads(x, W_query, W_key, W_value)
    return torch.einsum("bhqk,bgkv,gvm->bqm", scores.softmax(dim=-1), value, W_output)


def _softmax_over_heads(x: Tensor, W_query: Tensor, W_key: Tensor, W_value: Tensor, W_output: Tensor) -> Tensor:
    scores, value = _einsum_heads(x, W_query, W_key, W_value)
    return torch.einsum("bhqk,bhkv,hvm->bqm", scores.softmax(dim=1), value, W_output)


def _heads_kept_apart(x: Tensor, W_query: Tensor, W_key: Tensor, W_value: Tensor, W_output: Tensor) -> Tensor:
    scores, value = _einsum_heads(x, W_query, W_key, W_value)
    return torch.einsum("bhqk,bhkv,hvm->bhqm", scores.softmax(dim=-1), value, W_output)


def multi_head(x, W_query, W_key, W_value, W_output):
    query = torch.einsum("btm,hmd->bhtd", x, W_query)
    key = torch.einsum("btm,hmd->bhtd", x, W_key)
    value = torch.einsum("btm,hmv->bhtv", x, W_value)
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key) / math.sqrt(W_query.shape[-1])
    return torch.einsum("bhqk,bhkv,hvm->bqm", scores.softmax(dim=-1), value, W_output)


def _loop_over_heads(x: Tensor, W_query: Tensor, W_key: Tensor, W_value: Tensor, W_output: Tensor) -> Tensor:
    heads = zip(W_query, W_key, W_value, W_output, strict=True)
    return sum(scaled_dot_product_attention(x @ q, x @ k, x @ v)[0] @ o for q, k, v, o in heads)


def _weights_of_heads(draw: Draw) -> tuple[Tensor, ...]:
    """x (2, 5, 12), and for each of 3 heads matrices to 4 (queries, keys) and 7 (values) features, and back."""
    d_model = draw.size(12)
    into = [draw.normal(3, d_model, size) for size in (4, 4, 7)]
    return draw.normal(2, 5, d_model), *into, draw.normal(3, 7, d_model)


EINSUM = Exercise(
    id="03.4",
    title="No split, no merge: one einsum a step",
    inputs=_weights_of_heads,
    tolerance=1e-3,
    solution=multi_head,
    also_right=[_loop_over_heads],
    misconceptions=[
        Misconception(
            _no_scale,
            "The division is missing: the scores of each head want a division by √d_head = √4.",
        ),
        Misconception(
            _model_scale,
            "You divided by √12, the root of d_model. The index that the scores sum over is d, which has 4 values.",
        ),
        Misconception(
            _mean_of_heads,
            "You averaged over the heads, so your result is a third of the right one. Concatenating and multiplying by "
            "W_O *adds* what the heads write.",
        ),
        Misconception(
            _all_pairs_of_heads,
            "You gave the heads of the weights and those of the values different letters, so every head's weights were "
            "applied to every head's values: 9 pairs. The same letter in both keeps a head to itself.",
        ),
        Misconception(
            _softmax_over_heads,
            "Your softmax runs over the heads. Each query of each head has a budget of its own, to share among the "
            "keys: the last axis of the scores.",
        ),
        Misconception(
            _heads_kept_apart,
            "You kept what each head writes apart: (batch, heads, query, d_model). Leave the letter of the heads out "
            "after the arrow, and einsum adds them up.",
        ),
    ],
    hints=(
        "In einsum, a letter that stands before the arrow and not after it is summed over. Which letters should go?",
        'Project with "btm,hmd->bhtd". Which letters do the scores keep, and which one do they sum over?',
        'Scores "bhqd,bhkd->bhqk"; then everything at once: "bhqk,bhkv,hvm->bqm".',
    ),
    why="Concatenating heads and multiplying by W_O is the sum over heads of head_i times the rows of W_O that belong "
    "to it. Written like this the heads are a letter, and there is no memory layout to get wrong.",
    starter="""\
def multi_head(x, W_query, W_key, W_value, W_output):
    # x (batch, time, d_model); W_query, W_key (heads, d_model, d_head);
    # W_value (heads, d_model, d_value); W_output (heads, d_value, d_model)
    ...                                 # → (batch, time, d_model)
""",
    see="The whole of it",
)


def _sizes(draw: Draw) -> tuple[int, int, int, int, int]:
    n_heads = draw.choice((3, 4))
    return draw.choice((2, 6)), draw.choice((5, 7)), draw.choice((9, 11)), n_heads * draw.choice((8, 10)), n_heads


SHAPES = Exercise(
    id="03.5",
    title="The shapes of cross-attention",
    inputs=_sizes,
    solution=lambda batch, n_query, n_key, d_model, n_heads: (
        (batch, n_heads, n_query, n_key),
        (batch, n_query, d_model),
    ),
    also_right=[
        lambda batch, n_query, n_key, d_model, n_heads: (
            tuple(torch.empty(batch, n_heads, n_query, n_key).shape),
            tuple(torch.empty(batch, n_query, d_model).shape),
        )
    ],
    misconceptions=[
        Misconception(
            lambda batch, n_query, n_key, d_model, n_heads: (
                (batch, n_heads, n_query, n_key),
                (batch, n_key, d_model),
            ),
            "Your output has one row for each key. The keys and values are what is read; there is one answer for each "
            "*question*, so the output is as long as the queries.",
        ),
        Misconception(
            lambda batch, n_query, n_key, d_model, n_heads: (
                (batch, n_heads, n_key, n_query),
                (batch, n_query, d_model),
            ),
            "Your weights have keys as rows. A row belongs to one query and adds to 1; the keys are the last axis.",
        ),
        Misconception(
            lambda batch, n_query, n_key, d_model, n_heads: (
                (batch, n_query, n_key),
                (batch, n_query, d_model),
            ),
            "There is no axis for the heads in your weights. Each head has a matrix of its own.",
        ),
        Misconception(
            lambda batch, n_query, n_key, d_model, n_heads: (
                (batch, n_heads, n_query, n_key),
                (batch, n_query, d_model // n_heads),
            ),
            "Your output has the width of one head. The heads are concatenated, which gives d_model again, and W_O "
            "keeps that.",
        ),
        Misconception(
            lambda batch, n_query, n_key, d_model, n_heads: (
                (batch, n_heads, n_query, n_key),
                (batch, n_heads, n_query, d_model // n_heads),
            ),
            "These are the heads' outputs before the merge. What leaves the module was concatenated and projected.",
        ),
        Misconception(
            lambda batch, n_query, n_key, d_model, n_heads: (
                (batch, n_heads, n_query, n_query),
                (batch, n_query, d_model),
            ),
            "A square of queries by queries is self-attention. Here the keys come from another text, with a length of "
            "its own.",
        ),
    ],
    hints=(
        "Who asks, and who is asked? Which of the two decides how many answers there are?",
        "A score is made for each pair of a query and a key, in each head, in each sentence. How many axes is that?",
        "Weights: (batch, heads, query, key). Output: (batch, query, d_model).",
    ),
    why="The output has one row for each question, whatever is read. The length of what is read is the last axis of "
    "the weights and is summed away.",
    starter="""\
def attention_shapes(batch, n_query, n_key, d_model, n_heads):
    # the n_query tokens of x attend to the n_key tokens of another text
    ...                                 # → (shape of the weights, shape of the output), two tuples
""",
    see="One module, three uses",
)

CACHE_BYTES = Exercise(
    id="03.6",
    title="How large is the cache?",
    inputs=lambda draw: (
        draw.choice((6, 32)),
        draw.choice((16, 48)),
        draw.choice((2, 8)),
        draw.choice((64, 80)),
        draw.choice((300, 4096)),
        draw.choice((3, 5)),
        4,
    ),
    solution=lambda n_layers, n_heads, n_kv_heads, d_head, length, batch, bytes_each: (
        2 * n_layers * batch * n_kv_heads * length * d_head * bytes_each
    ),
    also_right=[
        lambda n_layers, n_heads, n_kv_heads, d_head, length, batch, bytes_each: math.prod(
            (n_layers, 2, batch, n_kv_heads, length, d_head, bytes_each)
        )
    ],
    misconceptions=[
        Misconception(
            lambda n_layers, n_heads, n_kv_heads, d_head, length, batch, bytes_each: (
                2 * n_layers * batch * n_heads * length * d_head * bytes_each
            ),
            "You counted the query heads. Queries are used once and thrown away; what is stored are keys and values, "
            "and of those there are n_kv_heads.",
        ),
        Misconception(
            lambda n_layers, n_heads, n_kv_heads, d_head, length, batch, bytes_each: (
                n_layers * batch * n_kv_heads * length * d_head * bytes_each
            ),
            "Half of it: you stored the keys or the values. Both are needed at the next step.",
        ),
        Misconception(
            lambda n_layers, n_heads, n_kv_heads, d_head, length, batch, bytes_each: (
                2 * batch * n_kv_heads * length * d_head * bytes_each
            ),
            "That is one layer. Each layer has its own keys and values.",
        ),
        Misconception(
            lambda n_layers, n_heads, n_kv_heads, d_head, length, batch, bytes_each: (
                2 * n_layers * n_kv_heads * length * d_head * bytes_each
            ),
            "That is one sequence. Each sequence of the batch has its own text, so its own cache.",
        ),
        Misconception(
            lambda n_layers, n_heads, n_kv_heads, d_head, length, batch, bytes_each: (
                2 * n_layers * batch * n_kv_heads * length * length * bytes_each
            ),
            "You squared the length. That is the size of the attention weights, and those are not kept: the cache "
            "holds one key and one value for each position, d_head numbers each.",
        ),
        Misconception(
            lambda n_layers, n_heads, n_kv_heads, d_head, length, batch, bytes_each: (
                2 * n_layers * batch * n_kv_heads * length * d_head
            ),
            "You counted numbers; each of them takes `bytes_each` bytes.",
        ),
    ],
    hints=(
        "Which two tensors does a layer have to remember so that a new token can attend to the old ones?",
        "What is the shape of one of them, for one layer and the whole batch?",
        "2 tensors · n_layers · (batch · n_kv_heads · length · d_head) numbers · bytes_each.",
    ),
    why="Keys and values, each (batch, n_kv_heads, length, d_head), in each layer. The number of *query* heads is not "
    "in the formula, which is all that grouped-query attention needs.",
    starter="""\
def kv_cache_bytes(n_layers, n_heads, n_kv_heads, d_head, length, batch, bytes_each):
    ...                                 # → a whole number
""",
    see="Sharing keys and values",
)

SHARE = Exercise(
    id="03.7",
    title="One key head for a group of queries",
    inputs=lambda draw: (draw.normal(2, 3, 5, 4), 6),
    solution=lambda key, n_heads: key.repeat_interleave(n_heads // key.shape[1], dim=1),
    also_right=[
        lambda key, n_heads: torch.stack([key] * (n_heads // key.shape[1]), dim=2).flatten(1, 2),
        lambda key, n_heads: key[:, torch.arange(n_heads) * key.shape[1] // n_heads],
    ],
    misconceptions=[
        Misconception(
            lambda key, n_heads: key.repeat(1, n_heads // key.shape[1], 1, 1),
            "The shape is right and the order is 0 1 2 0 1 2: `repeat` lays whole copies end to end. Neighbouring "
            "query heads share a key head, 0 0 1 1 2 2, which is what `repeat_interleave` makes.",
        ),
        Misconception(
            lambda key, n_heads: key.repeat_interleave(n_heads, dim=1),
            "You repeated each key head 6 times, which makes 18. It is needed once for each query head of its group, "
            "and a group has 6 / 3 = 2.",
        ),
        Misconception(
            lambda key, n_heads: key.repeat_interleave(n_heads // key.shape[1], dim=2),
            "You doubled the tokens: axis 2 is time. The heads are axis 1.",
        ),
        Misconception(
            lambda key, n_heads: key.repeat_interleave(n_heads // key.shape[1]).view(
                key.shape[0], n_heads, *key.shape[2:]
            ),
            "Without `dim=` repeat_interleave flattens first, so each single number was doubled and the features of "
            "your keys are scrambled. Say along which axis: dim=1.",
        ),
        Misconception(
            lambda key, n_heads: key.mean(dim=1, keepdim=True).repeat(1, n_heads, 1, 1),
            "You made one average key head and gave it to all 6 queries. That would be multi-query attention; here "
            "there are 3 key heads, and each serves 2 query heads.",
        ),
    ],
    hints=(
        "6 query heads, 3 key heads. Which key head does query head 1 use, and which one query head 4?",
        "Query heads 0 to 5 should find key heads 0 0 1 1 2 2. What would `repeat` give?",
        "`key.repeat_interleave(group, dim=1)`, with group = n_heads // key.shape[1].",
    ),
    why="Query head i uses key head i // group. Repeating each head in place puts it where a batched product finds it; "
    "the cache still holds it once.",
    starter="""\
def share_heads(key, n_heads):          # (batch, kv_heads, time, d_head)
    ...                                 # → (batch, n_heads, time, d_head)
""",
    see="Sharing keys and values",
)

EXERCISES = [SPLIT, MERGE, MODULE, EINSUM, SHAPES, CACHE_BYTES, SHARE]
