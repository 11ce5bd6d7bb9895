from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from whyconv.measures import translation
from whyconv.report.translation import shift_map
from whyconv.results.translation import Translation


class Halves(nn.Module):
    """Says in which half of the columns most of the light lies."""

    def forward(self, x: Tensor) -> Tensor:
        half = x.shape[3] // 2
        return 9 * torch.stack([x[..., :half].sum((1, 2, 3)), x[..., half:].sum((1, 2, 3))], dim=1)


def measured(reach: int, side: int = 8) -> Translation:
    pictures = torch.zeros(side, 1, side, side)
    pictures[range(side), 0, 3, range(side)] = 1.0
    return translation(Halves(), pictures, [0] * side, "circular", reach=reach)


def cells(svg: str) -> list[tuple[str, float, float, float]]:
    found = re.findall(
        r'<g><title>([^<]*)</title><rect class="right" x="(\d+)" y="(\d+)".*?fill-opacity="([\d.]+)"', svg
    )
    return [(title, float(x), float(y), float(full)) for title, x, y, full in found]


@pytest.mark.parametrize("reach", [1, 2, 3])
def test_every_shift_has_its_cell_where_it_belongs_and_the_middle_is_marked(reach: int) -> None:
    found = measured(reach)
    drawn = cells(shift_map(found, "en"))
    k = 2 * reach + 1
    assert len(drawn) == k * k - 1
    xs, ys = sorted({x for _, x, _, _ in drawn}), sorted({y for _, _, y, _ in drawn})
    assert len(xs) == len(ys) == k
    for title, x, y, full in drawn:
        down, right, share = (float(each) for each in re.findall(r"[-+]?[\d.]+", title))
        assert (ys.index(y) - reach, xs.index(x) - reach) == (down, right)
        # Only columns matter: of 8 pixels in a row, those near an edge of a half change sides.
        assert share == pytest.approx(100 * (1 - 2 * abs(right) / 8))
        assert full == pytest.approx(0.04 + 0.96 * share / 100, abs=0.006)
    middle = re.findall(r'<rect class="empty" x="(\d+)" y="(\d+)"', shift_map(found, "en"))
    assert middle == [(f"{xs[reach]:.0f}", f"{ys[reach]:.0f}")]


def test_words_are_those_of_the_language_and_fit() -> None:
    for language, words in (("en", "right, pixels"), ("ko", "오른쪽으로, 픽셀")):
        svg = shift_map(measured(2), language)
        assert words in svg
        assert 'role="img"' in svg
        width = re.search(r'width="(\d+)"', svg)
        assert width is not None
        assert int(width[1]) < 420


def test_many_shifts_leave_numbers_out_of_the_cells_but_not_out_of_reach() -> None:
    svg = shift_map(measured(12, side=26), "en")
    assert len(cells(svg)) == 25 * 25 - 1
    assert svg.count('class="count') == 1  # the middle
    width = re.search(r'width="(\d+)"', svg)
    assert width is not None
    assert int(width[1]) < 450


def test_parts_of_a_pixel_are_drawn_too() -> None:
    found = translation(Halves(), torch.randn(4, 1, 8, 8), [0, 1, 0, 1], "fractional")
    titles = [title for title, *_ in cells(shift_map(found, "en"))]
    assert len(titles) == 80
    assert any(title.startswith("-0.75, +0.25:") for title in titles)
    assert np.isfinite([full for *_, full in cells(shift_map(found, "en"))]).all()
