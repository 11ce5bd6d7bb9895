"""One picture, one answer: training, Python, command line, HTTP, the exported files and the folder for torch."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from command_line import shell
from http_server import Server, serving
from whyconv import workflow
from whyconv.errors import PictureError
from whyconv.exporting import export_run, open_torch
from whyconv.images.decode import decode, read_header
from whyconv.images.prepare import prepare
from whyconv.recognizer import open_recognizer
from whyconv.settings import Plan
from whyconv.training.checkpoint import load_weights
from whyconv.training.evaluate import softmax
from whyconv.training.logits import network_logits
from whyconv.training.start import start_network

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

TOLERANCE = 1e-4
# What is asked for, and files of the zoo that are it.
KINDS = {
    "EXIF orientation 1 to 8": (
        *(f"g4_orientation_{number}.tif" for number in range(1, 9)),
        *(f"hopper_orientation_{number}.{form}" for number in range(2, 9) for form in ("jpg", "webp")),
    ),
    "16 bits": ("16bit.cropped.tif", "16_bit_binary.pgm", "hopper_16bit.pgm", "tiff_16bit_RGB.tiff", "12in16bit.tif"),
    "CMYK": ("pil_sample_cmyk.jpg", "tiff_strip_cmyk_jpeg.tif"),
    "palette and alpha": ("pil123p.png", "pal8rletrns.png", "first_frame_transparency.gif", "pil123rgba.png"),
    "gray": ("hopper_gray.jpg", "hopper_gray_4bpp.tif", "imagedraw_chord_L.png", "test_combine_caron_la.png"),
    "cannot be read": ("truncated_image.png", "broken.png"),
}


def make_run(folder: Path, mode: str) -> Path:
    """A network that has seen a little: light below and light above, in color or in gray."""
    generator = np.random.default_rng(2)
    for index in range(90):
        pixels = generator.integers(0, 256, (16, 16, 3)).astype(np.float64)
        half = slice(8, None) if index % 2 else slice(None, 8)
        pixels[half] = 0.7 * pixels[half] + 60
        path = folder / mode / ("below" if index % 2 else "above") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(mode).save(path)
    words = {"network": "swift", "epochs": 1, "threads": 1, "flips": "on", "search": "off"}
    made = workflow.train(
        str(folder / mode), only_model=True, out=str(folder / "runs"), store=str(folder / "store"), **words
    )
    return Path(made.run)


@pytest.fixture(scope="module", params=["RGB", "L"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("same"), request.param)


@pytest.fixture(scope="module")
def server(run: Path) -> Iterator[Server]:
    with serving(run) as found:
        yield found


@pytest.fixture(scope="module")
def files(shared_data: Callable[[str], Path]) -> list[Path]:
    zoo = shared_data("zoo")
    found = [zoo / name for names in KINDS.values() for name in names if (zoo / name).exists()]
    assert len(found) >= 30
    return found


def pixels_of(run: Path, files: list[Path]) -> list[np.ndarray | None]:
    recognizer, found = open_recognizer(run), []
    for path in files:
        try:
            found.append(prepare(path.read_bytes(), recognizer.policy))
        except PictureError:
            found.append(None)
    return found


def of_readable(ask: Callable[[np.ndarray], np.ndarray], pixels: list[np.ndarray | None]) -> list[np.ndarray | None]:
    answers = iter(ask(np.stack([each for each in pixels if each is not None])))
    return [None if each is None else next(answers) for each in pixels]


def by_training(run: Path, pixels: list[np.ndarray | None]) -> list[np.ndarray | None]:
    plan = Plan.read(run / "run.toml")
    network = start_network(plan)
    load_weights(run / "model.safetensors", network)
    temperature = open_recognizer(run).metadata.temperature
    return of_readable(lambda each: softmax(network_logits(network, each, plan.network) / temperature), pixels)


def by_folder(folder: Path, pixels: list[np.ndarray | None]) -> list[np.ndarray | None]:
    module = open_torch(folder)
    with torch.inference_mode():
        return of_readable(lambda each: module(torch.from_numpy(each))[0].numpy(), pixels)


def by_bare_onnxruntime(path: Path, pixels: list[np.ndarray | None]) -> list[np.ndarray | None]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return of_readable(lambda each: session.run(["probabilities"], {"pixels": each})[0], pixels)


def by_python(path: Path, files: list[Path]) -> list[np.ndarray | None]:
    recognizer = open_recognizer(path)
    found = recognizer.predict([each.read_bytes() for each in files])
    return [as_row({one.label: one.probability for one in each.labels}, recognizer.classes) for each in found]


def by_command_line(run: Path, files: list[Path], folder: Path) -> list[np.ndarray | None]:
    done = shell("predict", run, *files, "--top", 2, "--to", folder / "answers.csv")
    assert done.returncode == 3, done.stderr  # some cannot be read
    classes = open_recognizer(run).classes
    with (folder / "answers.csv").open(encoding="utf-8", newline="") as table:
        rows = {row["path"]: row for row in csv.DictReader(table)}
    return [
        as_row({row[f"label{k}"]: float(row[f"probability{k}"]) for k in ("", "_2") if row["label"]}, classes)
        for row in (rows[str(path)] for path in files)
    ]


def by_http(server: Server, run: Path, files: list[Path]) -> list[np.ndarray | None]:
    classes, found = open_recognizer(run).classes, []
    for start in range(0, len(files), 8):
        reply = server.predict(*(path.read_bytes() for path in files[start : start + 8]))
        assert reply.status == 200, reply.body
        for each in reply.json["predictions"]:
            found.append(as_row({one["label"]: one["probability"] for one in each["labels"]}, classes))
    return found


def as_row(shares: dict[str, float], classes: tuple[str, ...]) -> np.ndarray | None:
    return np.array([shares[name] for name in classes]) if shares else None


def differing(expected: list[np.ndarray | None], found: list[np.ndarray | None], files: list[Path]) -> list[str]:
    """Names of the pictures whose answers differ."""
    return [
        path.name
        for path, one, other in zip(files, expected, found, strict=True)
        if (one is None) != (other is None)
        or (one is not None and (np.abs(one - other).max() > TOLERANCE or one.argmax() != other.argmax()))
    ]


def test_all_ways_give_the_same_answer(run: Path, server: Server, files: list[Path], tmp_path: Path) -> None:
    export_run(run, out=tmp_path / "one.onnx")
    export_run(run, out=tmp_path / "any.onnx", any_size=True)
    export_run(run, to="torch", out=tmp_path / "folder")
    pixels = pixels_of(run, files)
    expected = by_training(run, pixels)
    shares = np.array([each[0] for each in expected if each is not None])
    assert 30 <= len(shares) < len(files)
    assert shares.std() > 0.01, "the pictures' answers hardly differ: nothing would be found out"
    ways = {
        "python": by_python(run, files),
        "python, exported": by_python(tmp_path / "one.onnx", files),
        "python, exported for any size": by_python(tmp_path / "any.onnx", files),
        "command line": by_command_line(run, files, tmp_path),
        "bare onnxruntime": by_bare_onnxruntime(tmp_path / "one.onnx", pixels),
        "bare onnxruntime, any size": by_bare_onnxruntime(tmp_path / "any.onnx", pixels),
        "folder for torch": by_folder(tmp_path / "folder", pixels),
        "HTTP": by_http(server, run, files),
    }
    assert {way: names for way, found in ways.items() if (names := differing(expected, found, files))} == {}


def test_the_files_are_what_they_are_taken_for(files: list[Path]) -> None:
    """A table of names proves nothing: each kind is there, by what its files say themselves."""
    headers = {}
    for path in files:
        if path.name not in KINDS["cannot be read"]:
            headers[path.name] = (read_header(path.read_bytes()), decode(path.read_bytes()).facts)
    assert {header.orientation for header, _ in headers.values()} == set(range(1, 9))
    for kind, holds in (
        ("16 bits", lambda header, facts: facts.is_scaled or header.bits > 8),
        ("CMYK", lambda header, facts: "CMYK" in (header.mode, facts.mode)),
        ("palette and alpha", lambda header, facts: facts.has_alpha),
        ("gray", lambda header, facts: facts.is_gray),
    ):
        named = [headers[name] for name in KINDS[kind] if name in headers]
        assert sum(holds(*each) for each in named) >= 2 - (kind == "CMYK"), kind


def test_the_comparison_finds_a_picture_that_was_not_turned(run: Path, files: list[Path]) -> None:
    pixels = pixels_of(run, files)
    turned = [None if each is None else np.rot90(each).copy() for each in pixels]
    expected = by_training(run, pixels)
    found = differing(expected, by_training(run, turned), files)
    assert len(found) > len(files) / 4
    assert not differing(expected, by_training(run, pixels), files)
