"""What the page alone asks for: evidence, pictures from training, the controls of the square; as the library has it."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from http_server import Server, serving
from served_run import SIDE
from tiny_training import bars
from whyconv.evidence import as_message, explain, open_explainer
from whyconv.results.evidence_notes import map_notes
from whyconv.study.controls import make_controls

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

PIXELS = "application/x-whyconv-pixels"


@pytest.fixture(scope="module")
def page_server(page_run: Path) -> Iterator[Server]:
    with serving(page_run) as found:
        yield found


def as_npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_an_answer_is_explained_as_in_the_library(page_server: Server, page_run: Path) -> None:
    pixels = bars(3, seed=9).pixels[2]
    told = page_server.ask("/v1/explain", pixels.tobytes(), content_type=PIXELS).json
    found = explain(open_explainer(page_run), pixels)
    expected = as_message(found)
    assert told.keys() == expected.keys() | {"notes"}
    assert np.allclose(told["values"], expected["values"], atol=1e-6)
    assert (told["kind"], told["label"], told["box"]) == (expected["kind"], expected["label"], list(expected["box"]))
    assert len(told["nearest"]) == len(expected["nearest"])
    assert [note["key"] for note in told["notes"]] == [note.key for note in map_notes(found)] != []


def test_a_lone_file_explains_without_training_pictures(server: Server, colors: dict[str, bytes]) -> None:
    told = server.ask("/v1/explain", colors["red"], content_type="image/png").json
    assert told["label"] == "red"
    assert told["nearest"] == []
    assert told["why_no_nearest"] == "no_run"


def test_thumbnails_are_spread_evenly_over_those_there_are(page_server: Server) -> None:
    known = bars(20, seed=4).pixels[:, :, :, 0]
    for count, rows in ((1, [0]), (3, [0, 10, 19]), (64, range(20))):
        told = page_server.ask(f"/v1/thumbnails?count={count}").json
        pngs = told["pngs"]
        assert told["side"] == SIDE
        found = [np.asarray(Image.open(io.BytesIO(base64.b64decode(png)))) for png in pngs]
        assert np.array_equal(found, known[list(rows)])
    assert page_server.ask("/v1/thumbnails?count=65").status == 422


def test_thumbnails_that_are_none_are_the_files_fault(page_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(page_run, tmp_path / "bars-1"))
    with serving(run) as found:
        for damaged in (b"", b"\x93NUMPY", as_npy(np.zeros((3, 4), np.uint8)), as_npy(np.zeros((2, 3, 3, 1)))):
            (run / "thumbnails.npy").write_bytes(damaged)
            reply = found.ask("/v1/thumbnails")
            assert (reply.status, reply.error["kind"]) == (500, "ModelFileError")
            assert reply.error["message"] == "The server cannot use its own files; its log says which."


def test_controls_are_those_that_the_square_was_measured_with(page_server: Server, page_run: Path) -> None:
    told = page_server.ask("/v1/controls").json
    protocol = json.loads((page_run / "why.json").read_text())["square"]["protocol"]
    made = make_controls(protocol["side"], protocol["multiplier"], protocol["seed"])
    assert told["side"] == protocol["side"] > SIDE
    assert told["permuted"] == made["permuted"].source.tolist()
    assert told["signs"] == made["signs"].signs.astype(int).tolist()
    assert told["multiplied"] == made["multiplied"].source.tolist()


@pytest.mark.parametrize("route", ["thumbnails", "controls"])
def test_a_lone_file_has_neither_and_says_so(server: Server, route: str) -> None:
    reply = server.ask(f"/v1/{route}")
    assert reply.status == 404
    assert "whyconv why" in reply.error["message"] or "Serve the run folder" in reply.error["message"]
