"""Boxes of places, found a second way: where the gradient of positive weights is not zero."""

from __future__ import annotations

import itertools
import random

import pytest
import torch
from torch import Tensor, nn

from whyconv.study.patches import placed_field

SIDE = (17, 20)


def layer(draw: random.Random) -> nn.Module:
    """A window of any kind, or what enlarges."""
    kernel = draw.randint(1, 4)
    match draw.choice(["window", "window", "pooling", "padding", "transposed", "upsampling", "strided"]):
        case "window":
            return nn.Conv2d(1, 1, kernel, padding=draw.choice([0, kernel // 2]), dilation=draw.choice([1, 1, 2]))
        case "strided":
            return nn.Conv2d(1, 1, kernel, draw.choice([2, 3]), draw.choice([0, 1]))
        case "pooling":
            return nn.AvgPool2d(kernel, draw.choice([1, 2]), kernel // 2, ceil_mode=draw.random() < 0.5)
        case "padding":
            return nn.ZeroPad2d(tuple(draw.randint(0, 2) for _ in range(4)))
        case "transposed":
            return nn.ConvTranspose2d(1, 1, kernel, draw.choice([1, 2, 3]), draw.randint(0, kernel - 1))
    return nn.Upsample(scale_factor=draw.choice([2, 3]))


def network(seed: int) -> nn.Sequential:
    draw = random.Random(seed)
    torch.manual_seed(0)
    found = nn.Sequential(*(layer(draw) for _ in range(draw.randint(1, 3))), nn.Conv2d(1, 1, 3, padding=1))
    for each in found.parameters():
        each.data = each.data.abs() + 0.1
    return found


def support(made: Tensor, x: Tensor, place: tuple[int, int]) -> tuple[int, int, int, int] | None:
    (gradient,) = torch.autograd.grad(made[0, 0, place[0], place[1]], x, retain_graph=True)
    rows, columns = (gradient[0, 0] != 0).nonzero().T
    if not len(rows):
        return None
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1


@pytest.mark.parametrize("seed", range(60))
def test_a_box_holds_what_its_place_depends_on_and_inside_no_line_more(seed: int) -> None:
    body = network(seed)
    x = torch.rand(1, 1, *SIDE, requires_grad=True)
    try:
        made = body(x)
    except RuntimeError:
        return  # a window larger than its map
    name = str(len(body) - 1)
    field = placed_field(nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten()), name, (1, *SIDE))
    for place in itertools.product(range(0, made.shape[2], 3), range(0, made.shape[3], 3)):
        reached = support(made, x, place)
        top, left, high, wide = field.box(place)
        if reached is None:
            continue
        assert top <= reached[0]
        assert left <= reached[1]
        assert reached[2] <= top + high
        assert reached[3] <= left + wide
        if field.size == (high, wide):  # not cut at a border
            assert reached == (top, left, top + high, left + wide)


def test_fields_of_one_size_that_do_not_follow_one_another_evenly_have_no_boxes() -> None:
    uneven = nn.Sequential(nn.Conv2d(1, 1, 2, 2, 1), nn.Upsample(scale_factor=2), nn.Conv2d(1, 1, 3, padding=1))
    assert placed_field(uneven, "2", (1, 16, 16)).axes == ()
    even = nn.Sequential(nn.Conv2d(1, 1, 2, 2, 1), nn.Conv2d(1, 1, 3, padding=1))
    assert placed_field(even, "1", (1, 16, 16)).box((3, 3)) == (3, 3, 6, 6)
