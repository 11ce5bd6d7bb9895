"""The report of a check, and the data that is refused: every degenerate case with its reason."""

import io

import numpy as np
import pytest
from PIL import ImageOps

from archive_files import write_zip
from drawn_pictures import encode
from scenes import jpeg, png, scene, write
from whyconv.errors import DataError
from whyconv.images.check import check, require_trainable
from whyconv.images.duplicates import find
from whyconv.images.sources import Pictures, read_pictures
from whyconv.images.survey import survey
from whyconv.inspection import check as look
from whyconv.results import CheckReport

BROKEN = b"\xff\xd8\xff\xe0 a JPEG that ends here"


def report_of(pictures: Pictures, cache):
    looked = survey(pictures, store=cache)
    return check(pictures, looked, find(looked, pictures), seconds=1.5)


def report_on(tmp_path, files, **options):
    pictures = read_pictures(write(tmp_path / "data", files), **options)
    return report_of(pictures, tmp_path / "cache")


def many(name, count, first=0):
    """Files of one class, each another scene."""
    return {f"{name}/{i:02}.png": png(scene(first + i, 48, 40)) for i in range(count)}


def notes(report):
    return {note.key: note for note in report.notes}


def test_counts_sizes_and_formats(tmp_path):
    files = {**many("cat", 12), **many("dog", 14, 50), "dog/big.jpg": jpeg(scene(99, 200, 150))}
    report = report_on(tmp_path, files)
    assert report.num_pictures == 27
    assert [(one.name, one.num_pictures, one.num_different) for one in report.classes] == [
        ("cat", 12, 12),
        ("dog", 15, 15),
    ]
    assert (report.widths.min, report.widths.median, report.widths.max) == (48, 48, 200)
    assert (report.heights.min, report.heights.median, report.heights.max) == (40, 40, 150)
    assert report.formats == {"jpeg": 1, "png": 26}
    assert report.channels == "color"
    assert report.seconds == 1.5
    assert (report.unreadable, report.duplicates, report.leaks, report.conflicts) == ([], [], [], [])
    assert all(note.level == "info" for note in report.notes)
    require_trainable(report)


def test_all_gray_pictures_make_a_gray_network_and_it_is_said(tmp_path):
    gray = {f"{c}/{i}.png": png(scene(i + 50 * (c == "b"), 48, 40).convert("L")) for c in "ab" for i in range(12)}
    report = report_on(tmp_path, gray)
    assert (report.channels, report.num_gray) == ("gray", 24)
    assert notes(report)["pictures_all_gray"].values == {"num": 24}
    assert report_on(tmp_path, many("c", 12)).channels == "color"


def test_unreadable_files_are_named_and_not_counted(tmp_path):
    report = report_on(
        tmp_path, {**many("cat", 12), **many("dog", 12, 50), "cat/bad.jpg": BROKEN, "dog/empty.png": b""}
    )
    assert [one.name for one in report.unreadable] == ["cat/bad.jpg", "dog/empty.png"]
    assert all(one.reason for one in report.unreadable)
    assert [one.num_pictures for one in report.classes] == [12, 12]
    require_trainable(report)


def test_copies_across_the_users_own_parts_are_leaks(tmp_path):
    files = {
        f"{part}/{name}": content
        for part, first in (("train", 0), ("test", 200))
        for c in range(2)
        for name, content in many(f"c{c}", 12, first + 50 * c).items()
    }
    files["test/c0/copy.jpg"] = jpeg(scene(3, 48, 40))
    files["train/c1/twin.jpg"] = jpeg(scene(53, 48, 40))
    report = report_on(tmp_path, files)
    assert len(report.duplicates) == 2
    assert [sorted(group.names) for group in report.leaks] == [["test/c0/copy.jpg", "train/c0/03.png"]]
    assert sorted(report.leaks[0].parts) == ["test", "train"]
    assert report.leaks[0].kind == "near"
    assert report.conflicts == []
    assert report.classes[0].num_by_part == {"train": 12, "test": 13}


