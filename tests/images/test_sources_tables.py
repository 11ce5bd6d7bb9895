"""Labels files: CSV and JSON Lines, with the mistakes people make in them."""

import json

import pytest

from listed_pictures import described
from whyconv.errors import DataError, PictureError, UsageError
from whyconv.images.sources import read_pictures
from whyconv.results import Note


def write(root, text, name="labels.csv", encoding="utf-8"):
    (root / name).write_bytes(text.encode(encoding))
    return root / name


def keys(pictures):
    return [note.key for note in pictures.notes]


TWO = {"a.jpg": ("cat", ""), "b.jpg": ("dog", "")}


@pytest.mark.parametrize(
    "text",
    [
        "file_name,label\na.jpg,cat\nb.jpg,dog\n",
        "\ufefffile_name,label\r\na.jpg,cat\r\n\r\nb.jpg,dog",
        "label;image\ncat;a.jpg\ndog;b.jpg\n",
        "Image Path\tClass-Name\na.jpg\tcat\nb.jpg\tdog",
        'path,target,comment\n"a.jpg"," cat ","x, ""y""\nz"\nb.jpg,dog,\n',
        "img,y\n./a.jpg,cat\nb.jpg,dog",
        " filename , category \na.jpg,cat\nb.jpg,dog",
        "sep=;\r\nfile_name;label,kind;label\r\na.jpg;1,2;cat\r\nb.jpg;3,4;dog\r\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_csv_as_people_write_it(lay, text, encoding):
    root = lay("a.jpg", "b.jpg")
    where = write(root, text.removeprefix("\ufeff") if encoding == "utf-16" else text, encoding=encoding)
    assert described(read_pictures(where)) == TWO
    pictures = read_pictures(root)
    assert described(pictures) == TWO
    assert pictures.layout == Note(key="layout_table", values={"files": "labels.csv"})
    assert pictures.skipped == ()
    assert pictures.read(1) == b"b.jpg"


def test_json_lines(lay):
    root = lay("a.jpg", "b.jpg")
    rows = [
        {"file_name": "a.jpg", "label": 1},
        {"extra": [1], "file_name": "b.jpg", "label": 10.0},
        {"file_name": "c.jpg", "label": 2},
    ]
    where = write(root, "\n".join(map(json.dumps, rows)) + "\n\n", "metadata.jsonl")
    assert described(read_pictures(where)) == {"a.jpg": ("1", ""), "b.jpg": ("10", ""), "c.jpg": ("2", "")}
    assert read_pictures(root).classes == ("1", "2", "10")


def test_parts_in_a_column(lay):
    where = write(lay("a.jpg", "b.jpg", "c.jpg"), "file,label,Split\na.jpg,cat,Train\nb.jpg,dog,train\nc.jpg,cat,DEV\n")
    assert described(read_pictures(where)) == {
        "a.jpg": ("cat", "train"),
        "b.jpg": ("dog", "train"),
        "c.jpg": ("cat", "validation"),
    }


def test_a_labels_file_in_every_part_folder(lay):
    root = lay("train/1.jpg", "train/2.jpg", "test/1.jpg")
    write(root, "file_name,label\n1.jpg,cat\n2.jpg,dog\n", "train/metadata.csv")
    write(root, "file_name,label\n1.jpg,dog\n", "test/metadata.csv")
    pictures = read_pictures(root)
    assert described(pictures) == {
        "test/1.jpg": ("dog", "test"),
        "train/1.jpg": ("cat", "train"),
        "train/2.jpg": ("dog", "train"),
    }
    assert {pictures.read(row) for row in range(3)} == {b"train/1.jpg", b"train/2.jpg", b"test/1.jpg"}


def test_files_that_are_missing_stay_and_say_so(lay):
    pictures = read_pictures(write(lay("a.jpg"), "file,label\na.jpg,cat\nb.jpg,dog\nc.jpg,dog\n"))
    (note,) = [note for note in pictures.notes if note.key == "table_files_missing"]
    assert (note.level, note.values) == ("warning", {"num": "2", "num_rows": "3", "names": "b.jpg, c.jpg"})
    assert len(pictures) == 3
    with pytest.raises(PictureError, match=r"^file is missing$"):
        pictures.read(1)


def test_a_name_longer_than_the_disk_takes_is_that_of_a_missing_file(lay):
    name = "가" * 100  # of 300 bytes
    root = lay("images/a.jpg", "b.jpg")
    (note,) = [
        note
        for note in read_pictures(write(root, f"file,label\nb.jpg,cat\n{name}.jpg,dog\n")).notes
        if note.key == "table_files_missing"
    ]
    assert note.values["names"] == f"{name}.jpg"
    for path in (f"{name}.jpg", f"{name}/a.jpg"):
        with pytest.raises(DataError, match=r"None of the 1 files named in labels.csv is there"):
            read_pictures(write(root, f"file,label\n{path},cat\n"))


def test_if_all_files_are_missing_the_place_looked_in_is_named(lay):
    root = lay("images/a.jpg")
    with pytest.raises(DataError, match=r"None of the 1 files named in labels.csv is there, for example .*b\.jpg"):
        read_pictures(write(root, "file,label\nb.jpg,cat\n"))
    with pytest.raises(DataError, match=r"There is a\.jpg: write the names with their endings"):
        read_pictures(write(root, "id,file,label\n1,images/a,cat\n"))
    with pytest.raises(DataError, match=r"There is images/a\.jpg: move the table into images"):
        read_pictures(write(root, "file,label\na.jpg,cat\n"))


def test_every_mistake_of_a_file_is_named_at_once(lay):
    text = """file,label,split
a.jpg,cat,train
../b.jpg,cat,train
https://example.org/c.jpg,cat,train
,cat,train
d.jpg,cat,tarin
e.jpg,cat,big,train
a.jpg,dog,train
f.jpg,cat
images/../../g.jpg,cat,train
/../../h.jpg,cat,test
"""
    with pytest.raises(DataError) as caught:
        read_pictures(write(lay("a.jpg"), text))
    told = str(caught.value)
    for part in (
        "labels.csv: 8 mistakes: ",
        "line 3: ../b.jpg leaves the folder",
        "line 4: https://example.org/c.jpg is a web address",
        "line 5: file is empty",
        "line 6: part 'tarin' is unknown",
        "line 7 has 4 fields where the first line has 3; put a text with a comma",
        "lines 2 and 8 give a.jpg two labels (cat, dog)",
        "line 9 has 2 fields",
        "line 10: images/../../g.jpg leaves",
    ):
        assert part in told


def test_only_the_first_mistakes_are_spelled_out(lay):
    text = "file,label\n" + "".join(f"../{i}.jpg,cat\n" for i in range(500))
    with pytest.raises(DataError, match=r"500 mistakes \(the first 10\): line 2: ../0.jpg") as caught:
        read_pictures(write(lay("a.jpg"), text))
    assert str(caught.value).count("leaves") == 10


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        (("P0", "P5"), "lines 2 and 4 give a.jpg two groups (P0, P5)"),
        (("P0", ""), "lines 2 and 4 give a.jpg two groups (P0, none)"),
        (("", "P5"), "lines 2 and 4 give a.jpg two groups (none, P5)"),
        (("P0", " P0"), None),
        (("", ""), None),
    ],
)
def test_a_picture_in_two_groups_is_a_mistake(lay, groups, told):
    text = f"file,label,patient\na.jpg,cat,{groups[0]}\nb.jpg,dog,P5\na.jpg,cat,{groups[1]}\n"
    where = write(lay("a.jpg", "b.jpg"), text)
    assert "table_rows_repeated" in keys(read_pictures(where))
    if told is None:
        assert "table_rows_repeated" in keys(read_pictures(where, group_by="patient"))
        return
    with pytest.raises(DataError) as caught:
        read_pictures(where, group_by="patient")
    assert str(caught.value) == f"labels.csv: 1 mistake: {told}."


