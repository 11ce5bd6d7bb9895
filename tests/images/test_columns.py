"""Labels by their columns: numbers of named classes, bytes, and texts that are none."""

import json

import numpy as np
import pytest

from shard_files import picture, write_tar
from whyconv.errors import DataError
from whyconv.images.shards import open_shards
from whyconv.images.sources import pictures_from_arrays, read_pictures
from whyconv.images.sources.columns import class_text, label_text
from whyconv.images.sources.samples import label_in
from whyconv.texts import say

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
ipc = pytest.importorskip("pyarrow.ipc")

NAMES = ["cat", "dog"]


def write(path, columns, names=None):
    """Writes a table in Parquet or, by its ending, Arrow; with class names beside the column of labels."""
    table = pyarrow.table(columns)
    if names:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    if path.suffix == ".arrow":
        with ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    else:
        parquet.write_table(table, path)
    return path


def spoken(pictures):
    return [pictures.classes[label] if label >= 0 else None for label in pictures.labels.tolist()]


def shots(n):
    return [{"bytes": picture(number), "path": None} for number in range(n)]


def test_a_number_of_a_class_is_its_name_and_minus_one_is_none():
    assert [class_text(value, NAMES) for value in (1, 0, 1.0, -1, -1.0, None, float("nan"), "owl")] == [
        *("dog", "cat", "dog"), *[None] * 4, "owl"]  # fmt: skip
    assert [class_text(value, []) for value in (7, -1)] == ["7", "-1"]
    for value in (2, -2, 7.0):
        with pytest.raises(ValueError, match=rf"^label {value:g}, but 2 classes are named \(0 to 1\)$"):
            class_text(value, NAMES)


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_numbers_without_a_class_are_told_with_their_row(tmp_path, ending):
    where = write(tmp_path / f"set.{ending}", {"image": shots(4), "label": [0, -1, 1, None]}, NAMES)
    assert spoken(read_pictures(where)) == ["cat", None, "dog", None]
    write(where, {"image": shots(3), "label": [0, 7, 1]}, NAMES)
    with pytest.raises(DataError, match=r"1 mistake: line 2: label 7, but 2 classes are named \(0 to 1\)"):
        read_pictures(where)


def test_shards_have_the_same_rule(tmp_path):
    write(tmp_path / "a-0.parquet", {"image": shots(4), "label": [0, -1, 1, 0]}, NAMES)
    shards = open_shards(f"{tmp_path}/a-*.parquet", folder=tmp_path / "cache")
    assert shards.classes == ("cat", "dog")
    assert shards.labels(0).tolist() == [0, -1, 1, 0]
    write(tmp_path / "b-0.parquet", {"image": shots(2), "label": [0, 7]}, NAMES)
    with pytest.raises(DataError, match="row 2 of row group 1: label 7, but 2 classes are named"):
        open_shards(f"{tmp_path}/b-*.parquet", folder=tmp_path / "cache")


# What the same labels are in arrays; a text is what it says.
MINUS_ONES = [
    ([-1, 0, 1, 0], [None, "0", "1", "0"]),
    ([-1.0, 0.0, 1.0, None], [None, "0", "1", None]),
    ([-1, 1, 1, -1], ["-1", "1", "1", "-1"]),
    ([-2, -1, 0, 1], ["-2", "-1", "0", "1"]),
    (["-1", "0", "1", "0"], ["-1", "0", "1", "0"]),
]


@pytest.mark.parametrize("ending", ["parquet", "arrow", "jsonl"])
@pytest.mark.parametrize(("labels", "expected"), MINUS_ONES)
def test_minus_one_beside_classes_from_0_up_is_no_label_as_in_arrays(tmp_path, ending, labels, expected):
    where = tmp_path / f"set.{ending}"
    if ending == "jsonl":
        rows = [{"file_name": f"{row}.png", "label": label} for row, label in enumerate(labels)]
        where.write_text("\n".join(map(json.dumps, rows)))
        for row in range(len(labels)):
            (tmp_path / f"{row}.png").write_bytes(picture(row))
    else:
        write(where, {"image": shots(len(labels)), "label": labels})
    pictures = read_pictures(where)
    assert spoken(pictures) == expected
    num = sum(label == -1 for label in labels) if expected[0] is None else 0
    told = [note for note in pictures.notes if note.key == "labels_minus_one"]
    assert [(note.values["num"], note.level) for note in told] == [(str(num), "warning")] * bool(num)
    if None not in labels and ending != "jsonl":
        arrays = pictures_from_arrays(np.zeros((len(labels), 4, 4), np.uint8), np.array(labels))
        assert spoken(arrays) == spoken(pictures)


