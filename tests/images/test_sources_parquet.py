"""Labels in Parquet, beside the pictures themselves or their paths."""

import json
import pickle

import numpy as np
import pytest

from listed_pictures import described
from whyconv.errors import DataError, MissingExtraError, PictureError
from whyconv.images.sources import read_pictures

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

IMAGES = [{"bytes": b"one", "path": "1.png"}, {"bytes": b"two", "path": "2.png"}, {"bytes": None, "path": "3.png"}]

CAT_AND_DOG = {"a.jpg": ("cat", ""), "b.jpg": ("dog", "")}


def write_parquet(path, columns, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(arrow.table(columns), path, **options)
    return path


def test_parquet_of_paths(lay):
    where = write_parquet(
        lay("a.jpg", "b.jpg") / "metadata.parquet", {"file_name": ["a.jpg", "b.jpg"], "label": ["cat", "dog"]}
    )
    assert described(read_pictures(where)) == CAT_AND_DOG
    assert described(read_pictures(where.parent)) == CAT_AND_DOG


def test_parquet_of_structs_with_class_names(tmp_path):
    table = arrow.table({"image": IMAGES, "label": [1, 0, 1], "note": ["x", "y", "z"]})
    features = {
        "info": {"features": {"label": {"names": ["dog", "cat"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}}
    }
    table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    parquet.write_table(table, tmp_path / "set.parquet", row_group_size=1)
    pictures = read_pictures(tmp_path / "set.parquet")
    assert described(pictures) == {"1.png": ("cat", ""), "2.png": ("dog", ""), "3.png": ("cat", "")}
    assert pictures.classes == ("dog", "cat")
    assert [pictures.read(1), pictures.read(0), pictures.read(1)] == [b"two", b"one", b"two"]
    with pytest.raises(PictureError, match="holds no bytes"):
        pictures.read(2)
    again = pickle.loads(pickle.dumps(pictures.select(np.array([1]))))
    assert again.read(0) == b"two"
    facts = (tmp_path / "set.parquet").stat()
    assert pictures.stat(0)[:2] == (facts.st_size, facts.st_mtime_ns)


@pytest.mark.parametrize("kind", [arrow.binary(), arrow.large_binary()])
@pytest.mark.parametrize("name", ["image", "scan"])
def test_parquet_of_bytes(tmp_path, kind, name):
    columns = {name: arrow.array([bytes([i]) for i in range(9)], kind), "label": list("abcabcabc")}
    where = write_parquet(tmp_path / "set.parquet", columns, row_group_size=2)
    pictures = read_pictures(where)
    assert [pictures.read(row) for row in range(9)] == [bytes([i]) for i in range(9)]
    assert pictures.names[8] == "set.parquet[8]"


def test_parquet_shards_named_after_parts(tmp_path):
    write_parquet(tmp_path / "data" / "train-00000-of-00002.parquet", {"image": IMAGES[:2], "label": ["a", "b"]})
    write_parquet(tmp_path / "data" / "train-00001-of-00002.parquet", {"image": IMAGES[:1], "label": ["a"]})
    write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", {"image": IMAGES[1:2], "label": ["b"]})
    pictures = read_pictures(tmp_path)
    assert described(pictures) == {
        "data/test-00000-of-00001.parquet[0]": ("b", "test"),
        "data/train-00000-of-00002.parquet[0]": ("a", "train"),
        "data/train-00000-of-00002.parquet[1]": ("b", "train"),
        "data/train-00001-of-00002.parquet[0]": ("a", "train"),
    }
    assert [pictures.read(row) for row in range(4)] == [b"two", b"one", b"two", b"one"]


def test_damaged_parquet_and_missing_pyarrow(tmp_path, monkeypatch):
    where = write_parquet(tmp_path / "set.parquet", {"image": IMAGES, "label": ["a", "b", "c"]})
    with monkeypatch.context() as patch:
        patch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
        with pytest.raises(MissingExtraError, match=r"Reading Parquet needs.*whyconv\[tables\]"):
            read_pictures(where)
    where.write_bytes(where.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"set\.parquet cannot be read as Parquet"):
        read_pictures(where)
