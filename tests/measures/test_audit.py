"""Seven networks that counters get wrong, one reason each: what is true, what we count, and what two others count.

Their numbers stand here so that we notice when they change; they are no judgment of the packages, which count other
things well.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from whyconv.counting.network import count_network
from whyconv.measures import trace
from whyconv.results.network import NetworkReport


class CalledTwice(nn.Module):
    """One convolution, used for both steps."""

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.step(self.step(x))


class Tied(nn.Module):
    """Two convolutions that hold the same weights and biases."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.second.weight, self.second.bias = self.first.weight, self.first.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


class Functional(nn.Module):
    """A convolution without a module, then a linear layer with one."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(4, 4, 3, 3))
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.conv2d(x, self.kernel, padding=1).mean((2, 3)))


class LocalByEinsum(nn.Module):
    """The lecture's layer with weights and biases of its own at each of the 784 places."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(784, 6, 75))
        self.bias = nn.Parameter(torch.randn(6, 784))
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(torch.einsum("nkp,pok->nop", F.unfold(x, 5), self.weight) + self.bias)


@dataclass(frozen=True)
class Row:
    """What is true, and what others say: (parameters, multiply-adds)."""

    build: Callable[[], nn.Module]
    input_shape: tuple[int, int, int]
    truth: tuple[int, int]
    connections: int
    torchinfo: tuple[int, int]
    fvcore: tuple[int, int]


ROWS = {
    "the lecture's convolution": Row(
        lambda: nn.Conv2d(3, 6, 5), (3, 32, 32), (456, 352_800), 352_800, (456, 357_504), (456, 352_800)
    ),
    "one layer called twice": Row(CalledTwice, (4, 8, 8), (148, 18_432), 15_488, (148, 18_944), (148, 18_432)),
    "two layers tied": Row(Tied, (4, 8, 8), (148, 18_432), 15_488, (296, 18_944), (148, 18_432)),
    "no module": Row(Functional, (4, 8, 8), (154, 9_224), 7_752, (154, 10), (154, 9_224)),
    "padding": Row(lambda: nn.Conv2d(1, 1, 3, padding=1, bias=False), (1, 6, 6), (9, 324), 256, (9, 324), (9, 324)),
    "transposed": Row(
        lambda: nn.ConvTranspose2d(32, 1, 3, bias=False), (32, 1, 1), (288, 288), 288, (288, 2_592), (288, 288)
    ),
    "local": Row(LocalByEinsum, (3, 32, 32), (357_504, 352_800), 352_800, (357_504, 0), (357_504, 352_800)),
}
by_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


def count(row: Row) -> NetworkReport:
    return count_network(trace(row.build(), row.input_shape), "audit")


@by_row
def test_whyconv_counts_the_truth(row: Row) -> None:
    totals = count(row).totals
    assert (totals.parameters, totals.nominal_multiply_adds) == row.truth
    assert totals.connections == row.connections
    assert totals.not_analyzed == 0


def test_what_sharing_and_padding_amount_to() -> None:
    lecture = count(ROWS["the lecture's convolution"]).layers[0]
    assert (lecture.locality_factor, lecture.sharing_factor) == (40.96, 784.0)
    assert (lecture.dense.parameters, lecture.local.parameters) == (14_455_392, 357_504)
    assert lecture.nominal_flops == 705_600
    local = count(ROWS["local"]).layers[0]
    assert (local.kind, local.locality_factor, local.sharing_factor) == ("locally_connected", 40.96, 1.0)
    twice = count(ROWS["one layer called twice"])
    assert (twice.totals.as_used, twice.totals.sharing_in_time) == (296, 2.0)
    assert [(layer.name, layer.call, layer.num_new) for layer in twice.layers] == [("step", 1, 148), ("step#2", 2, 0)]
    assert count(ROWS["two layers tied"]).parameters[0].names == ["first.weight", "second.weight"]


@by_row
def test_torchinfo_counts_what_it_did(row: Row) -> None:
    from torchinfo import summary

    found = summary(row.build(), (1, *row.input_shape), verbose=0)
    assert (found.total_params, found.total_mult_adds) == row.torchinfo


@by_row
@pytest.mark.filterwarnings("ignore")  # fvcore uses parts of torch that are going
def test_fvcore_counts_what_it_did(row: Row) -> None:
    from fvcore.nn import FlopCountAnalysis, parameter_count

    logging.disable(logging.WARNING)
    try:
        network = row.build().eval()
        found = parameter_count(network)[""], FlopCountAnalysis(network, torch.zeros(1, *row.input_shape)).total()
    finally:
        logging.disable(logging.NOTSET)
    assert found == row.fvcore


def test_the_others_differ_from_the_truth_somewhere() -> None:
    assert sum(row.torchinfo != row.truth for row in ROWS.values()) == 6
    assert {name for name, row in ROWS.items() if row.connections != row.fvcore[1]} >= {"padding"}