def test_repeated_rows_and_empty_labels_are_told(lay):
    pictures = read_pictures(write(lay("a.jpg", "b.jpg"), "file,label\na.jpg,cat\n./a.jpg,cat\nb.jpg,\n"))
    assert described(pictures) == {"a.jpg": ("cat", ""), "b.jpg": (None, "")}
    assert {"table_rows_repeated", "table_labels_empty"} <= set(keys(pictures))
    with pytest.raises(DataError, match="none of the 2 pictures has a label"):
        read_pictures(write(lay(), "file,label\na.jpg,\nb.jpg, \n"))


def test_absolute_paths_are_taken_as_they_are(lay, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "o.jpg"
    outside.write_bytes(b"outside")
    root = lay("in/a.jpg")
    pictures = read_pictures(write(root, f"file,label\n{root}/in/a.jpg,cat\n{outside},dog\n"))
    assert list(pictures.names) == ["in/a.jpg", str(outside)]
    assert [pictures.read(0), pictures.read(1)] == [b"in/a.jpg", b"outside"]


def test_names_written_on_windows_or_macos_find_their_files(lay):
    root = lay("in/a.jpg", "caf\u00e9.jpg", "cafe\u0301 2.jpg")
    pictures = read_pictures(write(root, "file,label\nin\\a.jpg,x\ncafe\u0301.jpg,y\ncaf\u00e9 2.jpg,z\n"))
    assert {pictures.read(row).decode() for row in range(3)} == {"in/a.jpg", "caf\u00e9.jpg", "cafe\u0301 2.jpg"}
    with pytest.raises(DataError, match="leaves the folder"):
        read_pictures(write(root, "file,label\n..\\a.jpg,x\n"))


@pytest.mark.parametrize(
    ("text", "told"),
    [("a.jpg,cat\nb.jpg,dog\n", r"no column of file names .* and no column of labels .*Its columns: a\.jpg, cat"),
     ("file,kind\na.jpg,cat\n", r"no column of labels \(looked for label, .*Its columns: file, kind"),
     ("", "has no columns"), ("file,label\n", "holds no rows"),
     ('file,label\n"a.jpg,cat\n', "is not a table of comma-separated values")],
)  # fmt: skip
def test_tables_that_cannot_be_understood(lay, text, told):
    with pytest.raises(DataError, match=told):
        read_pictures(write(lay("a.jpg"), text))


def test_other_encodings_are_named_not_guessed(lay):
    with pytest.raises(DataError, match=r"labels.csv is not UTF-8 \(line 2, byte 0xb0\).*CSV UTF-8"):
        read_pictures(write(lay("a.jpg"), "file,label\na.jpg,\uac15\uc544\uc9c0\n", encoding="cp949"))


def test_broken_json_lines_are_named(lay):
    where = write(
        lay("a.jpg"),
        '{"file": "a.jpg", "label": "cat"}\n{"file": \n[1]\n{"file": "b.jpg", "label": ["x"]}\n'
        '{"file": 7, "label": 1}\n',
        "l.jsonl",
    )
    with pytest.raises(
        DataError,
        match=r"4 mistakes: line 4: the label is \['x'\].*line 5: file is 7.*line 2 is not JSON.*line 3 is not an",
    ):
        read_pictures(where)


def test_several_columns_that_would_do_are_told(lay):
    pictures = read_pictures(write(lay("a.jpg", "b.jpg"), "path,file_name,class,label\nx,a.jpg,0,cat\ny,b.jpg,1,dog\n"))
    assert described(pictures) == TWO
    (note,) = [note for note in pictures.notes if note.key == "table_columns_passed_over"]
    assert (note.level, note.values["others"]) == ("warning", "path, class")


def test_a_column_to_group_by_does_not_count_as_an_expression_on_names_in_folders(lay):
    """Class folders beside the table are another reading, in which no name holds "person"."""
    where = lay("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg")
    rows = "file_name,label,person\ncat/1.jpg,cat,ann\ncat/2.jpg,cat,ben\ndog/1.jpg,dog,ann\ndog/2.jpg,dog,cy\n"
    (where / "labels.csv").write_text(rows, encoding="utf-8")
    assert read_pictures(where, group_by="person").groups.tolist() == [0, 1, 0, 2]


def test_what_stays_together_has_one_spelling(lay):
    rows = "a.jpg,x,Zo\u00eb\nb.jpg,y,Zoe\u0308\nc.jpg,y,Zoe\n"
    where = write(lay("a.jpg", "b.jpg", "c.jpg"), f"file,label,person\n{rows}")
    assert read_pictures(where, group_by="person").groups.tolist() == [0, 0, 1]


def test_group_by_a_column_or_an_expression(lay):
    where = write(lay("a1.jpg", "b1.jpg", "a2.jpg"), "file,label,person\na1.jpg,x,7\nb1.jpg,y,\na2.jpg,y,7\n")
    assert read_pictures(where, group_by="person").groups.tolist() == [0, 1, 0]
    assert read_pictures(where, group_by="([0-9])").groups.tolist() == [0, 0, 1]
    with pytest.raises(
        UsageError, match=r"'persona' marks nothing.*no column of the table either. Its columns: file, label, person"
    ):
        read_pictures(where, group_by="persona")


def test_labels_from_names_where_the_table_has_none(lay):
    where = write(lay("cat_1.jpg", "dog_1.jpg"), "file,split\ncat_1.jpg,train\ndog_1.jpg,test\n")
    assert described(read_pictures(where, label_from="([a-z]+)_"))["cat_1.jpg"] == ("cat", "train")
    assert len(read_pictures(where, require_labels=False)) == 2


def test_labels_file_and_class_folders_that_disagree_are_both_told(lay):
    root = lay("x/a.jpg", "y/b.jpg")
    write(root, "file_name,label\nx/a.jpg,cat\ny/b.jpg,dog\n", "metadata.csv")
    pictures = read_pictures(root)
    assert pictures.classes == ("cat", "dog")
    note = pictures.notes[1]
    assert (note.key, note.level, note.values["taken"], note.values["other"]) == (
        "two_readings",
        "warning",
        "table",
        "folders",
    )
    assert read_pictures(root, layout="folders").classes == ("x", "y")
    assert "two_readings" not in keys(read_pictures(root, layout="table"))


def test_labels_file_and_class_folders_that_agree_need_no_warning(lay):
    root = lay("cat/a.jpg", "dog/b.jpg")
    write(root, "file_name,label\ncat/a.jpg,cat\ndog/b.jpg,dog\n", "metadata.csv")
    assert keys(read_pictures(root))[:2] == ["read_as_table", "table_columns_no_part"]


def test_labels_file_of_few_pictures_gives_way_to_class_folders(lay):
    root = lay("x/a.jpg", "y/b.jpg", "y/c.jpg")
    write(root, "file_name,label\nx/a.jpg,cat\n", "metadata.csv")
    pictures = read_pictures(root)
    assert pictures.classes == ("x", "y")
    told = pictures.notes[1]
    assert (told.key, told.level, told.values["name"]) == ("labels_file_short", "warning", "y/b.jpg")
    assert (told.values["num"], told.values["num_pictures"], told.values["classes"]) == ("1", "3", "cat")
    forced = read_pictures(root, layout="table")
    assert forced.skipped == ("y/b.jpg", "y/c.jpg")
    assert "pictures_not_listed" in keys(forced)


def test_metadata_without_labels_is_no_labels_file(lay):
    root = lay("x/a.jpg", "y/b.jpg")
    write(root, "file_name,text\nx/a.jpg,a cat\n", "metadata.csv")
    assert keys(read_pictures(root))[:2] == ["read_as_folders", "skipped"]
    with pytest.raises(DataError, match=r"cannot be read with --layout table\. It can be read as: folders"):
        read_pictures(root, layout="table")


def test_two_labels_files_or_an_odd_name_are_asked_about(lay):
    root = lay("a.jpg", "b.jpg")
    write(root, "file,label\na.jpg,cat\nb.jpg,dog\n", "index.csv")
    with pytest.raises(DataError, match=r"If index.csv says the labels, name that file"):
        read_pictures(root)
    with pytest.raises(DataError, match=r"train/, val/ hold pictures directly.*If index.csv says the labels"):
        read_pictures(write(lay("k/train/a.jpg", "k/val/b.jpg"), "file,label\na.jpg,cat\n", "k/index.csv").parent)
    for name in ("labels.csv", "metadata.csv"):
        write(root, "file,label\na.jpg,cat\nb.jpg,dog\n", name)
    with pytest.raises(DataError, match=r"Two files say the labels: labels.csv, metadata.csv"):
        read_pictures(root)
    with pytest.raises(UsageError, match="cannot be read with --layout folders"):
        read_pictures(root / "labels.csv", layout="folders")
