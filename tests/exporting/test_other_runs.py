"""Runs that are not one network looking at a whole picture: through windows, or from an ONNX file of the user's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from evidence_files import export_random
from tiny_backbone import SIDE, write_backbone
from tiny_training import bars, write_bars
from whyconv import anatomy, workflow
from whyconv.errors import UsageError
from whyconv.evidence.field import field_graph, seen_pixels
from whyconv.exporting import export_run, open_torch
from whyconv.exporting.any_size import take_any_size
from whyconv.images.prepare import PicturePolicy
from whyconv.model_file import with_digest
from whyconv.nets import Swift, Windowed
from whyconv.onnx_file.reading import read_file_graph
from whyconv.recognizer import open_recognizer
from whyconv.show.export import export_lines

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("windowed")
    words = {"network": "swift", "epochs": 1, "threads": 1, "flips": "on", "search": "off", "invariant": "realistic"}
    made = workflow.train(
        str(write_bars(place / "bars", 60, side=12)),
        only_model=True,
        out=str(place / "runs"),
        store=str(place / "store"),
        **words,
    )
    return Path(made.run)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("started")
    words = {"start": str(write_backbone(place / "tiny.onnx")), "threads": 1}
    made = workflow.train(
        str(write_bars(place / "bars", 60, side=SIDE)),
        only_model=True,
        out=str(place / "runs"),
        store=str(place / "store"),
        **words,
    )
    return Path(made.run)


def test_what_looks_through_windows_opens_in_torch_and_answers_the_same(windowed: Path, tmp_path: Path) -> None:
    report = export_run(windowed, to="torch", out=tmp_path / "folder")
    assert report.parity.n == report.parity.num_same_answer > 0
    pixels = bars(20, seed=3, side=12).pixels
    expected = open_recognizer(windowed).run(pixels).probabilities
    for folder in (tmp_path / "folder", windowed):
        module = open_torch(folder)
        assert isinstance(module.network, Windowed)
        assert module.network.network.blocks[0].smooth is not None
        with torch.inference_mode():
            found = module(torch.from_numpy(pixels))[0].numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_looks_through_windows_is_exported(windowed: Path, tmp_path: Path) -> None:
    report = export_run(windowed, out=tmp_path / "m.onnx", any_size=True)
    assert report.against == "torch"
    assert report.parity.n == report.parity.num_same_answer > 0
    pixels = bars(20, seed=3, side=12).pixels
    session = onnxruntime.InferenceSession((tmp_path / "m.onnx").read_bytes(), providers=["CPUExecutionProvider"])
    found = session.run(["probabilities"], {"pixels": pixels})[0]
    np.testing.assert_allclose(found, open_recognizer(windowed).run(pixels).probabilities, atol=1e-5)


def test_what_started_from_ones_own_file_is_proved_against_the_run_s(started: Path, tmp_path: Path) -> None:
    report = export_run(started, out=tmp_path / "m.onnx")
    num_test = json.loads((started / "summary.json").read_text())["test"]["n"]
    assert (report.against, report.pictures) == ("model.onnx", "test")
    assert report.parity.n == report.parity.num_same_answer == num_test > 0
    assert "torch has no such network" in " ".join(" ".join(export_lines(report, "en")).split())
    pixels = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)
    expected, found = (open_recognizer(path).run(pixels).probabilities for path in (started, tmp_path / "m.onnx"))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(UsageError, match=r"started from an ONNX file, .*tiny\.onnx: torch has no such network"):
        export_run(started, to="torch", out=tmp_path / "folder")
    assert [each.name for each in tmp_path.iterdir()] == ["m.onnx"]


def test_a_file_for_any_size_is_inspected_and_explained_as_the_network_in_it(windowed: Path, tmp_path: Path) -> None:
    export_run(windowed, out=tmp_path / "any.onnx", any_size=True)
    export_run(windowed, out=tmp_path / "one.onnx")
    any_size, usual = (anatomy.inspect_network(tmp_path / name) for name in ("any.onnx", "one.onnx"))
    assert len(any_size.layers) > 5
    assert (any_size.layers, any_size.totals, any_size.fields) == (usual.layers, usual.totals, usual.fields)


def test_what_a_place_sees_is_told_for_a_file_for_any_size_too(tmp_path: Path) -> None:
    explainer = export_random(tmp_path / "m.onnx", "plain", 12, 1)
    model = onnx.load(tmp_path / "m.onnx")
    take_any_size(model, PicturePolicy(side=12, channels=1))
    found = field_graph(read_file_graph(model.SerializeToString()), explainer.head.map, 12, 1)
    for place in ((0, 0), (1, 1)):
        expected = seen_pixels(explainer.field_graph, place)
        assert expected.num_pixels > 0
        np.testing.assert_array_equal(seen_pixels(found, place).mask, expected.mask)


def test_a_run_is_inspected_with_the_filters_it_was_built_with(windowed: Path, tmp_path: Path) -> None:
    values = json.loads((windowed / "network.json").read_text()) | {"widths": [4], "filter_size": 5}
    (tmp_path / "network.json").write_text(json.dumps(with_digest(values)))
    (tmp_path / "model.onnx").write_bytes((windowed / "model.onnx").read_bytes())
    network = Swift(1, 2, values["window"], widths=[4], filter_size=5)
    assert network.blocks[0].refine.weight.shape == (4, 4, 5, 5)
    assert anatomy.inspect_network(tmp_path).totals.parameters == sum(each.numel() for each in network.parameters())
