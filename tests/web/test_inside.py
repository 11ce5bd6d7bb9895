"""What the server says of the inside of a network, against onnxruntime, numpy and pixels changed one by one."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from http_server import Server, serving
from mirrored_model import CONSTANTS, SIDE
from whyconv.counting.layer import count_layer
from whyconv.counting.words import LayerWords
from whyconv.model_file import read_model, with_digest
from whyconv.recognizer import Recognizer
from whyconv.web.batching import Batcher
from whyconv.web.inside import Inside, Windows, read_windows
from whyconv.web.limits import Limits
from whyconv.web.metrics import Metrics
from whyconv.web.refusals import Refusal
from whyconv.web.room import Room
from whyconv.web.service import Service

PIXELS = np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
TYPE = "application/x-whyconv-pixels"


def ask(server: Server, path: str) -> Any:
    reply = server.ask(path, PIXELS.tobytes(), content_type=TYPE)
    assert reply.status == 200, reply.body
    return reply.json


@pytest.fixture(scope="module")
def inside(run: Path) -> Inside:
    metadata = read_model(run / "why.onnx")[1]
    return Inside(run / "why.onnx", metadata, json.loads((run / "layers.json").read_text()))


def test_the_recognizer_says_what_it_has(run_server: Server) -> None:
    found = run_server.ask("/v1/recognizer").json
    assert (found["name"], found["side"], found["channels"], found["views"]) == (
        "two-1",
        SIDE,
        3,
        ["upright", "mirrored"],
    )
    assert found["has"] == {
        **{"maps": True, "layers": True, "why": True, "evidence": True},
        **{"dense_twin": False, "nearest": False, "unsure": False, "thumbnails": False},
    }
    assert found["limits"]["max_body"] == 10_000_000
    assert found["window"] is None
    assert run_server.ask("/v1/why").json == {"run": "two", "digest": "0"}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"window": 6}, Windows(6, 9)),  # of 8 pixels: from 0, 1 and 2 on
        ({"window": 7}, Windows(7, 4)),  # from 0 and 1 on
        *(({"window": window}, None) for window in (8, 9, 0, -6, None, "6", 6.0, True)),
        ({}, None),
    ],
)
def test_windows_are_those_of_network_json(tmp_path: Path, told: dict[str, Any], expected: Windows | None) -> None:
    path = tmp_path / "network.json"
    assert read_windows(path, 8) is None
    path.write_text(json.dumps(with_digest({"format_version": 1, "policy": {"version": 1}} | told)))
    assert read_windows(path, 8) == expected
    path.write_text(path.read_text()[:-9])
    assert read_windows(path, 8) is None


def test_layers_say_what_they_see(run_server: Server) -> None:
    layers = {row["map"]: row for row in run_server.ask("/v1/layers").json["layers"]}
    first, second = layers["first"], layers["second"]
    assert (first["field"], first["jump"], first["start"]) == ([3, 3], [2, 2], [-1, -1])
    # 3 taps, then 3 with gaps of 2 places of 2 pixels: 3 + 2 * 2 * 2.
    assert (second["field"], second["jump"], second["start"]) == ([11, 11], [2, 2], [-1, -1])
    assert layers["scores"]["sees_all"] is True


def test_weights_are_those_of_the_file(run_server: Server) -> None:
    found = run_server.ask("/v1/layers/second/weights?filter=5").json
    assert (found["shape"], found["filters"], found["bias"]) == ([2, 3, 3], 6, None)
    assert np.array_equal(np.array(found["values"], np.float32), CONSTANTS["second.weight"][5])
    first = run_server.ask("/v1/layers/first/weights?filter=1").json
    assert first["bias"] == pytest.approx(float(CONSTANTS["first.bias"][1]))
    assert run_server.ask("/v1/layers/scores/weights?filter=2").json["shape"] == [6]
    assert run_server.ask("/v1/layers/pooled/weights").status == 404
    assert run_server.ask("/v1/layers/secnd/weights").error["message"].endswith("Did you mean 'second'?")
    assert run_server.ask("/v1/layers/second/weights?filter=6").status == 422


def test_maps_are_those_of_the_network(run_server: Server, run: Path) -> None:
    session = onnxruntime.InferenceSession((run / "why.onnx").read_bytes())
    expected = session.run(["second"], {"pixels": PIXELS[None]})[0][0]
    found = ask(run_server, "/v1/maps?layer=second&format=float32")
    values = [np.frombuffer(base64.b64decode(one), "<f4").reshape(found["shape"][1:]) for one in found["maps"]]
    assert np.allclose(values, expected, atol=1e-5)
    assert (found["low"], found["high"]) == pytest.approx((expected.min(), expected.max()), abs=1e-5)
    small = ask(run_server, "/v1/maps?layer=second&filters=4,0")
    levels = np.frombuffer(base64.b64decode(small["maps"][0]), np.uint8).reshape(expected.shape[1:])
    step = (small["high"] - small["low"]) / 255
    assert np.abs(small["low"] + levels * step - expected[4]).max() <= step / 2 + 1e-5
    assert small["filters"] == [4, 0]
    assert run_server.ask("/v1/maps?layer=second&filters=6", PIXELS.tobytes(), content_type=TYPE).status == 422
    assert run_server.ask("/v1/maps?layer=nope", PIXELS.tobytes(), content_type=TYPE).status == 422


@pytest.mark.parametrize(("y", "x"), [(0, 0), (1, 0), (1, 1)])
def test_a_unit_depends_on_exactly_the_pixels_that_are_told(run_server: Server, run: Path, y: int, x: int) -> None:
    told = ask(run_server, f"/v1/units?layer=second&filter=3&y={y}&x={x}")
    mask = np.zeros((SIDE, SIDE), bool)
    for row, *runs in told["rows"]:
        for first, last in runs:
            mask[row, first : last + 1] = True
    assert told["num_pixels"] == mask.sum() < SIDE * SIDE
    rows, columns = np.nonzero(mask)
    assert told["field"] == [rows.min(), columns.min(), rows.max(), columns.max()]

    # Some detector of the place moves with every pixel in the set, for some picture; none with any outside.
    session = onnxruntime.InferenceSession((run / "why.onnx").read_bytes())
    moves = np.zeros((SIDE, SIDE), bool)
    for seed in range(8):
        generator = np.random.default_rng(seed)
        picture = generator.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        changed = np.repeat(picture[None], SIDE * SIDE, axis=0)
        places = np.arange(SIDE * SIDE)
        changed[places, places // SIDE, places % SIDE] = 255 - picture.reshape(-1, 3)
        both = np.concatenate([picture[None], changed])
        values = session.run(["second"], {"pixels": both})[0][: len(both), :, y, x]  # the first view
        moves |= (values[1:] != values[0]).any(axis=1).reshape(SIDE, SIDE)
    assert (moves == mask).all()


def test_one_output_is_the_sum_of_its_products(run_server: Server, inside: Inside) -> None:
    for layer, number, y, x in (("first", 2, 0, 0), ("first", 0, 5, 3), ("second", 4, 1, 0)):
        told = ask(run_server, f"/v1/steps?layer={layer}&filter={number}&y={y}&x={x}")
        assert told["sum"] == pytest.approx(told["value"], abs=1e-5)
        assert np.allclose(np.array(told["inputs"]) * told["weights"], told["products"])
        assert told["value"] == pytest.approx(float(inside.maps(PIXELS, [layer])[layer][number, y, x]), abs=1e-6)
    assert told["source"] == "rectified"
    corner = ask(run_server, "/v1/steps?layer=first&filter=0&y=0&x=0")
    assert (corner["top"], corner["left"]) == (-1, -1)
    assert not np.array(corner["inputs"])[:, 0].any()
    assert run_server.ask("/v1/steps?layer=scores", PIXELS.tobytes(), content_type=TYPE).status == 422


def test_one_picture_is_expected_where_the_inside_is_shown(run_server: Server, colors: dict[str, bytes]) -> None:
    from http_server import FORM, form

    both = form(*colors.values())
    assert run_server.ask("/v1/maps?layer=first", both, content_type=FORM).status == 422
    assert run_server.ask("/v1/maps?layer=first", colors["red"], content_type="image/png").status == 200


def test_the_lectures_table_is_that_of_the_command_line(run_server: Server) -> None:
    query = "side=28x30&in_channels=1&out_channels=6&kernel=5x3&stride=2&padding=same&bias=false"
    expected = count_layer(LayerWords("28x30x1", "6", "5x3", "2", "same", has_bias=False).convolution())
    assert run_server.ask(f"/v1/count?{query}").body.decode() == expected.model_dump_json()


def test_the_twin_answers_where_there_is_one(run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / os.fsdecode(b"tw\xe9n-1"))  # a name that is no UTF-8 is one too
    shutil.copy(folder / "model.onnx", folder / "twin_dense.onnx")
    with serving(folder) as server:
        told = server.ask("/v1/recognizer").json
        assert (told["name"], told["has"]["dense_twin"]) == ("tw\\xe9n-1", True)
        twin, own = (ask(server, f"/v1/{route}?top=3")["predictions"][0]["labels"] for route in ("twin", "predict"))
    assert [one["label"] for one in twin] == [one["label"] for one in own]


@contextmanager
def service_of(folder: Path) -> Iterator[Service]:
    recognizer, limits = Recognizer(folder / "model.onnx", num_threads=1), Limits()
    batcher = Batcher([recognizer], num_readers=1, most_at_once=8, limits=limits)
    yield Service(folder.name, recognizer, batcher, folder, limits, Room(4, 1000), Metrics())
    batcher.close()


def test_a_twin_that_is_trained_while_the_server_runs_is_found(run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / "twin-1")
    with service_of(folder) as service:
        assert service.twin is None
        shutil.copy(folder / "model.onnx", folder / "twin_dense.onnx")
        assert service.twin is not None
        assert service.twin is service.twin  # opened once


@pytest.mark.parametrize("first", ["why.onnx", "layers.json"])
def test_maps_are_found_when_the_file_and_its_layers_have_come(run: Path, tmp_path: Path, first: str) -> None:
    folder, later = shutil.copytree(run, tmp_path / "run-1"), tmp_path / "later"
    later.mkdir()
    for name in ("why.onnx", "layers.json"):
        (folder / name).rename(later / name)
    with service_of(folder) as service:
        assert (service.inside, service.layers) == (None, [])
        shutil.copy(later / first, folder)
        with pytest.raises(Refusal, match="There are no maps"):
            service.require_inside()
        shutil.copytree(later, folder, dirs_exist_ok=True)
        assert service.require_inside().names == [row["map"] for row in json.loads((run / "layers.json").read_text())]
        opened = service.require_inside()
        shutil.rmtree(folder)
        assert service.require_inside() is opened  # what is open answers on without its file


def test_a_damaged_file_of_the_run_is_500_and_tells_no_path(run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / "damaged-1")
    (folder / "why.onnx").write_bytes(b"\x08\x08")
    (folder / "why.json").write_text("{")
    with serving(folder) as server:
        for reply in (server.ask("/v1/layers"), server.ask("/v1/why")):
            assert (reply.status, reply.error["kind"]) == (500, "ModelFileError")
            assert b"damaged-1" not in reply.body
        assert server.ask("/v1/predict", PIXELS.tobytes(), content_type=TYPE).status == 200


BLOCKED = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "onnx", "onnxscript", "scipy", "sklearn", "matplotlib", "pyarrow"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Refuse())
from whyconv.cli import main
main(sys.argv[1:])
"""


def test_all_of_it_works_without_torch_and_onnx(run: Path) -> None:
    with serving(run, code=BLOCKED) as server:
        for path in ("/", "/v1/layers", "/v1/layers/second/weights", "/v1/count", "/v1/texts?lang=ko", "/openapi.json"):
            assert server.ask(path).status == 200, path
        for path in ("predict", "maps?layer=second", "units?layer=second", "steps?layer=second", "prepared"):
            ask(server, f"/v1/{path}") if path != "prepared" else server.ask(
                "/v1/prepared", PIXELS.tobytes(), content_type=TYPE
            )