@pytest.mark.parametrize("ending", ["parquet", "arrow", "jsonl"])
@pytest.mark.parametrize("wrong", [float("inf"), float("-inf")])
def test_an_infinite_number_is_no_label_as_in_arrays(tmp_path, ending, wrong):
    where = tmp_path / f"set.{ending}"
    labels = [0.0, 1.0, wrong, 1.0]
    if ending == "jsonl":
        rows = [{"file_name": f"{row}.png", "label": label} for row, label in enumerate(labels)]
        where.write_text("\n".join(map(json.dumps, rows)))
    else:
        write(where, {"image": shots(4), "label": labels})
    with pytest.raises(DataError, match=rf"line 3: the label is {wrong}, expected a text or a finite number"):
        read_pictures(where)
    with pytest.raises(ValueError, match=f"the label is {wrong}"):
        label_in("json", 20, lambda: json.dumps({"label": wrong}).encode())


def spelled_csv(root, labels, name="set.csv"):
    rows = [f"{row}.png,{'' if label is None else label}" for row, label in enumerate(labels)]
    (root / name).write_text("\n".join(["file_name,label", *rows]))
    for row in range(len(labels)):
        (root / f"{row}.png").write_bytes(picture(row))
    return root / name


@pytest.mark.parametrize("name", ["set.csv", "set.tsv"])
@pytest.mark.parametrize("labels", [labels for labels, _ in MINUS_ONES[:4]] + [[-1, 0, 2, None], [0, -1, -1, -1]])
def test_numbers_in_text_files_say_what_a_column_of_numbers_says(tmp_path, name, labels):
    """Nothing but numbers in a file of texts is a column of numbers."""
    pictures = read_pictures(spelled_csv(tmp_path, labels, name))
    # Where a number is missing, pandas writes all of them as 0.0, 1.0.
    whole = write(tmp_path / "set.parquet", {"image": shots(4), "label": labels})
    assert [each and each.removesuffix(".0") for each in spoken(pictures)] == spoken(read_pictures(whole))
    is_none = -1 in labels and spoken(pictures)[labels.index(-1)] is None
    told = [(note.values["array"], note.values["num"]) for note in pictures.notes if note.key == "labels_minus_one"]
    assert told == [(name, str(labels.count(-1)))] * is_none
    # Said of those that are empty alone.
    empty = [note.values["num"] for note in pictures.notes if note.key == "table_labels_empty"]
    assert empty == [str(labels.count(None))] * (None in labels)


@pytest.mark.parametrize("labels", [["-1", "0", "cat", "1"], ["-1", "0.5", "0", "1"], ["-1", "0", "-2", "1"]])
def test_minus_one_among_other_texts_is_a_class(tmp_path, labels):
    pictures = read_pictures(spelled_csv(tmp_path, labels))
    assert (spoken(pictures), [note for note in pictures.notes if note.key == "labels_minus_one"]) == (labels, [])


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_class_that_is_called_minus_one_is_a_class(tmp_path, ending):
    """As the feelings of texts are named: negative, neither, positive."""
    where = write(tmp_path / f"set.{ending}", {"image": shots(4), "label": [0, 1, 2, -1]}, ["-1", "0", "1"])
    assert spoken(read_pictures(where)) == ["-1", "0", "1", None]


def test_minus_one_means_the_same_in_every_part_of_tables(tmp_path):
    write(tmp_path / "train-0.parquet", {"image": shots(3), "label": [0, 1, 2]})
    write(tmp_path / "test-0.parquet", {"image": shots(3), "label": [-1, 1, 2]})
    pictures = read_pictures(tmp_path)
    assert spoken(pictures) == [None, "1", "2", "0", "1", "2"]
    assert pictures.classes == ("0", "1", "2")


