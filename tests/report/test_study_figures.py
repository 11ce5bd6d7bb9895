"""Figures of the studies: what is drawn is where the numbers say, and names from outside stay names."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from made_up_study import layer_price, made_up_detector, made_up_detectors, made_up_hyperparameters, made_up_price
from whyconv.report.detectors import detector_figure
from whyconv.report.effects import effect_chart
from whyconv.report.heat import colors, heat_map
from whyconv.report.hyperparameters import effects_figure
from whyconv.report.price import cosine_figure, direction_figure, drift_figure, gain_figure
from whyconv.results import Estimate


def pictures_in(svg: str) -> list[np.ndarray]:
    encoded = re.findall(r"data:image/png;base64,([^\"]+)", svg)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in encoded]


def test_colors_say_sign_and_size() -> None:
    drawn = colors(np.array([[0.0, 1.0], [-0.5, 4.0]]), 2.0)
    assert drawn[..., 3].tolist() == [[0, 128], [64, 255]]
    blue, orange = drawn[0, 1, :3], drawn[1, 0, :3]
    assert blue[2] > blue[0]
    assert orange[0] > orange[2]


def test_a_map_has_one_pixel_a_place_and_its_scale() -> None:
    svg = heat_map([[0.0, 0.25, 0.5]], "a <map>")
    drawn, scale = pictures_in(svg)
    assert drawn.shape == (1, 3, 4)
    assert drawn[0, :, 3].tolist() == [0, 128, 255]
    assert (scale[0, 0, 3], scale[-1, 0, 3]) == (255, 0)
    assert ">0.5</text>" in svg
    assert "a &lt;map&gt;" in svg
    both = heat_map([[-1.0, 0.5]], "map", 1.0)
    assert ">-1</text>" in both
    assert pictures_in(heat_map([[0.0, 0.0]], "empty"))[0][..., 3].max() == 0


def test_differences_lie_in_order_about_the_line_at_zero() -> None:
    rows = [
        ("worse", Estimate(value=-0.02, low=-0.03, high=-0.01, n=3)),
        ("none", Estimate(value=0, low=0, high=0, n=3)),
    ]
    svg = effect_chart([*rows, ("better", Estimate(value=0.01, low=-0.005, high=0.025, n=3))], "chart", "points")
    zero = float(re.search(r'class="axis" x1="([\d.]+)"', svg)[1])
    dots = [float(x) for x in re.findall(r'<circle class="dot first" cx="([\d.]+)"', svg)]
    assert dots[0] < zero < dots[2]
    assert dots[1] == pytest.approx(zero, abs=0.1)
    ends = [(float(a), float(b)) for a, b in re.findall(r'class="whisker first" x1="([\d.]+)" x2="([\d.]+)"', svg)]
    assert ends[0][1] < zero
    assert ends[2][0] < zero < ends[2][1]
    # Percentage points on a common scale: two points are twice as far as one.
    assert (zero - dots[0]) == pytest.approx(2 * (dots[2] - zero), rel=0.01)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_figure_is_well_formed_and_speaks_the_language(language: str) -> None:
    one = layer_price("<b>&")
    detectors = made_up_detectors(made_up_detector())
    patches = [np.full((3, 3, 1), 9, np.uint8), np.full((2, 3, 1), 200, np.uint8)]
    figures = [
        gain_figure(made_up_price(one, layer_price("b")), language),
        drift_figure(one, language),
        direction_figure(one, language),
        cosine_figure(one, language),
        detector_figure(detectors.layers[0], detectors.layers[0].detectors[0], patches, language),
        effects_figure(made_up_hyperparameters(), language),
    ]
    for svg in figures:
        root = ET.fromstring(svg)
        assert root.get("role") == "img"
        assert bool(re.search("[가-힣]", root.get("aria-label"))) == (language == "ko")
        assert "<b>" not in svg
    assert gain_figure(made_up_price(), language) == ""


def test_patches_stand_beside_the_map_at_one_scale() -> None:
    layer = made_up_detectors(made_up_detector()).layers[0]
    patches = [np.full((3, 3, 1), 9, np.uint8), np.full((2, 3, 1), 200, np.uint8)] + [np.zeros((3, 3, 3), np.uint8)] * 9
    svg = detector_figure(layer, layer.detectors[0], patches, "en")
    drawn = pictures_in(svg)
    assert len(drawn) == 10
    assert drawn[0].shape == (2, 3, 4)
    assert drawn[1].shape == (3, 3)
    sizes = re.findall(r'<image .*? width="([\d.]+)" height="([\d.]+)"', svg)
    assert float(sizes[2][1]) == pytest.approx(float(sizes[1][1]) * 2 / 3, abs=0.1)
    assert sizes[1][0] == sizes[2][0]
    assert "the 9 patches" in svg
    left = [float(x) for x in re.findall(r'<image [^>]*? x="([\d.]+)"', svg)]
    assert min(left[1:]) > 200
