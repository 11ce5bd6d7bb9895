"""What the served page shows, and what numpy and onnxruntime say that it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from page_driver import cells_of, comes
from served_run import SIDE
from tiny_training import bars
from whyconv.recognizer import open_recognizer


def example(number: int) -> np.ndarray:
    """The picture behind the button of an example, counted from 1: 12 of 20 are shown, evenly chosen."""
    rows = np.unique(np.linspace(0, 19, 12).round().astype(int))
    return bars(20, seed=4).pixels[rows[number - 1]]


def write_png(folder: Path, name: str, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels[:, :, 0]).save(folder / name)
    return folder / name


def first_label(run: Path, pixels: np.ndarray) -> str:
    return open_recognizer(run).predict(pixels, top=1).labels[0].label


def shares(ranked: Any) -> dict[str, float]:
    """The ranked answers: label -> percent."""
    rows = ranked.locator("li")
    pairs = [rows.nth(at).locator("bdi, .share").all_inner_texts() for at in range(rows.count())]
    return {label: float(share.removesuffix(" %")) for label, share in pairs}


def close_to(run: Path, pixels: np.ndarray, model: str = "model.onnx") -> Any:
    found = open_recognizer(run / model).predict(pixels).labels
    return pytest.approx({one.label: 100 * one.probability for one in found}, abs=0.06)


def value_of(run: Path, pixels: np.ndarray, layer: str) -> np.ndarray:
    session = onnxruntime.InferenceSession(run / "why.onnx")
    return session.run([layer], {"pixels": pixels[None]})[0][0]


def gray_of(canvas: Any) -> np.ndarray:
    return np.array(cells_of(canvas, SIDE, SIDE), np.uint8)[:, :, :1]


def map_colors(values: np.ndarray, reach: float | None = None) -> np.ndarray:
    """White at zero, blue above, orange below."""
    share = np.clip(np.abs(values) / (reach or np.abs(values).max() or 1), 0, 1)[..., None]
    ends = np.where(values[..., None] < 0, [200, 88, 8], [33, 102, 190])
    return 255 + share * (ends - 255)


def sees(page: Any, pixels: np.ndarray) -> None:
    """Waits until the picture on the page is this one."""
    comes(lambda: gray_of(page.locator("#source figure.seen canvas")).tolist(), pixels.tolist())


def shows(canvas: Any, colors: np.ndarray) -> None:
    """Waits until the cells of a canvas have these colors (rows, columns, 3), up to rounding."""
    rows, columns, _ = colors.shape
    comes(lambda: np.array(cells_of(canvas, rows, columns)), pytest.approx(colors, abs=1.6))
