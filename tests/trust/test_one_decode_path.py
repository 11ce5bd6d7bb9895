"""What training sees is what predicting sees, bit for bit, in every kind of file and turned in every way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drawn_pictures import encode, exif_block, photo
from tiny_model import SIDE, expected_probabilities, write_model
from valid_pictures import valid_pictures
from whyconv.images.prepare import PicturePolicy
from whyconv.images.sources import read_pictures
from whyconv.images.store import open_store
from whyconv.recognizer import Answers, Recognizer, open_recognizer


def pictures_in(folder: Path) -> Path:
    """Every kind of file that is read, and all eight ways to turn one, as two classes."""
    files = valid_pictures() | {
        f"{kind} turned {turn}": encode(photo(90, 60), kind, exif=exif_block(turn), **options)
        for turn in range(1, 9)
        for kind, options in (("JPEG", {"quality": 90}), ("PNG", {}), ("WEBP", {"lossless": True}))
    }
    for index, (name, content) in enumerate(sorted(files.items())):
        place = folder / "ab"[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{index:03} {name.replace(':', '-').replace(';', ' ')}").write_bytes(content)
    return folder


def test_training_and_predicting_see_the_same_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pictures_in(tmp_path / "set")
    store = open_store(read_pictures(folder), PicturePolicy(side=SIDE, channels=3), folder=tmp_path / "store")
    assert len(store.pixels) > 80
    assert store.readable.all()
    seen: list[np.ndarray] = []
    run = Recognizer.run

    def watched(self: Recognizer, pixels: np.ndarray) -> Answers:
        seen.append(pixels)
        return run(self, pixels)

    monkeypatch.setattr(Recognizer, "run", watched)
    answers = open_recognizer(write_model(tmp_path / "m.onnx")).predict(folder)
    assert [Path(answer.name).name for answer in answers] == [Path(name).name for name in read_pictures(folder).names]
    assert np.array_equal(np.concatenate(seen), store.pixels)
    found = [
        [{one.label: one.probability for one in answer.labels}[name] for name in ("red", "green", "blue")]
        for answer in answers
    ]
    assert np.abs(np.array(found) - expected_probabilities(store.pixels)).max() < 1e-5