def test_mirror_images_across_the_users_own_parts_are_told(tmp_path):
    files = {
        f"{part}/{name}": content
        for part, first in (("train", 0), ("test", 200))
        for c in range(2)
        for name, content in many(f"c{c}", 12, first + 50 * c).items()
    }
    files["train/c1/one side.jpg"] = jpeg(ImageOps.mirror(scene(4, 48, 40)))
    assert "mirrored_across_parts" not in notes(report_on(tmp_path / "inside", files))
    files["test/c0/other side.jpg"] = jpeg(ImageOps.mirror(scene(3, 48, 40)))
    report = report_on(tmp_path / "across", files)
    assert len(report.mirrored) == 2
    values = {"n": 1, "left": "test/c0/other side.jpg", "right": "train/c0/03.png"}
    assert notes(report)["mirrored_across_parts"].values == values


def test_one_picture_under_two_labels_is_a_conflict(tmp_path):
    files = {**many("cat", 12), **many("dog", 12, 50), "dog/copy.png": png(scene(3, 48, 40))}
    report = report_on(tmp_path, files)
    assert len(report.conflicts) == 1
    assert sorted(zip(report.conflicts[0].names, report.conflicts[0].labels, strict=True)) == [
        ("cat/03.png", "cat"),
        ("dog/copy.png", "dog"),
    ]
    assert report.conflicts[0].kind == "exact"
    assert report.leaks == []


def test_imbalance_is_said_from_three_to_one(tmp_path):
    balanced = report_on(tmp_path / "1", {**many("cat", 10), **many("dog", 30, 50)})
    assert "classes_unbalanced" not in notes(balanced)
    report = report_on(tmp_path / "2", {**many("cat", 10), **many("dog", 31, 50)})
    values = notes(report)["classes_unbalanced"].values
    assert values == {"ratio": 3.1, "most": "dog", "num_most": 31, "least": "cat", "num_least": 10}
    assert notes(report)["classes_unbalanced"].level == "warning"


def test_few_pictures_in_a_class_are_said(tmp_path):
    report = report_on(tmp_path, {**many("cat", 9), **many("dog", 10, 50), **many("emu", 1, 90)})
    assert notes(report)["classes_few_pictures"].values == {"num": 1, "classes": "cat", "limit": 10}
    assert notes(report)["classes_one_picture"].values == {"num": 1, "classes": "emu"}
    require_trainable(report)


def test_a_class_of_copies_is_said(tmp_path):
    files = {**many("cat", 12), **{f"dog/{i}.jpg": jpeg(scene(77), 60 + i) for i in range(12)}}
    report = report_on(tmp_path, files)
    assert report.classes[1].num_different == 1
    assert notes(report)["classes_mostly_copies"].values == {"num": 1, "classes": "dog"}


def test_tiny_pictures_are_said_to_be_compared_exactly_only(tmp_path):
    files = {f"{c}/{i}.png": png(scene(i + 50 * (c == "b"), 20, 20)) for c in "ab" for i in range(12)}
    assert notes(report_on(tmp_path, files))["pictures_tiny"].values == {"num": 24, "side": 32}


@pytest.mark.parametrize(("tops", "told"), [((1.0, 1.02), None), ((1.0, 200.0), "0-1: 4, 0-255: 4")])
def test_float_pictures_that_were_read_by_several_rules_are_told(tmp_path, tops, told):
    files = {}
    for seed in range(8):
        gray = np.asarray(scene(seed, 40, 40).convert("L"), np.float32)
        files[f"{'ab'[seed // 4]}/{seed}.tif"] = encode(gray / gray.max() * np.float32(tops[seed % 2]), "TIFF")
    note = notes(report_on(tmp_path, files)).get("whites_differ")
    assert (note and (note.level, note.values)) == (told and ("warning", {"num": 8, "ranges": told}))


def test_a_class_lost_from_one_part_is_said(tmp_path):
    files = {
        f"{part}/{name}": content
        for part, first in (("train", 0), ("test", 200))
        for c in range(3)
        for name, content in many(f"c{c}", 12, first + 50 * c).items()
    }
    files |= {name: BROKEN for name in files if name.startswith("test/c1/")}
    report = report_on(tmp_path, files)
    assert notes(report)["classes_unreadable_in_part"].values == {"part": "test", "num": 1, "classes": "c1"}
    require_trainable(report)


