"""Which labels of a run are worth a look: judged by what was not learned from them, listed, never changed."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyconv import files
from whyconv.images.split import TRAIN
from whyconv.onnx_file.running import Session, open_session, run_session
from whyconv.planning import Material
from whyconv.predictions import escape_formula
from whyconv.pretrained.learning import Learned
from whyconv.recognizer import Answers
from whyconv.results import Suspect, Suspects
from whyconv.settings import Plan
from whyconv.training.left_out import probabilities_left_out
from whyconv.training.pixel_rows import Pixels, evenly_chosen, some
from whyconv.training.suspects import agreed, doubts

SUSPECTS = "suspects.csv"
_MOST_SHOWN = 24
_BATCH = 32
# Pictures that layers are tried on, and what may be left of rounding, of the largest number.
_NUM_TRIED, _MOST_DIFFERENCE = 3, 1e-3
# Layers whose maps vote, besides what the last layer decides from.
_MOST_LAYERS = 5
# Answering by four views in single precision takes three times as long as learning in half. After so many epochs all
# pictures are judged, for a fifth of the epochs' time; after half as many a quarter of them.
_EPOCHS_FOR_ALL = 15
# However few epochs: 500 pictures of 128 pixels a side, about 2 seconds on two cores.
_LEAST_PIXELS = 500 * 128**2
# Their features take half a gigabyte where layers are 1,280 channels wide, and more when they are turned.
_MOST_PICTURES = 50_000
# Probabilities of theirs, one for each class: 200 MB a table, of which two are held.
_MOST_CELLS = 50_000_000


@dataclass(frozen=True, eq=False)
class Judged:
    """Pictures with probabilities that their own labels did not go into.

    Attributes:
        part: Of the pictures.
        names: Theirs.
        labels: As given (n,).
        probabilities: (n, classes).
    """

    part: str
    names: Sequence[str]
    labels: NDArray[np.int32]
    probabilities: NDArray[np.floating]


def find_suspects(
    folder: Path,
    plan: Plan,
    material: Material,
    answers: Mapping[str, Answers],
    *,
    num_epochs: int,
    learned: Learned | None = None,
) -> Suspects:
    """Judges the labels of a run, and writes ``suspects.csv``.

    Those of validation and test by the network's answers, which it gives without having learned from them; those of
    training by all other training pictures.

    Args:
        folder: The run folder, which has ``why.onnx``.
        plan: Of the run.
        material: Its pictures.
        answers: Of validation and test.
        num_epochs: Of the training: what is judged of it takes little time beside them.
        learned: Where the run started from a frozen network, whose features know no label.
    """
    train, classes = material.train, plan.network.classes
    if learned is not None:
        rows = evenly_chosen(len(train), plan.frozen.looked_at if plan.frozen is not None else 0)
        few = evenly_chosen(len(rows), _most_pictures(len(classes)))
        rows, layers = rows[few], [learned.frozen_features[few]]
    else:
        rows = rows_to_judge(len(train), num_epochs, plan.network.side, len(classes))
        layers = looks_of_layers(folder / "why.onnx", some(train.data, rows).pixels, plan.threads)
    held_out = [part for part in (material.validation, material.test) if len(part)]
    judged = [left_out(material, rows, layers)]
    judged += [Judged(part.name, part.names, part.data.labels, answers[part.name].probabilities) for part in held_out]
    num_pictures = len(train) + sum(len(part) for part in held_out)
    counted, suspects = suspects_among(judged, classes, num_pictures=num_pictures)
    write_suspects(folder / SUSPECTS, suspects)
    return counted


def left_out(material: Material, rows: NDArray[np.int64], layers: Sequence[NDArray[np.float32]]) -> Judged:
    """Training pictures, each judged by all the others: by what layers make of them, one vote a layer.

    A network has seen these labels, and its last layers may know a wrong one by heart; earlier ones do so less. Copies
    of a picture do not speak for it.

    Args:
        material: The pictures.
        rows: Which of the training part (n,).
        layers: For each layer that votes, what it makes of them (n, d).
    """
    train, division = material.train, material.division
    labels, num_classes = train.data.labels[rows], len(division.inspection.pictures.classes)
    copies = division.inspection.duplicates.group[division.indices(TRAIN)[rows]]
    votes = (probabilities_left_out(features, labels, num_classes, copies) for features in layers)
    return Judged(train.name, [train.names[row] for row in rows.tolist()], labels, agreed(votes))


def rows_to_judge(num_train: int, num_epochs: int, side: int, num_classes: int = 2) -> NDArray[np.int64]:
    """Training pictures that are judged, evenly chosen: few where the network has learned little and they are large.

    Args:
        num_train: Pictures there are.
        num_epochs: Of the training.
        side: Of the pictures, in pixels.
        num_classes: Of them.

    Returns:
        Their rows; at least 2 where there are so many, at most 50,000, and fewer of more than 1,000 classes.
    """
    after_so_many = round(min(1.0, num_epochs / _EPOCHS_FOR_ALL) ** 2 * num_train)
    wanted = max(2, _LEAST_PIXELS // side**2, after_so_many)
    return evenly_chosen(num_train, min(wanted, num_train, _most_pictures(num_classes)))


def _most_pictures(num_classes: int) -> int:
    return max(2, min(_MOST_PICTURES, _MOST_CELLS // num_classes))


def looks_of_layers(path: Path, pixels: Pixels, num_threads: int) -> list[NDArray[np.float32]]:
    """What layers make of pictures: the mean over the places of their maps, and what the last one decides from.

    A layer that does not say of a picture among others what it says of it alone is left out.

    Args:
        path: Of a ``why.onnx``.
        pixels: uint8 (n, side, side, c).
        num_threads: Of the network.

    Returns:
        For at most five layers, evenly chosen, and the features: float32 (n, d).
    """
    session = open_session(path.read_bytes(), num_threads, str(path))
    maps = [output.name for output in session.get_outputs() if len(output.shape) == len(("n", "c", "h", "w"))]
    wanted = [maps[place] for place in evenly_chosen(len(maps), min(_MOST_LAYERS, len(maps))).tolist()]
    asked = partial(_asked, session, where=str(path))
    wanted = [*_of_each_alone(asked, wanted, pixels[evenly_chosen(len(pixels), _NUM_TRIED)]), "features"]
    looks: list[list[NDArray[np.float32]]] = [[] for _ in wanted]
    for start in range(0, len(pixels), _BATCH):
        batch = np.ascontiguousarray(pixels[start : start + _BATCH])
        for look, found in zip(looks, asked(wanted, batch), strict=True):
            look.append(_means(found, len(batch)))
    return [np.concatenate(look) for look in looks]


def _asked(
    session: Session, wanted: Sequence[str], pixels: NDArray[np.uint8], *, where: str
) -> list[NDArray[np.float32]]:
    return run_session(session, wanted, {"pixels": pixels}, where) if wanted else []


def _of_each_alone(
    asked: Callable[[Sequence[str], NDArray[np.uint8]], list[NDArray[np.float32]]],
    maps: Sequence[str],
    pixels: NDArray[np.uint8],
) -> list[str]:
    """The maps whose rows are those of a picture alone, view after view; a network of the user's own may have others.

    Such as of patches that it makes of every picture: nobody knows in which order they stand.
    """
    together, alone = asked(maps, pixels), [asked(maps, pixels[row : row + 1]) for row in range(len(pixels))]
    return [name for name, found, *each in zip(maps, together, *alone, strict=True) if _is_made_of(found, each)]


def _is_made_of(found: NDArray[np.float32], each: Sequence[NDArray[np.float32]]) -> bool:
    if any(one.shape != (len(found) / len(each), *found.shape[1:]) for one in each):
        return False
    means, expected = _means(found, len(each)), np.concatenate([_means(one, 1) for one in each])
    return np.allclose(means, expected, rtol=0, atol=_MOST_DIFFERENCE * np.abs(expected).max())


def _means(found: NDArray[np.float32], num_pictures: int) -> NDArray[np.float32]:
    """Over the places of maps (views n, c, h, w), and over the views and windows, which stand one after the other."""
    rows = found.reshape(-1, num_pictures, *found.shape[1:])
    return np.asarray(rows.mean(axis=(0, *range(3, rows.ndim))))


def suspects_among(
    judged: Sequence[Judged], classes: Sequence[str], *, num_pictures: int
) -> tuple[Suspects, list[Suspect]]:
    """Ranks the labels of all parts together.

    Args:
        judged: The parts; each has thresholds of its own, for probabilities come from different sources.
        classes: In the order of the probabilities.
        num_pictures: Labelled pictures there are.

    Returns:
        The counts with the first few, and all that another class beats, the most doubtful first.
    """
    found = sorted((pair for part in judged for pair in _doubted(part, classes)), key=lambda pair: pair[0])
    suspects = [suspect for _, suspect in found]
    counted = Suspects(
        n=sum(len(part.labels) for part in judged),
        num_pictures=num_pictures,
        num_doubted=len(suspects),
        num_sure=sum(suspect.is_sure for suspect in suspects),
        first=suspects[:_MOST_SHOWN],
    )
    return counted, suspects


def _doubted(part: Judged, classes: Sequence[str]) -> list[tuple[float, Suspect]]:
    """How probable the label is, and the suspect, of every picture whose label another class beats."""
    if not len(part.labels):
        return []
    found = doubts(part.probabilities, part.labels)
    return [
        (
            float(found.own[row]),
            Suspect(
                name=part.names[row],
                part=part.part,
                label=classes[part.labels[row]],
                likely=classes[found.likely[row]],
                probability_label=round(float(part.probabilities[row, part.labels[row]]), 6),
                probability_likely=round(float(part.probabilities[row, found.likely[row]]), 6),
                is_sure=bool(found.is_sure[row]),
            ),
        )
        for row in found.ranked().tolist()
    ]


def write_suspects(path: Path, suspects: Sequence[Suspect]) -> None:
    """One row for every picture whose label another class beats, the most doubtful first."""
    with files.writing(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
        table = csv.writer(text)
        table.writerow(["path", "part", "label", "likely", "probability_label", "probability_likely", "sure"])
        for each in suspects:
            words = map(escape_formula, (each.name, each.part, each.label, each.likely))
            numbers = f"{each.probability_label:.6f}", f"{each.probability_likely:.6f}"
            table.writerow([*words, *numbers, str(each.is_sure).lower()])
        text.detach()
