"""Over HTTP the answer to the same bytes is the one that `whyconv predict` gives."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from http_server import FORM, Server, form
from tiny_model import COLORS, write_model
from whyconv.images.prepare import prepare
from whyconv.recognizer import Recognizer, open_recognizer
from whyconv.results import Prediction
from whyconv.web.batching import are_unsure


def as_json(prediction: Prediction, name: str) -> dict[str, object]:
    labels = [{"label": one.label, "probability": one.probability} for one in prediction.labels]
    return {"name": name, "labels": labels, "error": prediction.error, "is_unsure": None}


def assert_same(server: Server, recognizer: Recognizer, contents: list[bytes]) -> None:
    answered = server.predict(*contents).json["predictions"]
    expected = [as_json(one, f"p{number}") for number, one in enumerate(recognizer.predict(contents))]
    for found, wanted in zip(answered, expected, strict=True):
        assert (found["name"], found["error"]) == (wanted["name"], wanted["error"])
        assert [one["label"] for one in found["labels"]] == [one["label"] for one in wanted["labels"]]
        shares = [[one["probability"] for one in each["labels"]] for each in (found, wanted)]
        assert np.allclose(*shares, atol=1e-6)


def test_several_pictures_are_answered_in_their_order(server: Server, colors: dict[str, bytes]) -> None:
    reply = server.predict(*colors.values(), b"no picture", *colors.values(), query="?top=1")
    assert reply.status == 200
    predictions = reply.json["predictions"]
    assert [one["labels"][0]["label"] for one in predictions if one["labels"]] == [*COLORS, *COLORS]
    assert [one["error"] for one in predictions] == [*[None] * 3, "a text file, not a picture", *[None] * 3]
    assert [one["name"] for one in predictions] == [f"p{number}" for number in range(7)]


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", "image/jpeg"])
def test_a_raw_body_is_a_picture_and_its_content_decides(server: Server, colors: dict[str, bytes], kind: str) -> None:
    reply = server.ask("/v1/predict?top=2", colors["green"], content_type=kind)
    assert reply.status == 200
    assert [one["label"] for one in reply.json["predictions"][0]["labels"]] == ["green", "red"]


def test_the_only_picture_that_cannot_be_read_is_422_with_the_reason(server: Server) -> None:
    reply = server.ask("/v1/predict", b"GIF89a", content_type="image/gif")
    assert reply.status == 422
    assert (reply.error["code"], reply.error["kind"]) == (3, "PictureError")
    assert reply.json["predictions"][0]["error"] == reply.error["message"]


def test_prepared_pixels_are_answered_like_their_file(server: Server, model: Path) -> None:
    policy = open_recognizer(model).policy
    pixels = np.random.default_rng(0).integers(0, 256, (policy.side, policy.side, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    by_pixels = server.ask("/v1/predict", pixels.tobytes(), content_type="application/x-whyconv-pixels").json
    by_file = server.ask("/v1/predict", buffer.getvalue(), content_type="image/png").json
    assert by_pixels["predictions"][0]["labels"] == by_file["predictions"][0]["labels"]


def test_the_prepared_picture_is_what_training_sees(server: Server, model: Path, colors: dict[str, bytes]) -> None:
    reply = server.ask("/v1/prepared", colors["red"], content_type="image/png")
    assert (reply.status, reply.headers["content-type"]) == (200, "image/png")
    shown = np.asarray(Image.open(io.BytesIO(reply.body)))
    assert (shown == prepare(colors["red"], open_recognizer(model).policy)).all()


def test_many_callers_at_once_each_get_their_own_answer(server: Server, colors: dict[str, bytes]) -> None:
    names = [name for name in colors for _ in range(16)]
    with ThreadPoolExecutor(16) as pool:
        replies = list(
            pool.map(lambda name: server.ask("/v1/predict?top=1", colors[name], content_type="image/png"), names)
        )
    assert [reply.json["predictions"][0]["labels"][0]["label"] for reply in replies] == names


@pytest.mark.parametrize("name", ["../../x", "%2e%2e%2f", "<img onerror=x>", "\u202ecod", "=1+1"])
def test_names_are_only_text(server: Server, colors: dict[str, bytes], name: str) -> None:
    body = form(colors["red"], name=name)
    reply = server.ask("/v1/predict", body, content_type=FORM)
    assert reply.json["predictions"][0]["name"] == name
    assert reply.headers["content-type"] == "application/json"


def test_a_long_name_is_cut(server: Server, colors: dict[str, bytes]) -> None:
    reply = server.ask("/v1/predict", form(colors["red"], name="x" * 2000), content_type=FORM)
    assert len(reply.json["predictions"][0]["name"]) == 258


ODD = (
    "exif*",
    "*orient*",
    "*cmyk*",
    "*16*bit*.png",
    "*16bit*.tif",
    "*palette*.png",
    "*p_trns*",
    "*la.*",
    "*.gif",
    "*.webp",
)


def test_odd_pictures_are_answered_as_on_the_command_line(
    server: Server, model: Path, shared_data: Callable[[str], Path]
) -> None:
    zoo = shared_data("zoo")
    paths = sorted({path for pattern in ODD for path in zoo.glob(pattern)})[::4]
    assert len(paths) >= 12
    assert_same(server, open_recognizer(model), [path.read_bytes() for path in paths][:30])


@pytest.mark.slow
def test_the_whole_zoo_is_answered_as_on_the_command_line(
    server: Server, model: Path, shared_data: Callable[[str], Path]
) -> None:
    recognizer = open_recognizer(model)
    contents = [path.read_bytes() for path in sorted(shared_data("zoo").iterdir())]
    small = [content for content in contents if len(content) < 1_000_000]
    assert len(small) > 500
    for start in range(0, len(small), 9):
        assert_same(server, recognizer, small[start : start + 9])


def test_unsure_is_what_lies_above_the_threshold() -> None:
    recognizer = SimpleNamespace(metadata=SimpleNamespace(unsure=SimpleNamespace(threshold=0.5)))
    answers = SimpleNamespace(probabilities=np.zeros((4, 2)), novelty=np.array([0.2, 0.5, 0.7, np.nan], np.float32))
    assert are_unsure(recognizer, answers) == [False, False, True, True]
    recognizer.metadata.unsure = None
    assert are_unsure(recognizer, answers) == [None] * 4


def test_another_answer_is_noticed(server: Server, colors: dict[str, bytes], tmp_path: Path) -> None:
    other = open_recognizer(write_model(tmp_path / "other.onnx", temperature=1.5, classes=["red", "blue", "green"]))
    with pytest.raises(AssertionError):
        assert_same(server, other, list(colors.values()))
