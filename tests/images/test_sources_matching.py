"""Names in labels files and files on the disk: which is which, and what is told where they do not meet."""

import zipfile

import pytest

from whyconv.errors import DataError
from whyconv.images.sources import read_pictures


def write(root, names, name="labels.csv"):
    rows = "".join(f"{each},{('cat', 'dog')[number % 2]}\n" for number, each in enumerate(names))
    (root / name).write_text(f"file_name,label\n{rows}")
    return root


def note(pictures, key):
    (found,) = [each for each in pictures.notes if each.key == key]
    return found


DATED = [f"{year}/{number}.jpg" for year in (2023, 2024) for number in range(10)]


@pytest.mark.parametrize("ending", [".JPG", ".jpg"])
def test_an_ending_in_other_letters_is_the_same_file(lay, ending):
    other = ".jpg" if ending == ".JPG" else ".JPG"
    root = write(
        lay(*(name.replace(".jpg", ending) for name in DATED)), [name.replace(".jpg", other) for name in DATED]
    )
    pictures = read_pictures(root)
    assert pictures.classes == ("cat", "dog")
    assert [pictures.read(row) for row in range(20)] == [name.replace(".jpg", ending).encode() for name in DATED]
    told = note(pictures, "table_endings_respelled")
    assert told.values == {"file": "labels.csv", "num": "20", "written": f"2023/0{other}", "there": f"2023/0{ending}"}


def test_an_ending_that_two_files_could_mean_is_not_chosen(lay):
    root = write(lay("in/a.jpg", "in/a.JPG", "in/b.jpg"), ["in/a.Jpg", "in/b.jpg"])
    if len(list((root / "in").iterdir())) < 3:
        pytest.skip("capital letters are not told apart here")
    pictures = read_pictures(root, layout="table")
    assert note(pictures, "table_files_missing").values["names"] == "in/a.Jpg"


def test_endings_in_archives_follow_the_same_rule(lay):
    root = write(lay(*DATED), [name.upper() for name in DATED])
    with zipfile.ZipFile(root / "all.zip", "w") as archive:
        for name in [*DATED, "labels.csv"]:
            archive.write(root / name, name)
    pictures = read_pictures(root / "all.zip")
    assert pictures.classes == ("cat", "dog")
    assert pictures.read(3) == DATED[3].encode()


def test_whole_paths_are_the_same_files_through_links(lay, tmp_path_factory):
    """Whichever of the two names of the folder the table has, and whichever was asked for."""
    root = lay(*DATED)
    link = tmp_path_factory.mktemp("links") / "set"
    link.symlink_to(root)
    for written in (root, link):
        write(root, [f"{written}/{name}" for name in DATED])
        for asked in (root, link):
            pictures = read_pictures(asked)
            assert list(pictures.names) == DATED
            assert pictures.classes == ("cat", "dog")
            assert "pictures_not_listed" not in [each.key for each in pictures.notes]


def test_links_below_the_folder_keep_their_names(lay, tmp_path_factory):
    away = tmp_path_factory.mktemp("away")
    (away / "0.jpg").write_bytes(b"away")
    root = lay("a/1.jpg")
    (root / "b").symlink_to(away)
    write(root, [f"{root}/a/1.jpg", f"{root}/b/0.jpg"])
    assert list(read_pictures(root).names) == ["a/1.jpg", "b/0.jpg"]


@pytest.mark.parametrize("num", [0, 1, 9, 10, 20])
def test_a_labels_file_of_less_than_half_is_told_with_the_cause(lay, num):
    root = write(lay(*DATED), DATED[:num] or ["lost/1.jpg", "lost/2.jpg"])
    pictures = read_pictures(root)
    if num >= 10:
        assert pictures.classes == ("cat", "dog")
        return
    assert pictures.classes == ("2023", "2024")
    told = note(pictures, "labels_file_short" if num else "labels_file_unmatched")
    assert (told.level, told.values["file"], told.values["folders"]) == ("warning", "labels.csv", "2023, 2024")
    assert told.values["name"] == (DATED[num] if num else "lost/1.jpg")
    if num:
        assert (told.values["num"], told.values["num_pictures"]) == (str(num), "20")


def test_one_folder_is_no_classes_and_the_labels_file_is_read(lay):
    names = [f"img/{number}.jpg" for number in range(20)]
    root = write(lay(*names), names[:9])
    pictures = read_pictures(root)
    assert (pictures.classes, len(pictures)) == (("cat", "dog"), 9)
    assert note(pictures, "pictures_not_listed").values["num"] == "11"
    with pytest.raises(DataError, match=r"None of the 2 files named in labels\.csv is there, for example "):
        read_pictures(write(root, ["photos/1.jpg", "photos/2.jpg"]))


def advice(root, name):
    with pytest.raises(DataError, match="None of the") as caught:
        read_pictures(root / name)
    return str(caught.value).partition("the folder of the table. ")[2]


def test_the_folder_that_has_the_pictures_is_proposed(lay):
    """Numbers count from 0 in every part: the first name is there in each of them."""
    root = lay(*(f"test/{number}.jpg" for number in range(5)), *(f"train/{number}.jpg" for number in range(12)))
    write(root, [f"{number}.jpg" for number in range(12)], "train.csv")
    assert advice(root, "train.csv") == "There is train/0.jpg: move the table into train."
    write(root, [f"{number}.jpg" for number in range(5)], "test.csv")
    assert advice(root, "test.csv") == "There is test/0.jpg: move the table into test."
    write(root, [f"{number}.jpg" for number in range(5)], "test_labels.csv")
    assert advice(root, "test_labels.csv") == "There is test/0.jpg: move the table into test."
    write(root, [f"{number}.jpg" for number in range(5)], "sample.csv")
    told = advice(root, "sample.csv")
    assert told == "They are in each of test/, train/: move the table into the folder that it says the labels of."


def test_names_that_are_spread_over_folders_move_no_table(lay):
    root = write(lay(*(f"{folder}/{folder}{number}.jpg" for folder in "ab" for number in range(5))), [])
    write(root, [f"{folder}{number}.jpg" for folder in "ab" for number in range(5)])
    assert advice(root, "labels.csv") == (
        "Of 10 names looked for, there are 5 in a/, 5 in b/: write the names with their folders."
    )
    write(root, ["lost/a0.jpg", "lost/b0.jpg"])
    assert advice(root, "labels.csv") == ""


def test_advice_holds_where_it_is_followed(lay):
    root = write(lay(*(f"in/{number}.jpg" for number in range(700))), [f"{number}.jpg" for number in range(700)])
    assert advice(root, "labels.csv") == "There is in/0.jpg: move the table into in."
    (root / "labels.csv").rename(root / "in" / "labels.csv")
    assert read_pictures(root / "in" / "labels.csv").classes == ("cat", "dog")
