"""The nearest training pictures are those of the smallest angle; where they cannot be had, the reason is said."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tiny_model import SIDE, write_model
from whyconv.errors import ModelFileError, UsageError
from whyconv.evidence import explain, open_explainer
from whyconv.recognizer import open_recognizer
from whyconv.report.evidence import render_evidence
from whyconv.results.evidence import Evidence
from whyconv.show.evidence import evidence_lines

RANDOM = np.random.default_rng(4)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "colors-1"
    write_model(folder / "model.onnx")
    thumbnails = RANDOM.integers(0, 256, (30, SIDE, SIDE, 3), np.uint8)
    np.save(folder / "features.npy", thumbnails.mean(axis=(1, 2), dtype=np.float32) / 255)
    np.save(folder / "thumbnails.npy", thumbnails)
    rows = ({"path": f"train/{row}.png", "part": "train", "label": "=red"} for row in range(30))
    (folder / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def ask(run: Path, **options: int) -> Evidence:
    return explain(run, np.full((SIDE, SIDE, 3), (200, 40, 90), np.uint8), **options)


def test_they_are_those_of_the_smallest_angle_and_come_with_their_names(run: Path) -> None:
    found = ask(run, num_nearest=5)
    features = np.load(run / "features.npy").astype(np.float64)
    query = np.array([200, 40, 90]) / 255
    angles = 1 - features @ query / np.linalg.norm(features, axis=1) / np.linalg.norm(query)
    order = np.argsort(angles)[:5]
    assert [one.path for one in found.nearest] == [f"train/{row}.png" for row in order]
    assert [one.distance for one in found.nearest] == pytest.approx(angles[order], abs=1e-6)
    assert {(one.label, one.part) for one in found.nearest} == {("=red", "train")}
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(found.nearest[0].png))))
    np.testing.assert_array_equal(picture, np.load(run / "thumbnails.npy")[order[0]])
    assert (found.num_known, found.why_no_nearest) == (30, "")


def test_a_run_from_before_labels_were_kept_has_pictures_without_them(run: Path) -> None:
    (run / "examples.jsonl").unlink()
    assert {(one.label, one.path, one.part) for one in ask(run).nearest} == {(None, None, "train")}


def test_names_of_other_rows_are_not_used(run: Path) -> None:
    rows = (run / "examples.jsonl").read_text().splitlines()
    for damaged in (rows[:-1], [*rows[:-1], "{"], [*rows[:-1], "[]"], [*rows[:-1], '{"path": "x"}']):
        (run / "examples.jsonl").write_text("\n".join(damaged))
        assert {one.label for one in ask(run).nearest} == {None}


def test_where_there_are_none_the_reason_is_told(run: Path) -> None:
    assert ask(run / "model.onnx").why_no_nearest == "no_run"
    np.save(run / "features.npy", np.zeros((30, 4), np.float32))
    assert ask(run).why_no_nearest == "unlike"
    np.save(run / "features.npy", np.zeros((29, 3), np.float32))
    assert ask(run).why_no_nearest == "no_files"
    (run / "features.npy").write_bytes(b"\x93NUMPY")
    assert ask(run).why_no_nearest == "no_files"
    (run / "features.npy").unlink()
    found = ask(run)
    assert (found.nearest, found.why_no_nearest) == ([], "no_files")


def test_a_run_folder_that_is_not_there_is_refused(run: Path) -> None:
    for model in (run / "model.onnx", open_recognizer(run)):
        with pytest.raises(ModelFileError, match="run is nope, where there is no folder"):
            open_explainer(model, "nope")


def test_none_are_asked_for_or_fewer_than_none(run: Path) -> None:
    found = ask(run, num_nearest=0)
    assert (found.nearest, found.num_known, found.why_no_nearest) == ([], 30, "")
    assert not found.tells_nearest
    lone = ask(run / "model.onnx", num_nearest=0)
    assert (lone.why_no_nearest, lone.tells_nearest) == ("", False)
    for each in (found, lone):
        assert not re.search("earest|most alike", "\n".join(evidence_lines(each)))
        assert 'id="nearest"' not in render_evidence(each)
    assert "most alike" in "\n".join(evidence_lines(ask(run, num_nearest=1)))
    assert 'id="nearest"' in render_evidence(ask(run, num_nearest=1))
    with pytest.raises(UsageError, match="num_nearest is -1"):
        ask(run, num_nearest=-1)


def test_features_of_zeros_are_near_to_nothing(run: Path) -> None:
    np.save(run / "features.npy", np.zeros((30, 3), np.float32))
    assert {one.distance for one in ask(run).nearest} == {1.0}
