from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from whyconv.report.matrix import MOST_LABELLED_CLASSES, confusion_map, count_bar, fullness, interval_bar
from whyconv.results import Estimate


def test_fullness_is_the_root_of_the_share_of_the_row() -> None:
    full = fullness(np.array([[81, 19, 0], [0, 0, 0], [1, 0, 99]]))
    assert full[0] == pytest.approx([0.9, 0.19**0.5, 0])
    assert not full[1].any()
    assert full[2, 0] == pytest.approx(0.1)


def test_each_count_stands_in_the_cell_of_its_row_and_column() -> None:
    svg = confusion_map([[5, 2], [0, 7]], ["cat", "dog"], "truth", "answer")
    cells = re.findall(
        r'<g><title>([^<]*)</title>.*?<rect class="(right|wrong)" x="([\d.]+)" y="([\d.]+)".*?>(\d+)</text></g>', svg
    )
    assert [(title, kind, count) for title, kind, _, _, count in cells] == [
        ("cat → cat: 5 / 7", "right", "5"),
        ("cat → dog: 2 / 7", "wrong", "2"),
        ("dog → dog: 7 / 7", "right", "7"),
    ]
    # Two classes have the widest cells, 46 pixels: one column to the right, one row down.
    first, beside, below = [(float(x), float(y)) for _, _, x, y, _ in cells]
    assert beside == (first[0] + 46, first[1])
    assert below == (first[0] + 46, first[1] + 46)
    assert svg.count('class="empty"') == 4
    assert "truth" in svg
    assert "answer" in svg


def test_many_classes_become_a_picture_of_one_pixel_a_cell() -> None:
    k = MOST_LABELLED_CLASSES + 70
    counts = np.zeros((k, k), int)
    counts[3, 3], counts[3, 8] = 3, 1
    svg = confusion_map(counts.tolist(), [f"c{i}" for i in range(k)], "truth", "answer")
    encoded = re.search(r"data:image/png;base64,([^\"]+)", svg)
    assert encoded is not None
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded[1]))))
    assert pixels.shape == (k, k, 4)
    assert pixels[3, 3, 3] == round(255 * 0.75**0.5)
    assert pixels[3, 8, 3] == round(255 * 0.5)
    assert (pixels[..., 3] > 0).sum() == 2
    assert len(svg) < 10_000


def test_names_of_any_length_leave_a_drawing_that_can_be_read() -> None:
    svg = confusion_map([[1, 0], [0, 1]], ["x" * 10_000, "<svg onload=y>"], "truth", "answer")
    assert len(svg) < 4_000
    assert "<svg onload" not in svg
    width = re.search(r'width="(\d+)"', svg)
    assert width is not None
    assert int(width[1]) < 400


def test_an_interval_is_drawn_from_its_low_to_its_high_end() -> None:
    svg = interval_bar(Estimate(value=0.5, low=0.25, high=1.0, n=4), "25 to 100")
    # 110 pixels wide with a margin of 3: 3 + share x 104.
    assert 'x1="29.0" x2="107.0"' in svg
    assert 'cx="55.0"' in svg


def test_a_count_is_drawn_beside_the_greatest() -> None:
    assert 'class="fill" x="0" y="3" width="27.5"' in count_bar(10, 40)
    assert 'width="0.0"' in count_bar(0, 0)
