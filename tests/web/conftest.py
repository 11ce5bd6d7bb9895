"""Servers that tests share; none of them is changed by being asked."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from http_server import Server, serving
from mirrored_model import write_run
from tiny_model import COLORS, write_model


@pytest.fixture(scope="session")
def colors() -> dict[str, bytes]:
    """A PNG of each color."""
    found = {}
    for name, color in COLORS.items():
        buffer = io.BytesIO()
        Image.fromarray(np.full((9, 7, 3), color, np.uint8)).save(buffer, "PNG")
        found[name] = buffer.getvalue()
    return found


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "colors.onnx")


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "two-1")


@pytest.fixture(scope="session")
def server(model: Path) -> Iterator[Server]:
    with serving(model) as found:
        yield found


@pytest.fixture(scope="session")
def run_server(run: Path) -> Iterator[Server]:
    with serving(run) as found:
        yield found
