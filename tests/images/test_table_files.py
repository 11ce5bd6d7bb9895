"""Tables that are damaged or made to harm are refused in words, with the line."""

import json

import pytest

from whyconv.errors import DataError
from whyconv.images.sources import read_pictures
from whyconv.images.sources.listing import printable


def lay(root, *lines):
    for name in ("a.jpg", "b.jpg"):
        (root / name).write_bytes(b"x")
    (root / "labels.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return root / "labels.jsonl"


FIRST = json.dumps({"file_name": "a.jpg", "label": "cat"})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (r'{"file_name": "b.jpg", "label": "\ud800"}', r"line 2: the label is '\\ud800', which holds half a character"),
        (r'{"file_name": "b\ud800.jpg", "label": "dog"}', r"line 2: file_name is 'b\\ud800.jpg', expected a file name"),
        ('{"file_name": "b.jpg", "label": ' + "1" * 5_000 + "}", "line 2 holds a number of too many digits"),
        ("[1", "line 2 is not JSON"),
    ],
)
def test_lines_that_cannot_be_meant_are_told(tmp_path, line, said):
    with pytest.raises(DataError, match=said):
        read_pictures(lay(tmp_path, FIRST, line))


def test_a_column_called_by_half_a_character_can_be_told(tmp_path):
    with pytest.raises(DataError, match=r"Its columns: \\ud800\."):
        read_pictures(lay(tmp_path, r'{"\ud800": 1}'))
    assert printable("a\ud800b\udcff") == "a\\ud800b\\udcff"
    assert printable("b\udcff") == "b\\xff"


def test_a_label_of_thousands_of_digits_is_a_text_as_any_other(tmp_path):
    pictures = read_pictures(lay(tmp_path, FIRST, json.dumps({"file_name": "b.jpg", "label": "1" * 5_000})))
    assert pictures.classes == ("1" * 5_000, "cat")


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("blank", ["\n", "\r\n", "  \n\n", "{0}{0}\n", "\nsep={0}\r\n", "SEP={0}\n", '"sep={0}"\n'])
def test_blank_lines_before_the_names_of_columns_are_passed_over(tmp_path, mark, blank):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"x")
    text = f"{blank.format(mark)}file_name{mark}label\na.jpg{mark}cat\nb.jpg{mark}dog\n"
    (tmp_path / "labels.csv").write_bytes(text.encode())
    pictures = read_pictures(tmp_path)
    assert pictures.notes[0].key == "read_as_table"
    assert [pictures.classes[label] for label in pictures.labels] == ["cat", "dog"]


def test_lines_are_counted_from_the_first_that_says_what_stands_between_columns(tmp_path):
    (tmp_path / "labels.csv").write_text("sep=;\nfile_name;label\na.jpg;cat;x\n")
    with pytest.raises(DataError, match="line 3 has 3 fields"):
        read_pictures(tmp_path / "labels.csv")


@pytest.mark.parametrize(
    ("text", "told"),
    [("id,label\na,cat\n", r"no column of file names \(looked for .*Its columns: id, label\."),
     ("# by hand\nfile,label\na.jpg,cat\n", r"no column of file names .* no column of labels .*columns: # by hand\."),
     ("file_name,cat,dog\na.jpg,1,0\n", r"no column of labels \(looked for .*Its columns: file_name, cat, dog\.")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["labels.csv", "train/metadata.csv"])
def test_a_labels_file_that_is_not_understood_is_named_where_nothing_else_says_classes(tmp_path, text, told, name):
    table = tmp_path / name
    table.parent.mkdir(exist_ok=True)
    table.write_text(text)
    with pytest.raises(DataError, match=rf"holds no pictures; .* {name} has {told}"):
        read_pictures(tmp_path)
    for picture in ("a.jpg", "b.jpg"):
        (table.parent / picture).write_bytes(b"x")
    for layout in ("auto", "table"):
        with pytest.raises(DataError, match=rf" {name} has {told}"):
            read_pictures(tmp_path, layout=layout)


@pytest.mark.parametrize("indent", [None, 1])
def test_one_list_in_place_of_an_object_a_line_is_told(tmp_path, indent):
    path = tmp_path / "metadata.jsonl"
    path.write_text(json.dumps([{"file_name": "a.jpg", "label": "cat"}] * 2, indent=indent))
    with pytest.raises(DataError, match=r"metadata\.jsonl holds a JSON list\. Expected one object a line") as caught:
        read_pictures(path)
    assert "file_name,label" not in str(caught.value)


def test_json_lines_without_one_object_are_told_with_the_first_mistake(tmp_path):
    path = tmp_path / "metadata.jsonl"
    for text, told in (
        ("\n7\n", r': line 2 is not an object; expected {"file_name"'),
        ("a.jpg cat\n", ": line 1 is not JSON; expected one object a line"),
        ("\n", r' has no columns\. Expected one object a line, such as {"file_name"'),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=rf"^metadata\.jsonl{told}"):
            read_pictures(path)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_line_of_what_is_not_utf8_is_right_however_far_down(tmp_path, end, mark):
    rows = "".join(f"{number}.jpg,cat{end}" for number in range(3000))
    text = f"{mark}file_name,label{end}{rows}".encode() + f"x.jpg,caf\u00e9{end}y.jpg,caf\u00e9{end}".encode("cp1252")
    (tmp_path / "labels.csv").write_bytes(text)
    with pytest.raises(DataError, match=r"labels\.csv is not UTF-8 \(line 3002, byte 0xe9\)\. Save"):
        read_pictures(tmp_path / "labels.csv")


def test_what_is_not_utf16_is_not_called_utf8(tmp_path):
    text = "file_name,label\na.jpg,cat\n".encode("utf-16") + b"\x00\xdc"
    (tmp_path / "labels.csv").write_bytes(text)
    with pytest.raises(DataError, match=r"labels\.csv begins as UTF-16 and is not \(byte 0x00\)"):
        read_pictures(tmp_path / "labels.csv")


@pytest.mark.parametrize(
    ("rows", "line"),
    [('a.jpg,"cat\nb.jpg,"dog\n', 2), ('a.jpg,cat\n\nb.jpg,"do"g\n', 4), ('a.jpg,"c\nat"\nb.jpg,"dog\nc.jpg,x\n', 4)],
)
def test_a_quote_that_is_not_closed_is_told_with_the_line_it_is_in(tmp_path, rows, line):
    (tmp_path / "labels.csv").write_text(f"file_name,label\n{rows}")
    with pytest.raises(DataError, match=rf"labels\.csv is not a table of comma-separated values: line {line}: "):
        read_pictures(tmp_path / "labels.csv")


def test_a_path_written_as_an_address_of_this_disk_is_told_how_to_write(tmp_path):
    path = lay(tmp_path, FIRST, json.dumps({"file_name": f"file://{tmp_path}/b.jpg", "label": "dog"}))
    with pytest.raises(DataError, match=r"line 2: file:///.*b\.jpg: write the path without file://\.$"):
        read_pictures(path)
