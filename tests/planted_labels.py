"""Labels that are wrong on purpose, and how many of them the list of a run holds."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from whyconv.demo import load_digits

FRACTION = 0.05


@dataclass(frozen=True)
class Found:
    """How the top of a list of suspects fares: as many as there are wrong labels, 5 % of all.

    Attributes:
        recall: Which part of the wrong labels is there, in [0, 1].
        precision: Which part of it is wrong labels, in [0, 1].
    """

    recall: float
    precision: float


def wrong_labels(labels: np.ndarray, seed: int) -> np.ndarray:
    """The labels with 5 % of them, drawn at random, turned into another class, drawn at random."""
    random, num_classes = np.random.default_rng(seed), int(labels.max()) + 1
    rows = random.choice(len(labels), round(FRACTION * len(labels)), replace=False)
    turned = labels.copy()
    turned[rows] = (labels[rows] + random.integers(1, num_classes, len(rows))) % num_classes
    return turned


def write_digits_with_wrong_labels(folder: Path, seed: int) -> set[str]:
    """Writes the digits to class folders; returns the names of those that lie in a wrong one."""
    pixels, labels, is_test = load_digits()
    wrong = set()
    for row, label in enumerate(wrong_labels(labels, seed).tolist()):
        name = f"{'test' if is_test[row] else 'train'}/{label}/{row:04}.png"
        content = io.BytesIO()
        Image.fromarray(pixels[row]).save(content, "png")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.getvalue())
        wrong |= {name} if label != labels[row] else set()
    return wrong


def link_with_wrong_labels(folder: Path, photos: Path, seed: int) -> set[str]:
    """The same with photos in ``PART/CLASS/``, which are linked."""
    paths = sorted(photos.rglob("*.jpg"))
    classes = sorted({path.parent.name for path in paths})
    labels = np.array([classes.index(path.parent.name) for path in paths])
    wrong = set()
    for row, label in enumerate(wrong_labels(labels, seed).tolist()):
        name = f"{paths[row].parts[-3]}/{classes[label]}/{row:04}.jpg"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(paths[row])
        wrong |= {name} if label != labels[row] else set()
    return wrong


def found_in(table: Path, wrong: set[str], num_judged: int) -> Found:
    """Judges the top 5 % of ``suspects.csv``."""
    with table.open(newline="", encoding="utf-8") as file:
        names = [row["path"] for row in csv.DictReader(file)]
    top = names[: round(FRACTION * num_judged)]
    hits = len(wrong.intersection(top))
    return Found(recall=hits / len(wrong), precision=hits / len(top))
