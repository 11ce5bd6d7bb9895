"""Folders as nobody would want them, and what must become of each."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scenes import png, scene

NUM_GOOD = 12


@dataclass(frozen=True)
class Case:
    """A folder, and how it ends.

    Attributes:
        make: Fills an empty folder.
        refusal: What the one message says, as a regular expression; "" where a training can begin.
        told: What ``check`` must mention besides, as regular expressions.
        num_rows: Rows that ``predict`` gives; None: it says that there is nothing.
        num_bad: Those of them with an error.
    """

    make: Callable[[Path], None]
    refusal: str = ""
    told: tuple[str, ...] = ()
    num_rows: int | None = NUM_GOOD
    num_bad: int = 0


def good(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), num: int = 6) -> Path:
    """Different pictures of every class."""
    for label, name in enumerate(classes):
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        for index in range(num):
            (place / f"{index}.png").write_bytes(png(scene(100 * label + index, 20, 16)))
    return folder


def _links_in_circles(folder: Path) -> None:
    good(folder)
    (folder / "cat" / "up").symlink_to(folder)
    (folder / "dog" / "itself.png").symlink_to("itself.png")
    (folder / "dog" / "one").symlink_to("other")
    (folder / "dog" / "other").symlink_to("one")


def _links_out(folder: Path) -> None:
    good(folder)
    outside = folder.parent / f"{folder.name} outside"
    good(outside, ("emu",), 3)
    (folder / "cat" / "seven.png").symlink_to(outside / "emu" / "0.png")
    (folder / "emu").symlink_to(outside / "emu")
    (folder / "cat" / "gone.png").symlink_to(outside / "gone.png")


def _no_files_at_all(folder: Path) -> None:
    good(folder)
    os.mkfifo(folder / "cat" / "pipe.png")
    os.mkfifo(folder / "labels.csv")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(folder / "dog")  # the name of a socket has room for 108 bytes
        server.bind("socket.png")
        os.chdir(here)
    (folder / "dog" / "to_pipe.png").symlink_to(folder / "cat" / "pipe.png")
    (folder / "dog" / "zeros.png").symlink_to("/dev/zero")
    (folder / "metadata.csv").symlink_to(folder / "labels.csv")
    if os.geteuid() == 0:
        os.mknod(folder / "dog" / "letters.png", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        os.mknod(folder / "dog" / "blocks.png", stat.S_IFBLK | 0o666, os.makedev(7, 99))


ODD_NAMES = (
    *(
        b"\xff\xfe.png",
        b"two\nlines.png",
        b"red \x1b[31mtext\x07.png",
        b"=1+1.png",
        b"-rf.png",
        b" .png",
        b"a,b\";'.png",
    ),
    *("nfc \u00e9.png".encode(), "nfd e\u0301.png".encode(), "\u202etxt.png".encode(), "한글.PNG".encode()),
    *(b"CON.png", b"aux", b"a:b?*<>|.png", b"back\\slash.png", b"trailing. ", b"x" * 251 + b".png", b"%s%n{0}.png"),
)


def _odd_names(folder: Path) -> None:
    good(folder)
    for index, name in enumerate(ODD_NAMES):
        Path(os.fsdecode(os.fsencode(folder / "cat") + b"/" + name)).write_bytes(png(scene(500 + index, 20, 16)))


def _odd_classes(folder: Path) -> None:
    names = (b"d\xf6g", b"\x1b[31mred\x07", b"CON", b"a\nb", b"=cmd()", b"<b>&amp;", b"nul.")
    good(folder, tuple(os.fsdecode(name) for name in names), 3)


def _case_twins(folder: Path) -> None:
    good(folder, ("Cat", "cat", "dog"), 4)


def _two_spellings(folder: Path) -> None:
    good(folder, ("caf\u00e9", "dog"), 6)
    good(folder, ("cafe\u0301",), 1)


def _terabyte(folder: Path) -> None:
    good(folder)
    with (folder / "cat" / "giant.jpg").open("wb") as file:
        file.write(b"\xff\xd8\xff\xe0")
        file.truncate(1 << 40)


def _deep(name: str, depth: int) -> Callable[[Path], None]:
    """A picture below so many folders of that name."""

    def make(folder: Path) -> None:
        good(folder)
        here = os.open(".", os.O_RDONLY)
        os.chdir(folder / "cat")
        for _ in range(depth):  # by steps: the whole name may be longer than a call takes
            Path(name).mkdir()
            os.chdir(name)
        Path("last.png").write_bytes(png(scene(700, 20, 16)))
        os.fchdir(here)
        os.close(here)

    return make


def _empty_class(folder: Path) -> None:
    good(folder)
    (folder / "zebra").mkdir()


def _same(folder: Path) -> None:
    good(folder, num=0)
    for index in range(NUM_GOOD):
        (folder / ("cat", "dog")[index % 2] / f"{index}.png").write_bytes(png(scene(1, 20, 16)))


def _broken(folder: Path) -> None:
    good(folder, num=0)
    for index in range(4):
        (folder / ("cat", "dog")[index % 2] / f"{index}.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more"[: 4 * index])


def _one_class_broken(folder: Path) -> None:
    good(folder)
    (folder / "emu").mkdir()
    (folder / "emu" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")


def _parts(train: tuple[str, ...], test: tuple[str, ...]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        good(folder / "train", train, 4)
        for index, place in enumerate(sorted(good(folder / "test", test, 2).glob("*/*"))):
            place.write_bytes(png(scene(900 + index, 21, 15)))

    return make


CASES = {
    "links in circles": Case(
        _links_in_circles, told=("3 files cannot be read", "dog/itself.png"), num_rows=15, num_bad=3
    ),
    "links out of the folder": Case(_links_out, told=("emu", "file is missing"), num_rows=17, num_bad=1),
    "pipes, sockets, devices": Case(_no_files_at_all, told=("cat/pipe.png",)),
    "odd names of files": Case(_odd_names, num_rows=NUM_GOOD + len(ODD_NAMES)),
    "odd names of classes": Case(_odd_classes, num_rows=21),
    "names in two cases": Case(_case_twins, told=("Cat", "cat")),
    "names in two spellings": Case(_two_spellings, num_rows=13),
    "a file of a terabyte": Case(_terabyte, told=("1,099,511,627,776 bytes; at most",), num_rows=13, num_bad=1),
    "a thousand folders deep": Case(_deep("d", 1_000), num_rows=13),
    "deeper than a name can be": Case(
        _deep("d" * 200, 30), told=("may not be opened, left out: 1",), num_rows=13, num_bad=1
    ),
    "nothing": Case(
        lambda folder: None, r"holds no pictures; found no files\. Looked for class folders", num_rows=None
    ),
    "only folders": Case(lambda folder: _empty_class(folder / "a"), num_rows=NUM_GOOD),
    "an empty class": Case(_empty_class, told=("zebra",)),
    "one class": Case(
        lambda folder: good(folder, ("cat",)) and None, "one class, 'cat', with 6 pictures.*at least two", num_rows=6
    ),
    "one picture a class": Case(
        lambda folder: good(folder, num=1) and None,
        "Each of the 2 classes has a single picture.*at least 2",
        num_rows=2,
    ),
    "all pictures equal": Case(_same, "All 12 pictures show the same thing .*look whether"),
    "only broken files": Case(_broken, "None of the 4 files .*cat/0.jpg: .*Copy or download", num_rows=4, num_bad=4),
    "a class of broken files": Case(
        _one_class_broken, "1 of 3 classes has no picture that can be read: emu", num_rows=13, num_bad=1
    ),
    "a class absent from the test part": Case(
        _parts(("cat", "dog", "emu"), ("cat", "dog")), told=("emu",), num_rows=16
    ),
    "a class absent from the training part": Case(
        _parts(("cat", "dog"), ("cat", "dog", "emu")), told=("emu",), num_rows=14
    ),
    "no training part": Case(
        _parts((), ("cat", "dog")),
        "2 of 2 classes have no readable picture in the training part: cat, dog. Add some",
        num_rows=4,
    ),
}
