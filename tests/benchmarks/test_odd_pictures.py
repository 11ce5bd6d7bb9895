"""The comparison of readers tells right, wrong and refused apart; and whyconv reads all of its files rightly."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from odd_pictures import difference, put_to_the_test
from PIL import Image
from reading.oddities import oddities, png_of_16_bits, scene
from reading.readers import READERS, Reader


def carelessly(path: Path) -> np.ndarray:
    if path.suffix == ".tif":
        raise OSError("not today")
    return np.asarray(Image.open(path).convert("RGB"))


def test_whyconv_reads_every_file_as_a_person_sees_it() -> None:
    found = put_to_the_test(READERS["whyconv"], list(oddities()))
    assert (found["right"], found["wrong"], found["refused"]) == (17, 0, 0), found


def test_a_careless_reader_is_told_apart() -> None:
    levels = put_to_the_test(Reader("pillow", carelessly), list(oddities()))["levels"]
    wrong = {name for name, value in levels.items() if isinstance(value, float) and value > 4}
    assert wrong == {*(f"orientation {i}.jpg" for i in range(2, 9)), "gray of 16 bits.png", "transparent.png"}
    assert {name for name, value in levels.items() if value == "OSError"} == {
        "gray of 16 bits.tif",
        "gray fractions.tif",
    }


@pytest.mark.parametrize("turn", [np.fliplr, np.flipud, lambda pixels: 255 - pixels, lambda pixels: pixels[:, :, ::-1]])
def test_another_picture_is_far_from_the_truth(turn: object) -> None:
    assert callable(turn)
    assert difference(turn(scene()), scene()) > 20
    assert difference(scene().transpose(1, 0, 2), scene()) == 255


def test_pngs_of_16_bits_are_what_pillow_takes_them_for() -> None:
    gray = png_of_16_bits(scene()[:, :, :1])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(gray))), scene()[:, :, 0].astype(np.uint16) * 257)
    color = Image.open(io.BytesIO(png_of_16_bits(scene())))
    np.testing.assert_array_equal(np.asarray(color.convert("RGB")), scene())
