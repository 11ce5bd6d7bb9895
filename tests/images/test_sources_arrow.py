"""Folders as ``save_to_disk`` of the ``datasets`` library writes them."""

import io
import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import ipc

from whyconv.errors import DataError, PictureError
from whyconv.images.sources import PART_NAMES, read_pictures

RNG = np.random.default_rng(0)
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def saved(path: Path, pixels: np.ndarray, labels: list[int | None], *, names: list[str | None] | None = None,
          classes: tuple[str, ...] = ("cat", "dog", "owl"), has_footer: bool = False) -> Path:  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"bytes": png(each), "path": name} for each, name in zip(pixels, names or [None] * len(pixels), strict=True)
    ]
    features = {"image": {"_type": "Image"}, "label": {"names": list(classes), "_type": "ClassLabel"}}
    schema = pa.schema(
        [("image", STRUCT), ("label", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    table = pa.table({"image": pa.array(rows, STRUCT), "label": labels}, schema)
    opener = ipc.new_file if has_footer else ipc.new_stream
    with opener(str(path), schema) as writer:
        writer.write_table(table, max_chunksize=2)
    (path.parent / "state.json").write_text("{}")
    (path.parent / "dataset_info.json").write_text("{}")
    return path


def shots(n: int) -> np.ndarray:
    return RNG.integers(0, 256, (n, 5, 4, 3), np.uint8)


def seen(pictures, row: int) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(pictures.read(row))))


@pytest.mark.parametrize("has_footer", [False, True])
def test_one_set_in_several_files(tmp_path, has_footer):
    pixels = shots(7)
    saved(tmp_path / "data-00000-of-00002.arrow", pixels[:4], [0, 1, 2, 0], has_footer=has_footer)
    saved(tmp_path / "data-00001-of-00002.arrow", pixels[4:], [2, None, 1], has_footer=has_footer)
    pictures = read_pictures(tmp_path)
    assert pictures.classes == ("cat", "dog", "owl")
    assert pictures.labels.tolist() == [0, 1, 2, 0, 2, -1, 1]
    assert pictures.names[5] == "data-00001-of-00002.arrow[1]"
    assert not pictures.parts.any()
    assert all(np.array_equal(seen(pictures, row), pixels[row]) for row in range(7))
    assert np.array_equal(seen(pickle.loads(pickle.dumps(pictures)), 6), pixels[6])
    assert len(read_pictures(tmp_path / "data-00001-of-00002.arrow")) == 3


def test_parts_are_folders(tmp_path):
    train, test = shots(4), shots(2)
    saved(tmp_path / "train" / "data-00000-of-00001.arrow", train, [0, 1, 0, 1])
    saved(tmp_path / "test" / "data-00000-of-00001.arrow", test, [1, 0])
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    pictures = read_pictures(tmp_path)
    assert [PART_NAMES[part] for part in pictures.parts] == ["test"] * 2 + ["train"] * 4
    assert all(np.array_equal(seen(pictures, row), pixels) for row, pixels in enumerate([*test, *train]))


def test_names_are_those_of_the_files_that_were_saved(tmp_path):
    saved(tmp_path / "data-00000-of-00001.arrow", shots(3), [0, 1, 2], names=["a.png", "b.png", "c.png"])
    assert list(read_pictures(tmp_path).names) == ["a.png", "b.png", "c.png"]


def test_a_file_that_was_cut_is_named(tmp_path):
    path = saved(tmp_path / "data-00000-of-00001.arrow", shots(6), [0, 1] * 3)
    content = path.read_bytes()
    for length in (0, 3, len(content) // 2):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"data-00000-of-00001\.arrow cannot be read as Arrow"):
            read_pictures(tmp_path)
    pictures = (path.write_bytes(content), read_pictures(tmp_path))[1]
    path.unlink()
    with pytest.raises(PictureError):
        pictures.read(0)
