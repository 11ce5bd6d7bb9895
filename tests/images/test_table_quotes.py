"""Tables whose columns hold whole pictures where names or labels are expected: what is wrong is said in short."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest

from drawn_pictures import encode, photo
from whyconv.errors import DataError
from whyconv.images.sources import read_pictures
from whyconv.images.sources.listing import shortened

_PICTURE = photo(40, 50)
_PNG = encode(_PICTURE, "PNG")
_BASE64 = base64.b64encode(_PNG).decode()
# Of a line of a message: what is quoted, and the words around it.
_MOST_LETTERS = 400


def told(where: Path, **settings: object) -> str:
    with pytest.raises(DataError) as caught:
        read_pictures(where, **settings)
    text = str(caught.value)
    assert max(map(len, re.split(r"; (?=lines? \d)", text))) < _MOST_LETTERS
    return text


@pytest.mark.parametrize("kind", ["parquet", "arrow", "jsonl"])
def test_pictures_as_lists_of_numbers(tmp_path, kind):
    lists = [_PICTURE.tolist()] * 3
    path = tmp_path / f"labels.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps({"image": each, "label": "cat"}) + "\n" for each in lists))
    else:
        write_table(path, {"image": lists, "label": ["cat"] * 3})
    first, last = str(_PICTURE.tolist())[:30], str(_PICTURE.tolist())[-20:]
    wanted = "expected a file name or, in Parquet and Arrow, the bytes of a picture file in a column of type binary"
    assert re.search(rf"line 1: image is {re.escape(first)}.*{re.escape(last)}, {wanted};", told(path))


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_picture_among_names_that_are_bytes(tmp_path, kind):
    path = tmp_path / f"labels.{kind}"
    write_table(path, {"file_name": [b"a.png"] * 20 + [_PNG], "label": ["cat"] * 21})
    assert re.search(
        r"line 21: file_name is b'\\x89PNG.*, expected a file name or,.* bytes .* of type binary", told(path)
    )


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"image": _BASE64, "label": "cat"}], "line 1: image is 'iVBORw0KGgo.*expected a file name or, in Parquet"),
        ([{"image": f"/{'é' * 256}.png", "label": "cat"}], "line 1: image is '/éé.*expected a file name or, in Parq"),
        ([{"image": "abc/" * 1025 + "a.png", "label": "cat"}], "line 1: image is 'abc/.*expected a file name or, in"),
        ([{"image": {"bytes": _BASE64}, "label": "cat"}], "line 1: image is {'bytes': 'iVBORw.*expected a file name"),
        ([{"image": f"data:image/png;base64,{_BASE64}", "label": "cat"}], "line 1: data:image/png.* is a web address"),
        ([{"image": "../abc" * 600, "label": "cat"}], r"line 1: \.\./abc.* leaves the folder of the table"),
        ([{"image": "a\ud800" * 2000, "label": "cat"}], "line 1: image is 'a.*half a character is none"),
        ([{"image": "a.png", "label": _PICTURE.tolist()}], r"line 1: the label is \[\[\[.*expected one text or number"),
        ([{"image": "a.png", "label": "cat", "split": _BASE64}], "line 1: part 'iVBORw0KGgo.*' is unknown"),
        ([{"image": "a.png", "label": each} for each in ("cat", _BASE64)], r"a\.png two labels \(cat, iVBORw0KGgo.*\)"),
        ([{"image": "a" * 200, "label": each} for each in "ab"], r"lines 1 and 2 give a.* two labels \(a, b\)"),
        ([{"image": "a.png", "label": "cat", "p": each} for each in ("b", _BASE64)], r"two groups \(b, iVBORw.*\)"),
    ],
)  # fmt: skip
def test_long_values_are_not_quoted_whole(tmp_path, rows, words):
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert re.search(words, told(path, group_by="p"))


def test_columns_without_names_are_not_quoted_whole(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(f"{_BASE64},cat\n" * 3)
    assert "Its columns: iVBORw0KGgo" in told(path)


def test_names_that_a_disk_takes_are_file_names(lay):
    name = "a" * 251 + ".png"
    where = lay(name) / "labels.csv"
    where.write_text(f"file,label\n  {name} ,cat\n")
    assert read_pictures(where).read(0) == name.encode()


def test_short_texts_are_quoted_as_they_are_and_long_ones_by_both_ends():
    random = np.random.default_rng(0)
    for length in (0, 1, 79, 80):
        text = "".join(map(chr, random.integers(97, 123, length)))
        assert shortened(text) == text
    for length in (81, 200, 100_000):
        text = "".join(map(chr, random.integers(97, 123, length)))
        first, last = shortened(text).split(" ... ")
        assert len(shortened(text)) == 80
        assert text.startswith(first)
        assert text.endswith(last)
    assert shortened("a\nb") == r"a\nb"


def write_table(path: Path, columns: dict[str, object]) -> None:
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table(columns)
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow.parquet").write_table(table, path)
        return
    with arrow.ipc.new_stream(str(path), table.schema) as stream:
        stream.write_table(table)
