"""load_corpus: every kind of source, and every kind of bad input."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from course_lib.text import bundled, corpora, load_corpus, load_task, sources
from course_lib.text.bundled import bundled_file, damaged_files, data_folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["python_docs", "python_source"])
def test_what_python_carries(name):
    corpus = load_corpus(name)
    splits = [corpus.train, corpus.validation, corpus.test]
    assert all(splits) and len(corpus.train) > 10 * len(corpus.test)
    assert sum(map(len, corpus.train)) > 100_000
    assert not set(corpus.train) & set(corpus.validation)
    assert corpus.train == load_corpus(name).train
    assert corpus.floor is None
    assert repr(corpus) == (
        f"Corpus({name!r}: train {len(corpus.train):,}, validation {len(corpus.validation):,}, "
        f"test {len(corpus.test):,} documents)"
    )


def test_a_text_file_is_cut_at_line_breaks(tmp_path):
    path = tmp_path / "lines.txt"
    text = "".join(f"line {number}\n" for number in range(1000))
    path.write_text(text)
    corpus = load_corpus(path)
    assert "".join(corpus.train + corpus.validation + corpus.test) == text
    assert all(piece.startswith("line ") for piece in corpus.validation + corpus.test)
    assert len(corpus.train[0]) == pytest.approx(0.9 * len(text), rel=0.02)
    assert load_corpus(str(path)) == corpus


def test_a_folder_is_split_by_file(tmp_path):
    for number in range(60):
        (tmp_path / f"{number:02d}.txt").write_text(f"document {number}")
    (tmp_path / "left out.md").write_text("not a .txt file")
    corpus = load_corpus(tmp_path)
    documents = corpus.train + corpus.validation + corpus.test
    assert len(documents) == len(set(documents)) == 60
    assert (len(corpus.train), len(corpus.validation), len(corpus.test)) == (54, 3, 3)


def test_bad_paths(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.txt"):
        load_corpus(tmp_path / "nothing.txt")
    with pytest.raises(FileNotFoundError, match=r"\./nowhere"):
        load_corpus("./nowhere")
    with pytest.raises(ValueError, match=r"no \.txt, \.jsonl, \.parquet file"):
        load_corpus(tmp_path)
    empty = tmp_path / "empty.txt"
    empty.write_text(" \n")
    for path in (empty, tmp_path):
        with pytest.raises(ValueError, match="is empty: 1 file"):
            load_corpus(path)
    latin = tmp_path / "latin.txt"
    latin.write_bytes("a café".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.txt is not UTF-8: byte 5 is 0xe9"):
        load_corpus(latin)


def test_unknown_names_get_the_nearest():
    with pytest.raises(ValueError, match="no corpus 'tinyworld'. Did you mean 'tiny_world'"):
        load_corpus("tinyworld")
    with pytest.raises(ValueError, match="no corpus 'zzz'. The built-in ones are 'tiny_world'"):
        load_corpus("zzz")
    with pytest.raises(ValueError, match="no task 'summary'. Did you mean 'summaries'"):
        load_task("summary")
    with pytest.raises(ValueError, match="no task 'zzz'. The tasks are 'sentiment'"):
        load_task("zzz")


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("streaming", [False, True])
def test_rows_of_a_file_and_files_of_a_folder(tmp_path, suffix, streaming):
    rows = [{"id": number, "body": f"document {number}"} for number in range(60)]
    _write_rows(tmp_path / f"all{suffix}", [*rows, {"id": 60, "body": None}, {"id": 61, "body": " \n"}])
    corpus = load_corpus(tmp_path / f"all{suffix}", column="body", streaming=streaming)
    assert [len(list(split)) for split in (corpus.train, corpus.validation, corpus.test)] == [54, 3, 3]
    assert list(corpus.validation) == list(corpus.validation) == ["document 18", "document 38", "document 58"]
    folder = tmp_path / "mixed"
    _write_rows(folder / f"b{suffix}", [{"text": f"row {number}"} for number in range(30)])
    (folder / "a.txt").write_text("from a text file")
    corpus = load_corpus(folder, streaming=streaming)
    assert [next(iter(corpus.train)), len(list(corpus.train))] == ["from a text file", 29]


def test_a_stream_equals_the_list_and_counts_nothing(tmp_path):
    for number in range(45):
        (tmp_path / f"{number:02d}.txt").write_text(f"document {number}")
    listed, streamed = load_corpus(tmp_path), load_corpus(tmp_path, streaming=True)
    for split in corpora.SPLITS:
        assert list(getattr(streamed, split)) == getattr(listed, split)
    assert repr(streamed) == f"Corpus({tmp_path.name!r}: streamed, not counted)"
    assert not hasattr(streamed.train, "__len__")


def test_a_large_text_streams_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "WHOLE_TEXT", 1000)
    monkeypatch.setattr(sources, "PIECE", 100)
    path = tmp_path / "large.txt"
    path.write_text("".join(f"line {number}\n" for number in range(1000)))
    corpus = load_corpus(path, streaming=True)
    pieces = [*corpus.train, *corpus.validation, *corpus.test]
    assert sorted("".join(pieces).splitlines()) == sorted(path.read_text().splitlines())
    assert all(piece.endswith("\n") and len(piece) < 120 for piece in pieces)
    path.write_bytes(b"fine\n" * 300 + b"caf\xe9\n")
    with pytest.raises(ValueError, match=r"large\.txt is not UTF-8"):
        list(load_corpus(path, streaming=True).train)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "one"}\n{"text": \n', r"Line 2 of .*a\.jsonl is not JSON"),
        ("a.jsonl", b'{"text": "caf\xe9"}\n', r"Line 1 of .*a\.jsonl is not UTF-8"),
        ("a.jsonl", b'{"body": "one"}\n', r"Row 1 of .* has no column 'text', only \['body'\]: say which with column"),
        ("a.jsonl", b'"one"\n', r"Row 1 of .* has no column 'text', only str"),
        ("a.jsonl", b'{"text": 5}\n', r"Row 1 of .* holds int where text is expected"),
        ("a.jsonl", b'{"text": null}\n', r"is empty: 1 file\(s\) and no text"),
        ("a.parquet", b"PAR1 no such thing", r"a\.parquet is not a Parquet file, or is cut short"),
        ("a.txt", b"x", r"'a\.txt' is too short to hold out 5 % .* 1 document\(s\) with 1 character\(s\)"),
        ("a.txt", b"", r"is empty"),
    ],
)
def test_bad_rows_are_said(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_corpus(tmp_path / name)


def test_a_parquet_file_without_the_column(tmp_path):
    _write_rows(tmp_path / "a.parquet", [{"body": "one"}])
    with pytest.raises(ValueError, match=r"has no column 'text', only \['body'\]"):
        load_corpus(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="is empty"):
        _write_rows(tmp_path / "b.parquet", [{"text": ""}])
        load_corpus(tmp_path / "b.parquet", streaming=True)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder of datasets in the hub's layout; `owner/name` is loaded from it by the real client, offline."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder, load = tmp_path / "hub", datasets.load_dataset

    def load_from_folder(name, *settings, **more):
        return load(str(folder / name), *settings, **more)

    monkeypatch.setattr(datasets, "load_dataset", load_from_folder)
    return folder


@pytest.mark.parametrize("streaming", [False, True])
def test_a_dataset_of_the_hub_keeps_its_splits(hub, streaming):
    data = hub / "owner/stories/data"
    for split, shards in (("train", 2), ("validation", 1), ("test", 1)):
        for shard in range(shards):
            rows = [{"text": f"{split} {shard}"}, {"text": " "}]
            _write_rows(data / f"{split}-{shard:05d}-of-{shards:05d}.parquet", rows)
    corpus = load_corpus("owner/stories", streaming=streaming)
    assert [list(corpus.train), list(corpus.train)] == [["train 0", "train 1"]] * 2
    assert [list(corpus.validation), list(corpus.test)] == [["validation 0"], ["test 0"]]
    with pytest.raises(ValueError, match=r"no column 'body', only \['text'\]: say which one, as in column=\"text\""):
        load_corpus("owner/stories", column="body", streaming=streaming)
    same = load_corpus(hub / "owner/stories", streaming=streaming)
    assert [list(same.train), list(same.test)] == [list(corpus.train), list(corpus.test)]


def test_a_dataset_with_configurations(hub):
    """As WikiText is laid out: a card that names the files of each configuration."""
    folder = hub / "owner/wiki"
    for size in ("small", "large"):
        for split in ("train", "validation", "test"):
            _write_rows(folder / size / f"{split}-00000-of-00001.parquet", [{"text": f"{size} {split}"}])
    configs = "".join(
        f"- config_name: {size}\n  data_files:\n"
        + "".join(f"  - split: {split}\n    path: {size}/{split}-*\n" for split in ("train", "validation", "test"))
        for size in ("small", "large")
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n# Wiki\n")
    with pytest.raises(ValueError, match=r"several configurations; name one with config=…: \['small', 'large'\]"):
        load_corpus("owner/wiki")
    assert load_corpus("owner/wiki", config="large").train == ["large train"]
    assert list(load_corpus("owner/wiki", config="small", streaming=True).test) == ["small test"]


def test_a_dataset_without_held_out_splits_is_split(hub):
    _write_rows(hub / "owner/stories/train.jsonl", [{"text": f"document {number}"} for number in range(40)])
    for streaming in (False, True):
        corpus = load_corpus("owner/stories", streaming=streaming)
        assert [len(list(split)) for split in (corpus.train, corpus.validation, corpus.test)] == [36, 2, 2]


def test_a_dataset_with_one_held_out_split_shares_it(hub):
    _write_rows(hub / "owner/stories/train.jsonl", [{"text": "a"}])
    _write_rows(hub / "owner/stories/test.jsonl", [{"text": letter} for letter in "bcd"])
    for streaming in (False, True):
        corpus = load_corpus("owner/stories", streaming=streaming)
        assert [list(corpus.train), list(corpus.validation), list(corpus.test)] == [["a"], ["b", "d"], ["c"]]


def test_a_dataset_without_a_train_split(hub):
    _write_rows(hub / "owner/stories/test.jsonl", [{"text": "a"}])
    with pytest.raises(ValueError, match=r"no text in a split called 'train', only \['test'\]"):
        load_corpus("owner/stories")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Salesforce/wikitext", "roneneldan/TinyStories", "karpathy/tiny_shakespeare"])
@pytest.mark.parametrize("streaming", ["False", "True"])
def test_offline_each_id_answers_with_one_sentence(name, streaming, tmp_path):
    """In a process of its own, with the hub's address leading nowhere."""
    code = f"from course_lib.text import load_corpus\nload_corpus({name!r}, streaming={streaming})"
    nowhere = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **nowhere})
    assert re.fullmatch(
        f"ValueError: The dataset {name!r} could not be loaded from the Hugging Face hub .*; without a network, "
        "'tiny_world', 'python_docs', 'python_source' are on this machine.",
        found.stderr.strip().splitlines()[-1],
    )


def _write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_damaged_files_are_noticed(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    shutil.copytree(data_folder(), folder)
    name = "tiny_world/stories/test.jsonl"
    assert damaged_files(folder) == []
    path = folder / name
    path.write_bytes(path.read_bytes().replace(b"garden", b"gArden", 1))
    monkeypatch.setattr(bundled, "data_folder", lambda: folder)
    with pytest.raises(ValueError, match=r"stories/test.jsonl is damaged: .* bytes .*python -m course_lib.text.tiny"):
        load_corpus("tiny_world")
    assert len(damaged_files(folder)) == 1
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"stories/test.jsonl is missing"):
        bundled_file(name, folder)
    with pytest.raises(FileNotFoundError, match="knows no file 'other'"):
        bundled_file("other", folder)


def test_text_loads_neither_torch_nor_datasets():
    code = (
        "import sys, course_lib.text as t; t.load_corpus('tiny_world'); print({'torch', 'datasets'} & {*sys.modules})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_splits_of_few_documents():
    assert corpora._split(["a" * 100]) == (["a" * 90], ["a" * 5], ["a" * 5])
