"""Folders as ``save_to_disk`` of the ``datasets`` library writes them."""

import io
import json
import pickle
import zipfile
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


def test_what_the_library_keeps_beside_a_saved_set_is_passed_over(tmp_path):
    pixels = shots(6)
    for part, some in (("train", pixels[:4]), ("test", pixels[4:])):
        saved(tmp_path / part / "data-00000-of-00001.arrow", some, [0, 1, 2, 0][: len(some)])
        # What .map() and .shuffle() leave: pictures once more, and places without any picture.
        saved(tmp_path / part / "cache-0123456789abcdef.arrow", some, [2] * len(some))
        write_indices(tmp_path / part / "cache-fedcba9876543210.arrow")
    pictures = read_pictures(tmp_path)
    assert pictures.labels.tolist() == [0, 1, 0, 1, 2, 0]
    assert {"train/cache-0123456789abcdef.arrow", "test/cache-fedcba9876543210.arrow"} <= set(pictures.skipped)


@pytest.mark.parametrize("is_packed", [False, True])
def test_the_files_of_a_saved_set_are_those_that_its_state_names(tmp_path, is_packed):
    folder = tmp_path / "set"
    for name, labels in (("data-00000-of-00002", [0, 1]), ("data-00001-of-00002", [2, 0]), ("tmpk3x", [1, 1])):
        saved(folder / f"{name}.arrow", shots(2), labels)
    named = ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in named]}))
    where = folder
    if is_packed:
        where = tmp_path / "set.zip"
        with zipfile.ZipFile(where, "w") as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, f"set/{path.name}")
    assert read_pictures(where, store=tmp_path / "cache").labels.tolist() == [0, 1, 2, 0]
    (folder / named[1]).unlink()
    with pytest.raises(DataError, match=r"state\.json names data-00001-of-00002\.arrow, which is not there"):
        read_pictures(folder)


@pytest.mark.parametrize("state", ["", "[]", '{"_data_files": 1}', '{"_data_files": [1]}', '{"_data_files": []}'])
def test_a_state_that_names_no_files_says_nothing(tmp_path, state):
    saved(tmp_path / "data-00000-of-00001.arrow", shots(2), [0, 1])
    write_indices(tmp_path / "cache-fedcba9876543210.arrow")
    (tmp_path / "state.json").write_text(state)
    assert read_pictures(tmp_path).labels.tolist() == [0, 1]


def write_indices(path: Path) -> None:
    schema = pa.schema([("indices", pa.uint64())])
    with ipc.new_stream(str(path), schema) as writer:
        writer.write_table(pa.table({"indices": pa.array([1, 0], pa.uint64())}, schema))