@pytest.mark.parametrize(("labels", "expected"), MINUS_ONES)
def test_shards_say_the_same_of_minus_one(tmp_path, labels, expected):
    write(tmp_path / "a-0.parquet", {"image": shots(2), "label": labels[:2]})
    write(tmp_path / "a-1.parquet", {"image": shots(2), "label": labels[2:]})
    for _ in range(2):  # the second time from the cache
        shards = open_shards(f"{tmp_path}/a-*.parquet", folder=tmp_path / "cache")
        found = [label for shard in (0, 1) for label in shards.labels(shard).tolist()]
        assert [shards.classes[label] if label >= 0 else None for label in found] == expected
        told = [note.values["num"] for note in shards.notes if note.key == "labels_minus_one"]
        assert told == ["1"] * (expected[0] is None)


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
@pytest.mark.parametrize("image", ["image", "photo"])
def test_labels_that_are_bytes_are_read_as_text(tmp_path, ending, image):
    columns = {image: [picture(number) for number in range(3)], "label": [b"cat", " 개 ".encode(), b""]}
    pictures = read_pictures(write(tmp_path / f"set.{ending}", columns))
    assert spoken(pictures) == ["cat", "개", None]
    assert pictures.read(1) == picture(1)
    structs = {"image": shots(2), "label": pyarrow.array([b"cat", b"dog"], pyarrow.large_binary())}
    assert spoken(read_pictures(write(tmp_path / f"structs.{ending}", structs))) == ["cat", "dog"]


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_names_of_files_go_with_labels_that_are_bytes(tmp_path, ending):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(picture(1))
    where = write(tmp_path / f"set.{ending}", {"file_name": ["a.png", "b.png"], "label": [b"cat", b"dog"]})
    pictures = read_pictures(where)
    assert list(pictures.names) == ["a.png", "b.png"]
    assert spoken(pictures) == ["cat", "dog"]


def test_bytes_are_a_label_as_their_text_is():
    assert [label_text(value) for value in (b" cat\n", b"", b"\xff")] == ["cat", None, "\\xff"]


def test_half_a_character_is_no_label():
    with pytest.raises(ValueError, match=r"the label is 'a\\ud800', which holds half a character"):
        label_text("a\ud800")


# The sentence that names the columns, by those that there are.
COLUMNS = ("table_columns", "table_columns_no_part", "table_columns_no_label", "table_columns_pictures")


def taken(tmp_path, text):
    """The column of labels, that of parts, and warnings with what they name."""
    (tmp_path / "any.csv").write_text(text)
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        (tmp_path / name).write_bytes(b"")
    notes = {note.key: note for note in read_pictures(tmp_path / "any.csv").notes}
    warned = {key: note.values for key, note in notes.items() if key.startswith("table_") and note.level == "warning"}
    (values,) = (note.values for key, note in notes.items() if key in COLUMNS)
    return values["label"], values["part"], warned


@pytest.mark.parametrize(
    ("columns", "english", "korean"),
    [
        ("file,label,split", "pictures from column file, labels from column label, parts from column split.",
         "이미지는 file 열, 라벨은 label 열, 분할은 split 열에서 읽었습니다."),
        ("file,label", "pictures from column file, labels from column label.",
         "이미지는 file 열, 라벨은 label 열에서 읽었습니다."),
        ("file,split", "pictures from column file, parts from column split.",
         "이미지는 file 열, 분할은 split 열에서 읽었습니다."),
        ("file", "pictures from column file.", "이미지는 file 열에서 읽었습니다."),
    ],
)  # fmt: skip
def test_columns_are_named_that_there_are(tmp_path, columns, english, korean):
    cells = {"file": "a.jpg", "label": "cat", "split": "train"}
    (tmp_path / "any.csv").write_text(f"{columns}\n{','.join(cells[name] for name in columns.split(','))}\n")
    (tmp_path / "a.jpg").write_bytes(b"")
    notes = read_pictures(tmp_path / "any.csv", require_labels=False).notes
    (note,) = [note for note in notes if note.key in COLUMNS]
    assert say(note.key, "en", **note.values) == f"any.csv: {english}"
    assert say(note.key, "ko", **note.values) == f"any.csv: {korean}"


@pytest.mark.parametrize("beside", ["x", "w", "h", "width", "Height"])
def test_y_beside_a_place_is_no_label(tmp_path, beside):
    with pytest.raises(DataError, match=r"no column of labels .*Its columns: filename, .*, species"):
        taken(tmp_path, f"filename,{beside},y,species\na.jpg,1,2,cat\nb.jpg,2,3,dog\n")
    label, _, warned = taken(tmp_path, f"filename,{beside},y,class\na.jpg,1,2,cat\nb.jpg,2,3,dog\n")
    assert (label, warned) == ("class", {})
    assert taken(tmp_path, "filename,y\na.jpg,cat\nb.jpg,dog\n")[0] == "y"


