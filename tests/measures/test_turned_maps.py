"""Maps that are turned, or looked along on one axis only: what is said of their places is what gradients say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.counting.network import count_network
from whyconv.counting.reach import reach
from whyconv.counting.receptive_field import receptive_fields
from whyconv.measures.trace import trace

_PLACE = (4, 3)


class _Does(nn.Module):
    """A row of three taps, and what a test does with it."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what
        self.row = nn.Conv2d(2, 2, (1, 3), padding=(0, 1))
        self.along = nn.LayerNorm(8)

    def forward(self, x: Tensor) -> Tensor:
        return _DEEDS[self.what](self, x)


def _turned(x: Tensor) -> Tensor:
    return x.transpose(2, 3)


def _attention(x: Tensor) -> Tensor:
    tokens = x.permute(0, 2, 3, 1)
    return ((tokens @ tokens.transpose(2, 3)).softmax(3) @ tokens).permute(0, 3, 1, 2)


_DEEDS: dict[str, Callable[[_Does, Tensor], Tensor]] = {
    "turned": lambda net, x: _turned(net.row(_turned(net.row(x)))),
    "turned back": lambda net, x: net.row(_turned(_turned(net.row(x)).tanh())),
    "added to itself turned": lambda _, x: x + _turned(x),
    "beside itself turned": lambda _, x: torch.cat([x, _turned(x)], 1),
    "stacked with itself turned": lambda _, x: torch.stack([x, _turned(x)], 2).flatten(1, 2),
    "in a row with itself turned": lambda _, x: x.flatten(2) + _turned(x).flatten(2),
    "rows of sums by columns of sums": lambda _, x: x.sum(3, keepdim=True) * _turned(x.sum(3, keepdim=True)),
    "places for channels": lambda _, x: functional.max_pool2d(x.repeat(1, 4, 1, 1).permute(0, 2, 3, 1), 3, 1, 1),
    "softmax along a row": lambda _, x: x.softmax(3),
    "softmax along a column": lambda net, x: net.row(x.softmax(2)),
    "normalized along a row": lambda net, x: net.along(x),
    "attention along rows": lambda _, x: _attention(x),
    "a map times a map": lambda _, x: x @ x.exp(),
    "a map times itself turned": lambda _, x: x @ _turned(x),
}
_EXACT = ("turned back", "softmax along a row", "softmax along a column", "normalized along a row")
_UNKNOWN = (
    "turned",
    "added to itself turned",
    "beside itself turned",
    "stacked with itself turned",
    "in a row with itself turned",
    "rows of sums by columns of sums",
    "places for channels",
    "attention along rows",
    "a map times a map",
)


def _pixels(network: nn.Module) -> int:
    """How many pixels a place depends on, with all of its channels."""
    x = torch.rand(1, 2, 8, 8, dtype=torch.float64, requires_grad=True)
    made = network.double()(x)
    (made * torch.rand_like(made))[0, :, *_PLACE].sum().backward()
    assert x.grad is not None
    return int((x.grad[0].abs().sum(0) > 1e-12).sum())


@pytest.mark.parametrize("what", _EXACT)
def test_what_is_known_of_one_axis_is_exact(what: str) -> None:
    network = _Does(what)
    graph = trace(network, (2, 8, 8))
    found, field = reach(graph)[-1], receptive_fields(graph)[-1]
    assert (found.reason, found.is_bound) == ("", False)
    assert found.most * 64 == _pixels(network)
    assert not field.is_whole
    assert max(one.size for one in field.axes) <= 10


@pytest.mark.parametrize("what", _UNKNOWN)
def test_what_cannot_be_followed_is_said(what: str) -> None:
    graph = trace(_Does(what), (2, 8, 8))
    assert reach(graph)[-1].reason
    assert receptive_fields(graph)[-1].reason


def test_a_product_of_every_row_with_every_other_sees_all() -> None:
    found = reach(trace(_Does("a map times itself turned"), (2, 8, 8)))[-1]
    assert (found.reason, found.least) == ("", 1)


def test_turned_maps_cost_the_same() -> None:
    turned, plain = (count_network(trace(_Does(what), (2, 8, 8)), what).totals for what in ("turned", "turned back"))
    assert (turned.connections, turned.multiply_adds) == (plain.connections, plain.multiply_adds)
