"""Sets of pictures as the tools read them: made once in a folder of their own, the same files for each tool.

SET/files/train/CLASS/..., SET/files/test/CLASS/...   pictures as files
SET/arrays.npz                                        the same as arrays, where the set came as arrays
SET/side-K/train_x.npy, train_y.npy, test_x.npy       copies for training at K pixels, see ``resized``
SET/set.json                                          classes, sizes, where from; written last
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from racing.raw_cifar import CLASSES, read_cifar
from whyconv.images.sources import PART_NAMES, read_pictures

TEST_FRACTION = 0.2
_TUNING_SEED = 12345
_MARGIN = 1 / 8  # of the side, kept around copies of photos so that crops can be drawn from them


@dataclass(frozen=True)
class PictureSet:
    """A set that is ready.

    Attributes:
        folder: Where it lies.
        name: As in the table.
        classes: In the order of their numbers.
        is_photos: Whether sides differ, so that a training side has to be chosen.
    """

    folder: Path
    name: str
    classes: tuple[str, ...]
    is_photos: bool

    @property
    def files(self) -> Path:
        """The folder with ``train`` and ``test``."""
        return self.folder / "files"

    @property
    def for_whyconv(self) -> Path:
        """What ``whyconv train`` is given."""
        arrays = self.folder / "arrays.npz"
        return arrays if arrays.exists() else self.files

    def listing(self, part: str) -> list[tuple[str, int]]:
        """Returns (``CLASS/file``, number of the class) of a part, in one order for all tools."""
        return [
            (f"{name}/{path.name}", number)
            for number, name in enumerate(self.classes)
            for path in sorted((self.files / part / name).iterdir())
        ]


def ready(place: Path, name: str, seed: int, raw: Path | None) -> PictureSet:
    """Returns a set, made from ``raw`` where it is not there yet.

    Args:
        place: Folder of all sets.
        name: ``cifar10``, or any name for class folders; ``-tune`` behind it: the training part alone, a fifth of
            it as the test part, for choosing settings.
        seed: Of the split, where the set has no test part of its own.
        raw: The unpacked package of CIFAR-10, or the class folders, with or without ``train`` and ``test``.

    Raises:
        FileNotFoundError: The set is not there and neither is ``raw``.
    """
    for folder in (place / name, place / f"{name}-{seed}"):
        if (folder / "set.json").exists():
            return _open(folder, name)
    if raw is None and not name.endswith("-tune"):
        raise FileNotFoundError(f"The set {name} is not in {place}. Say where it comes from: --data {name}:FOLDER.")
    if name.endswith("-tune"):
        whole = ready(place, name.removesuffix("-tune"), _TUNING_SEED, raw)
        raw = whole.files / "train"
    assert raw is not None
    making = place / f"making-{name}"
    shutil.rmtree(making, ignore_errors=True)
    has_own_split = _make(making, name, raw, _TUNING_SEED if name.endswith("-tune") else seed)
    folder = place / (name if has_own_split or name.endswith("-tune") else f"{name}-{seed}")
    making.rename(folder)
    return _open(folder, name)


def _open(folder: Path, name: str) -> PictureSet:
    told = json.loads((folder / "set.json").read_text())
    return PictureSet(folder, name, tuple(told["classes"]), told["is_photos"])


def _make(folder: Path, name: str, raw: Path, seed: int) -> bool:
    """Writes a set; returns whether it came with a test part."""
    if name == "cifar10":
        _make_cifar(folder, raw)
        has_own_split = True
    else:
        has_own_split = _make_folders(folder, raw, seed)
    counts = {part: sum(1 for _ in (folder / "files" / part).rglob("*.*")) for part in ("train", "test")}
    classes = sorted(path.name for path in (folder / "files" / "train").iterdir())
    sizes = {_size(path) for path in sorted((folder / "files" / "test").rglob("*.*"))[:200]}
    told = {"name": name, "classes": classes, "is_photos": len(sizes) > 1 or max(sizes.pop()) > 64, **counts}
    (folder / "set.json").write_text(json.dumps({**told, "split_seed": None if has_own_split else seed}, indent=1))
    return has_own_split


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def _make_cifar(folder: Path, package: Path) -> None:
    arrays = read_cifar(package)
    for part in ("train", "test"):
        for name in CLASSES:
            (folder / "files" / part / name).mkdir(parents=True)

        def write(row: int, part: str = part) -> None:
            name = CLASSES[arrays[f"y_{part}"][row]]
            Image.fromarray(arrays[f"x_{part}"][row]).save(folder / "files" / part / name / f"{row:05}.png")

        _in_threads(write, range(len(arrays[f"y_{part}"])))
    np.savez(folder / "arrays.npz", classes=np.array(CLASSES), **arrays)


def _make_folders(folder: Path, raw: Path, seed: int) -> bool:
    """Links the readable pictures of class folders into parts; of three parts, validation goes with training."""
    pictures = read_pictures(raw)
    parts = [PART_NAMES[part] for part in pictures.parts.tolist()]
    has_own_split = "test" in parts
    is_test = [part == "test" for part in parts] if has_own_split else _stratified(pictures.labels, seed)

    def place(row: int) -> None:
        source, label = raw / pictures.names[row], pictures.labels[row]
        if label >= 0 and _is_readable(source):
            target = folder / "files" / ("test" if is_test[row] else "train") / pictures.classes[label]
            target.mkdir(parents=True, exist_ok=True)
            # The number keeps files of one name from different folders apart.
            _link(source, target / f"{row:06}-{source.name}")

    _in_threads(place, range(len(pictures)))
    return has_own_split


def _is_readable(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            picture.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def _stratified(labels: np.ndarray, seed: int) -> list[bool]:
    """Draws a fifth of each class, at least one picture."""
    draw = np.random.default_rng(seed)
    is_test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = draw.permutation(np.flatnonzero(labels == label))
        is_test[rows[: max(1, round(TEST_FRACTION * len(rows)))]] = True
    return is_test.tolist()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def resized(pictures: PictureSet, side: int) -> Path:
    """Returns the folder with ready-made copies for training at ``side`` pixels, which is not timed.

    Photos are resized so that the shorter side is ``side`` and a margin of an eighth for crops, and their middle is
    kept; small pictures stay as they are.
    """
    folder = pictures.folder / f"side-{side}"
    if folder.exists():
        return folder
    making = pictures.folder / f"making-{side}"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    stored = side + round(side * _MARGIN) if pictures.is_photos else side
    for part in ("train", "test"):
        listed = pictures.listing(part)
        files = [pictures.files / part / name for name, _ in listed]
        x = np.lib.format.open_memmap(making / f"{part}_x.npy", "w+", np.uint8, (len(files), stored, stored, 3))

        def write(row: int, x: np.ndarray = x, files: list[Path] = files) -> None:
            with Image.open(files[row]) as picture:
                upright = ImageOps.exif_transpose(picture).convert("RGB")
                x[row] = np.asarray(ImageOps.fit(upright, (stored, stored), Image.Resampling.BICUBIC))

        _in_threads(write, range(len(files)))
        x.flush()
        np.save(making / f"{part}_y.npy", np.array([label for _, label in listed], np.int64))
        (making / f"{part}_names.txt").write_text("".join(f"{name}\n" for name, _ in listed), encoding="utf-8")
    making.rename(folder)
    return folder


def _in_threads(work: Callable[[int], None], rows: Iterable[int]) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(work, rows):
            pass
