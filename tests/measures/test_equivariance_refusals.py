"""What equivariance cannot be measured of, in words and before anything is measured."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from whyconv.errors import UsageError
from whyconv.measures.equivariance import equivariance


def pictures(n: int = 3) -> Tensor:
    return torch.randn(n, 1, 16, 16, generator=torch.Generator().manual_seed(1))


def test_a_network_that_decides_by_numbers_is_refused() -> None:
    class Deciding(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = x.abs() if len(x) > 1 else x.relu()
            return x.mean(dim=(2, 3)).expand(-1, 3)

    with pytest.raises(UsageError, match="cannot be followed"):
        equivariance(Deciding(), pictures(), "circular")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pictures": pictures(1), "kind": "circular"}, "at least 2 pictures"),
        ({"pictures": pictures(), "kind": "crop"}, "needs reach"),
        ({"pictures": pictures(), "kind": "zero"}, "cannot be asked for 'zero'"),
        ({"pictures": pictures(), "kind": "crop", "reach": 2, "resampling": "fourier"}, "around a ring"),
        ({"pictures": pictures(), "kind": "crop", "reach": 8}, "cannot be moved by up to 8"),
        ({"pictures": pictures(), "kind": "crop", "reach": 2.5}, "reach = 2.5: expected a whole number of pixels"),
        (
            {"pictures": pictures(), "kind": "crop", "reach": 2, "resampling": "cubic"},
            "expected one of linear, fourier",
        ),
        ({"pictures": pictures() * math.nan, "kind": "circular"}, "not finite"),
    ],
)
def test_what_cannot_be_measured_is_said(given: dict[str, object], words: str) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    with pytest.raises(UsageError, match=words):
        equivariance(network, **given)
