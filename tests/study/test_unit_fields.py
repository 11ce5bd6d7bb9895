"""What a unit sees, found a second way: by changing one pixel after the other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from whyconv.errors import UsageError
from whyconv.nets import Lesson
from whyconv.results.unit_fields import UnitFields
from whyconv.study import unit_fields

SIDE = 20


class Branches(nn.Module):
    """A small and a large window side by side, then a stride."""

    def __init__(self) -> None:
        super().__init__()
        self.small = nn.Conv2d(1, 2, 1)
        self.large = nn.Conv2d(1, 2, 5, padding=2)
        self.after = nn.Conv2d(2, 2, 3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.after(self.small(x) + self.large(x)).mean((2, 3))


def plain() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(1, 2, 3), nn.AvgPool2d(2), nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, dilation=2)),
        *(nn.AvgPool2d(2), nn.Flatten(), nn.LazyLinear(3)),
    )


def seen_by(network: nn.Module, layer: str, place: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box of pixels that a unit's gradient reaches, whatever the weights."""
    heard = {}
    network.get_submodule(layer).register_forward_hook(lambda module, arrived, y: heard.update(y=y))
    x = torch.randn(1, 1, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
    network.double()(x)
    heard["y"][0, :, place[0], place[1]].sum().backward()
    assert x.grad is not None
    rows, columns = (x.grad[0, 0] != 0).nonzero().T
    top, left = int(rows.min()), int(columns.min())
    return top, left, int(rows.max()) - top + 1, int(columns.max()) - left + 1


@pytest.mark.parametrize("make", [plain, Branches])
def test_boxes_are_where_the_gradient_reaches(make) -> None:
    torch.manual_seed(0)
    network = make().eval()
    network(torch.zeros(1, 1, SIDE, SIDE))
    found = unit_fields(network, (1, SIDE, SIDE))
    assert found.picture == (SIDE, SIDE)
    assert 2 <= len(found.units) <= 4
    assert [one.size for one in found.units] == sorted({one.size for one in found.units})
    for one in found.units:
        assert one.place == (one.places[0] // 2, one.places[1] // 2)
        assert seen_by(make_again(network), one.layer, one.place) == one.box
        assert one.is_cut == (one.size != one.box[2:])


def make_again(network: nn.Module) -> nn.Module:
    """The same network without the hooks of the last question."""
    for module in network.modules():
        module._forward_hooks.clear()
    return network


def test_a_wide_field_is_cut_at_the_border() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 7, padding=3), nn.Conv2d(1, 1, 7, padding=3)).eval()
    first, second = unit_fields(network, (1, 8, 8)).units
    assert (first.size, first.box, first.is_cut) == ((7, 7), (1, 1, 7, 7), False)
    assert (second.size, second.box, second.is_cut) == ((13, 13), (0, 0, 8, 8), True)


def test_the_first_and_the_last_layer_are_among_them() -> None:
    layers = [nn.Conv2d(1, 1, 3, padding=1) for _ in range(9)]
    found = unit_fields(nn.Sequential(*layers).eval(), (1, 24, 24))
    assert [one.layer for one in found.units] == ["0", "3", "5", "8"]
    assert [one.size for one in found.units] == [(3, 3), (9, 9), (13, 13), (19, 19)]


def test_networks_of_whyconv_have_some() -> None:
    found = unit_fields(Lesson(in_channels=1, side=16, num_classes=4).eval(), (1, 16, 16))
    assert found.units
    assert UnitFields.model_validate_json(found.model_dump_json()) == found


def test_what_cannot_be_followed_is_an_error() -> None:
    with pytest.raises(UsageError):
        unit_fields(nn.Conv2d(3, 1, 3), (1, 8, 8))
