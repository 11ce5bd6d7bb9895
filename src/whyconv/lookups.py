"""What of a run can be looked up: the maps of its layers, every answer, and pictures that answers can be likened to."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from whyconv import files
from whyconv.export import describe_layers, export_maps
from whyconv.images.prepare import PicturePolicy, fit
from whyconv.planning import Material
from whyconv.predictions import escape_formula
from whyconv.promises import Examples
from whyconv.recognizer import Answers
from whyconv.training.pictures import Part
from whyconv.training.run_folder import MODEL, write_json

_THUMBNAIL_SIDE = 32


def write_lookups(
    folder: Path, material: Material, classes: Sequence[str], answers: Mapping[str, Answers], examples: Examples
) -> None:
    """Writes ``why.onnx``, ``layers.json``, ``predictions.csv``, and the examples with their names.

    Args:
        folder: The run folder, which has the exported file.
        material: The pictures.
        classes: In the order of the probabilities.
        answers: Of validation and test.
        examples: Of the training part.
    """
    export_maps(folder / "why.onnx", folder / MODEL)
    write_json(folder / "layers.json", describe_layers(folder / MODEL))
    _write_predictions(folder / "predictions.csv", material, classes, answers)
    _write_examples(folder, examples, material.policy)
    _write_names(folder / "examples.jsonl", material.train, examples, classes)


def _write_predictions(path: Path, material: Material, classes: Sequence[str], answers: Mapping[str, Answers]) -> None:
    """One row for every validation and test picture, by the answers of each part."""
    with files.writing(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
        table = csv.writer(text)
        table.writerow(["path", "part", "truth", "label", "probability"])
        for part in (material.validation, material.test):
            for name, label, row in zip(part.names, part.data.labels, answers[part.name].probabilities, strict=True):
                words = (name, part.name, classes[label], classes[row.argmax()])
                table.writerow([*(escape_formula(word) for word in words), f"{row.max():.6f}"])
        text.detach()


def _write_examples(folder: Path, examples: Examples, policy: PicturePolicy) -> None:
    """Features and thumbnails of training pictures."""
    side = min(_THUMBNAIL_SIDE, examples.pixels.shape[1])
    small = PicturePolicy(side=side, channels=policy.channels, fit="stretch")
    thumbnails = np.stack([fit(picture, small) for picture in examples.pixels])
    for name, array in (("features.npy", examples.features), ("thumbnails.npy", thumbnails)):
        with files.writing(folder / name) as file:
            np.save(file, array, allow_pickle=False)


def _write_names(path: Path, train: Part, examples: Examples, classes: Sequence[str]) -> None:
    """One line for each example, in the order of the arrays: where it came from, its part and its label."""
    pairs = zip(examples.rows, examples.labels, strict=True)
    named = ({"path": train.names[row], "part": train.name, "label": classes[label]} for row, label in pairs)
    files.write_text(path, "".join(json.dumps(each) + "\n" for each in named))
