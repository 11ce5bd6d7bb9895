"""What a file promises follows from independent pictures: of copies, and of those that stay together, from one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from novelty_pictures import pictures
from tiny_model import write_model
from whyconv.finishing import Known, _promise
from whyconv.model_file import Metadata, with_digest
from whyconv.promises import Examples, ValidationAnswers, add_promises
from whyconv.recognizer import Answers, open_recognizer
from whyconv.training.pictures import Part
from whyconv.training.pixel_rows import LabelledPixels, PixelRows
from whyconv.training.run_folder import MODEL, NETWORK, write_json


def promised(folder: Path, groups: np.ndarray) -> Metadata:
    """What the tiny model promises of 40 validation pictures that are in these groups."""
    folder.mkdir()
    asked, train = pictures(40, 1), pictures(100, 0)
    assert asked.logits is not None
    write_model(folder / MODEL)
    before = open_recognizer(folder / MODEL).metadata
    write_json(folder / NETWORK, with_digest(before.model_dump(mode="json")))
    names = [str(row) for row in range(40)]
    part = Part("validation", names, LabelledPixels(asked.pixels, asked.labels), groups)
    logits = (asked.logits * before.temperature).astype(np.float32)
    answers = Answers(np.zeros((40, 3), np.float32), asked.features)
    examples = Examples(np.arange(100), np.asarray(train.pixels[:]), train.labels, train.features)
    _promise(folder, before, part, logits, Known(answers, examples))
    return open_recognizer(folder / MODEL).metadata


def test_sets_and_unsure_follow_from_one_picture_of_each_group(tmp_path: Path) -> None:
    alone = promised(tmp_path / "alone", np.arange(40))
    assert alone.sets is not None
    assert alone.unsure is not None
    assert (len(alone.sets.truths), alone.unsure.n) == (40, 40)
    pairs = promised(tmp_path / "pairs", np.arange(40) // 2)
    assert pairs.sets is not None
    assert pairs.unsure is not None
    assert (len(pairs.sets.truths), pairs.unsure.n) == (20, 20)
    assert set(pairs.sets.truths) <= set(alone.sets.truths)


def test_two_groups_of_many_pictures_promise_next_to_nothing(tmp_path: Path) -> None:
    found = promised(tmp_path / "two", np.arange(40) // 20)
    assert found.unsure is None
    assert found.sets is not None
    assert len(found.sets.truths) == 2


def test_validation_pictures_are_read_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_model(tmp_path / "model.onnx")
    metadata, asked, train = open_recognizer(path).metadata, pictures(300, 1), pictures(100, 0)
    assert asked.logits is not None
    read: list[int] = []
    plain = PixelRows.__getitem__

    def counting(self: PixelRows, index: slice) -> np.ndarray:
        found = plain(self, index)
        read.append(len(found))
        return found

    monkeypatch.setattr(PixelRows, "__getitem__", counting)
    rows = PixelRows(np.asarray(asked.pixels[:]), np.arange(300))
    answers = ValidationAnswers(rows, asked.labels, asked.logits.astype(np.float32), asked.features)
    examples = Examples(np.arange(100), np.asarray(train.pixels[:]), train.labels, train.features)
    add_promises(path, metadata, answers, examples)
    assert read
    assert max(read) <= 64
