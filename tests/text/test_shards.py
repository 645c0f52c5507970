"""Token shards: a corpus on the disk reads like the list of its ids."""

import numpy as np
import pytest

from course_lib.text import BPETokenizer, CharTokenizer, load_corpus
from course_lib.text.shards import TokenShards, write_shards


@pytest.fixture
def stories():
    return load_corpus("tiny_world").train[:50]


def test_shards_hold_the_ids_one_after_the_other(tmp_path, stories):
    tokenizer = BPETokenizer.train(stories, 400)
    shards = write_shards(iter(stories), tokenizer, tmp_path / "shards", shard_tokens=1000)
    ids = [index for story in stories for index in [*tokenizer.encode(story), tokenizer.end_id]]
    assert len(shards) == len(ids) and shards.n_documents == 50
    assert len(list((tmp_path / "shards").glob("*.bin"))) == -(-len(ids) // 1000) > 3
    assert shards[:].tolist() == ids
    for start, stop in ((0, 10), (995, 1005), (999, 1000), (1000, 1000), (500, 3100), (-5, None), (7, 3)):
        assert shards[start:stop].tolist() == ids[start:stop]
    assert [shards[0], shards[1000], shards[-1]] == [ids[0], ids[1000], tokenizer.end_id]
    assert shards.dtype == np.uint16
    with pytest.raises(IndexError):
        shards[len(ids)]
    with pytest.raises(ValueError, match="step 2"):
        shards[::2]


def test_windows_are_pieces_of_the_corpus(tmp_path, stories):
    tokenizer = CharTokenizer.train(stories)
    shards = write_shards(stories, tokenizer, tmp_path, shard_tokens=777)
    inputs, targets = next(shards.windows(20, 8, np.random.default_rng(0)))
    assert inputs.shape == targets.shape == (8, 20) and inputs.dtype == np.int64
    assert (inputs[:, 1:] == targets[:, :-1]).all()
    text = tokenizer.decode(shards[:].tolist())
    assert all(tokenizer.decode(row.tolist()) in text for row in inputs)
    again, _ = next(TokenShards(tmp_path).windows(20, 8, np.random.default_rng(0)))
    assert (again == inputs).all()
    with pytest.raises(ValueError, match=f"has {len(shards)} tokens; windows of {len(shards)} need"):
        next(shards.windows(len(shards), 1, np.random.default_rng(0)))


def test_a_large_vocabulary_takes_four_bytes(tmp_path):
    tokenizer = CharTokenizer(map(chr, range(0x10000, 0x10000 + (1 << 16))))
    ids = [*tokenizer.encode("\U0001ffff🙂"), tokenizer.end_id]
    assert ids[0] == 1 << 16
    shards = write_shards(["\U0001ffff🙂"], tokenizer, tmp_path)
    assert shards[:].tolist() == ids and shards.dtype == np.uint32


def test_only_what_is_looked_at_is_read(tmp_path):
    """Ten times larger than what the process may hold is written and read through one shard's worth of memory."""
    import tracemalloc

    tokenizer = CharTokenizer.train(["abcdefgh"])
    tracemalloc.start()
    shards = write_shards(("abcdefgh" * 500 for _ in range(1000)), tokenizer, tmp_path, shard_tokens=50_000)
    assert len(shards) == 4_001_000
    assert shards[2_000_000:2_000_010].size == 10
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000  # the ids alone are 8 MB


def test_unfinished_and_damaged_shards_are_refused(tmp_path):
    tokenizer = CharTokenizer.train(["abc"])
    with pytest.raises(FileNotFoundError, match=r"no finished token shards"):
        TokenShards(tmp_path)
    with pytest.raises(ValueError, match="corpus is empty"):
        write_shards([], tokenizer, tmp_path)
    write_shards(["abc"] * 10, tokenizer, tmp_path)
    with pytest.raises(ValueError, match="holds token shards already"):
        write_shards(["abc"], tokenizer, tmp_path)
    path = tmp_path / "tokens-00000.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"missing or cut short: 79 bytes where 80 belong"):
        TokenShards(tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match="missing or cut short: 0 bytes"):
        TokenShards(tmp_path)