@pytest.mark.parametrize("name", ["set", "data set", "Data-Set", "dataset"])
def test_a_set_that_is_a_part_is_one(tmp_path, name):
    rows = ["a.jpg,x,train", "b.jpg,y,train", "c.jpg,x,Val", "d.jpg,y,"]
    assert taken(tmp_path, "\n".join([f"file_name,label,{name}", *rows]))[1:] == (name, {})
    _, part, warned = taken(tmp_path, "\n".join([f"file_name,label,{name}", *rows[:2], "c.jpg,x,tets"]))
    assert (part, warned["table_column_of_parts"]["columns"]) == ("", name)
    assert taken(tmp_path, f"file_name,label,{name}\na.jpg,x,spring\nb.jpg,y,train\n")[1:] == ("", {})
    label, part, warned = taken(tmp_path, "\n".join([f"file_name,label,split,{name}", "a.jpg,x,test,train"]))
    assert (label, part, warned) == ("label", "split", {})


def test_a_column_of_parts_that_is_not_taken_is_told(tmp_path):
    rows = "a.jpg,x,train,val,\nb.jpg,y,test,val,1\n"
    _, part, warned = taken(tmp_path, f"file_name,label,phase,step,n\n{rows}")
    assert (part, warned) == ("", {"table_column_of_parts": {"file": "any.csv", "columns": "phase"}})
    assert taken(tmp_path, "file_name,label\na.jpg,train\nb.jpg,test\n")[1:] == ("", {})


def test_looking_at_rows_counts_no_mistake_twice(tmp_path):
    with pytest.raises(DataError, match=r"any\.csv: 1 mistake: line 3 has 2 fields"):
        taken(tmp_path, "file_name,label,set\na.jpg,x,train\nb.jpg,y\nc.jpg,y,test\n")


def test_the_second_column_of_one_name_is_told(tmp_path):
    label, _, warned = taken(tmp_path, "file_name,label,label\na.jpg,all,cat\nb.jpg,all,dog\n")
    assert label == "label"
    assert warned["table_columns_passed_over"]["others"] == "label"


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_sets_in_parquet_and_arrow_follow_the_same_rule(tmp_path, ending):
    columns = {
        "image": shots(4),
        "label": list("xyxy"),
        "data_set": ["train", "train", "test", None],
        "n": [1, 2, 3, 4],
    }
    pictures = read_pictures(write(tmp_path / f"any.{ending}", columns))
    assert pictures.parts.tolist() == [1, 1, 3, 0]


def told(where, key):
    return [
        note.values["classes"] for note in read_pictures(where).notes if note.key == key and note.level == "warning"
    ]


@pytest.mark.parametrize("text", ["NaN", "nan", "NA", "N/A", "null", "None", "<NA>"])
def test_labels_that_are_written_as_none_are_told_and_kept(tmp_path, text):
    where = tmp_path / "any.csv"
    where.write_text(f"file_name,label\na.jpg,cat\nb.jpg,{text}\n")
    (tmp_path / "a.jpg").write_bytes(b"")
    assert set(read_pictures(where).classes) == {"cat", text}
    assert told(where, "classes_called_none") == [text]
    where.write_text("file_name,label\na.jpg,cat\nb.jpg,nana\n")
    assert told(where, "classes_called_none") == []


def test_samples_follow_the_same_rule(tmp_path):
    where = write_tar(tmp_path / "s.tar", [("0", picture(0), "cat"), ("1", picture(1), "None")])
    assert told(where, "classes_called_none") == ["None"]


def test_one_number_in_several_ways_is_told(tmp_path):
    where = tmp_path / "any.csv"
    labels = ["1", "1.0", "01", "10", "0.5", "0", "00", "-1", "1.0.0", "v1", "v1.0", "9" * 5_000]
    where.write_text("\n".join(["file_name,label", *(f"{row}.jpg,{label}" for row, label in enumerate(labels))]))
    (tmp_path / "0.jpg").write_bytes(b"")
    assert sorted(sorted(each.split(", ")) for each in told(where, "classes_one_number")) == [
        ["0", "00"], ["01", "1", "1.0"]]  # fmt: skip
