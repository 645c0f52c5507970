"""load_corpus: every kind of source, and every kind of bad input."""

import shutil
import subprocess
import sys

import pytest

from course_lib.text import bundled, corpora, load_corpus, load_task
from course_lib.text.bundled import bundled_file, damaged_files, data_folder


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
    with pytest.raises(ValueError, match=r"no \.txt file"):
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


def test_a_dataset_of_the_hub(monkeypatch):
    """What `datasets` gives is taken over split by split; what it raises becomes one sentence."""
    datasets = pytest.importorskip("datasets")
    rows = {split: datasets.Dataset.from_dict({"text": [split, " "]}) for split in ("train", "validation", "test")}
    monkeypatch.setattr(datasets, "load_dataset", lambda name, **settings: datasets.DatasetDict(rows))
    corpus = load_corpus("owner/stories")
    assert (corpus.train, corpus.validation, corpus.test) == (["train"], ["validation"], ["test"])
    with pytest.raises(ValueError, match=r"no column 'body', only \['text'\]"):
        load_corpus("owner/stories", column="body")

    def offline(name, **settings):
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(ValueError, match="could not be loaded .*ConnectionError.* 'tiny_world'"):
        load_corpus("owner/stories")


def test_a_dataset_without_held_out_splits_is_split(monkeypatch):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict({"text": [f"document {number}" for number in range(40)]})
    monkeypatch.setattr(datasets, "load_dataset", lambda name: datasets.DatasetDict(train=rows))
    corpus = load_corpus("owner/stories")
    assert (len(corpus.train), len(corpus.validation), len(corpus.test)) == (36, 2, 2)


def test_a_dataset_with_one_held_out_split_shares_it(monkeypatch):
    datasets = pytest.importorskip("datasets")
    rows = {"train": ["a"], "test": ["b", "c", "d"]}
    splits = {split: datasets.Dataset.from_dict({"text": texts}) for split, texts in rows.items()}
    monkeypatch.setattr(datasets, "load_dataset", lambda name: datasets.DatasetDict(splits))
    corpus = load_corpus("owner/stories")
    assert (corpus.train, corpus.validation, corpus.test) == (["a"], ["b", "d"], ["c"])


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