def table_of(count, label):
    """A labels file of ``many``: of one class, or, without a label, of one for every picture."""
    return "".join(["file_name,label\n", *(f"images/{i:02}.png,{label or i}\n" for i in range(count))]).encode()


def npz(count):
    file = io.BytesIO()
    np.savez(file, x=np.random.default_rng(0).integers(0, 256, (count, 8, 8), np.uint8), y=np.arange(count))
    return file.getvalue()


# name -> files, options of the reading, and what the refusal must say.
REFUSED = {
    "only broken files": (
        {"cat/1.jpg": BROKEN, "dog/2.jpg": b"", "dog/3.png": b"text"},
        {},
        r"None of the 3 files .* can be read.*cat/1\.jpg: ",
    ),
    "one class": (many("cat", 12), {}, r"one class, 'cat', with 12 pictures.*at least two"),
    "one class around folders": (
        {
            **{f"pets/{name}": data for name, data in many("cat", 6).items()},
            "pets/dog/1.png": png(scene(70)),
            "LICENSE": b"x",
        },
        {},
        r"one class, 'pets'.* folders in pets \(cat, dog\): if they are the classes, name that folder\.$",
    ),
    "one class beside a table": (
        {**many("images", 12), "train.csv": b"file_name,label\nimages/00.png,cat\nimages/01.png,dog\n"},
        {},
        r"one class, 'images'.*train\.csv has columns of pictures .*\(file_name, label\): .*name that file\.$",
    ),
    "one class beside a table of other columns": (
        {**many("images", 12), "labels.csv": b"image,cat,dog\nimages/00.png,0,1\n"},
        {},
        r"one class, 'images'.*labels\.csv has the columns image, cat, dog: if it says the labels, call the column of ",
    ),
    "one picture a class": (
        {**many("cat", 1), **many("dog", 1, 50)},
        {},
        r"Each of the 2 classes has a single picture.*at least 2",
    ),
    "one class beside a table in an archive": (
        {"set.zip": {**many("images", 12), "train.csv": b"file_name,label\nimages/00.png,cat\nimages/01.png,dog\n"}},
        {},
        r"one class, 'images'.*train\.csv .*: if it says the labels, call it labels\.csv in the archive, or unpack ",
    ),
    "one class in a table": (
        {**many("images", 12), "labels.csv": table_of(12, "cat")},
        {},
        r"one class, 'cat'.* Look at the column of labels: does it say the same of every picture\?$",
    ),
    "one picture a class in a table": (
        {**many("images", 12), "labels.csv": table_of(12, "")},
        {},
        r"a single picture.* Look at the column of labels: does it say another class of every picture\?$",
    ),
    "one picture a class in arrays": (
        {"set.npz": npz(12)},
        {},
        r"a single picture.* Look at the array of labels: does it say another class of every picture\?$",
    ),
    "one class broken": (
        {**many("cat", 12), **many("dog", 12, 50), "emu/1.jpg": BROKEN},
        {},
        r"1 of 3 classes has no picture that can be read: emu\.",
    ),
    "all pictures the same": (
        {f"{c}/{i}.png": png(scene(1)) for c in "ab" for i in range(6)},
        {},
        r"All 12 pictures show the same thing \(a/0\.png\)",
    ),
    "no labels": (
        {"1.png": png(scene(1)), "2.png": png(scene(2))},
        {"require_labels": False},
        r"that can be read has a label\. .*--label-from",
    ),
    "no labels, some broken": (
        {"1.png": png(scene(1)), "2.png": BROKEN},
        {"require_labels": False},
        r"has a label\. The 1 that cannot be read: 2\.png",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trained_is_refused_with_its_reason(tmp_path, name):
    files, options, expected = REFUSED[name]
    packed = files.get("set.zip")
    if packed is not None:
        report = report_of(read_pictures(write_zip(tmp_path / "set.zip", packed)), tmp_path / "cache")
    else:
        report = report_on(tmp_path, files, **options)
    with pytest.raises(DataError, match=expected):
        require_trainable(report)


def test_a_class_without_a_readable_training_picture_is_refused(tmp_path):
    files = {
        f"{part}/{name}": content
        for part, first in (("train", 0), ("test", 200))
        for c in range(3)
        for name, content in many(f"c{c}", 12, first + 50 * c).items()
    }
    files |= {name: BROKEN for name in files if name.startswith("train/c1/")}
    with pytest.raises(DataError, match=r"1 of 3 classes has no readable picture in the training part: c1\."):
        require_trainable(report_on(tmp_path, files))


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    files = {**many("cat", 1), **many("dog", 1, 50), "emu/1.jpg": BROKEN, "fox/1.jpg": BROKEN}
    with pytest.raises(DataError, match=r"2 of 4 classes have no picture that can be read: emu, fox"):
        require_trainable(report_on(tmp_path, files))


def test_no_pictures_are_refused(tmp_path):
    nothing = read_pictures(write(tmp_path / "data", many("cat", 2))).select(np.zeros(0, np.int64))
    report = report_of(nothing, tmp_path / "cache")
    assert report.num_pictures == 0
    with pytest.raises(DataError, match="holds no pictures"):
        require_trainable(report)


def test_an_empty_class_folder_is_no_class(tmp_path):
    (tmp_path / "data" / "zebra").mkdir(parents=True)
    report = report_on(tmp_path, {**many("cat", 12), **many("dog", 12, 50)})
    assert [one.name for one in report.classes] == ["cat", "dog"]
    assert "folders_empty" in notes(report)
    require_trainable(report)


def test_a_thousand_classes_are_counted_and_shown_in_a_screenful(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2000, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "many.npz", x=pixels, y=np.arange(2000) % 1000)
    report = report_of(read_pictures(tmp_path / "many.npz"), tmp_path / "cache")
    assert len(report.classes) == 1000
    assert len(repr(report).splitlines()) < 40
    require_trainable(report)


def test_the_table_names_what_was_found(tmp_path):
    files = {**many("cat", 12), **many("dog", 12, 50), "dog/copy.png": png(scene(3, 48, 40)), "cat/bad.jpg": BROKEN}
    table = {line.split("  ")[1]: line.split()[-1] for line in repr(report_on(tmp_path, files)).splitlines()[1:]}
    assert table["cat"] == "12"
    assert table["dog"] == "13"
    assert table["unreadable"] == "1"
    assert table["groups under two labels"] == "1"
    assert "mirrored pairs" not in table


def test_the_leaks_of_the_flowers_are_the_known_ones(shared_data, tmp_path):
    report = report_of(read_pictures(shared_data("flowers")), tmp_path / "cache")
    assert report.num_pictures == 3670
    assert report.unreadable == []
    # Looked at one by one: the same photo twice, sometimes edited or cropped. One is a rose and a tulip.
    assert 12 <= len(report.duplicates) <= 16
    assert 5 <= len(report.leaks) <= 8
    assert [sorted(group.labels) for group in report.conflicts] == [["roses", "tulips"]]


def test_the_picture_in_both_files_of_the_course_is_found(shared_data, tmp_path):
    report = report_of(read_pictures(shared_data("catvnoncat")), tmp_path / "cache")
    assert report.num_pictures == 259
    assert len(report.leaks) == 1
    assert sorted(report.leaks[0].parts) == ["test", "train"]


def test_a_report_is_the_same_after_its_way_through_json(tmp_path):
    """Sentences in sentences too: how the parts of a split are laid out is one in the sentence of the reading."""
    write(
        tmp_path / "data", {f"{part}/{name}": data for part in ("train", "test") for name, data in many("a", 3).items()}
    )
    write(
        tmp_path / "data",
        {f"{part}/{name}": data for part in ("train", "test") for name, data in many("b", 3, 9).items()},
    )
    report = look(str(tmp_path / "data"), store=str(tmp_path / "store"))
    assert any(hasattr(value, "key") for note in report.notes for value in note.values.values())
    again = CheckReport.model_validate_json(report.model_dump_json())
    assert again == report
    assert repr(again) == repr(report)
