"""The self-test prefers bfloat16 only where it is faster and right."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from whyconv.nets import build_network
from whyconv.settings import Precision
from whyconv.training import self_test
from whyconv.training.self_test import SelfTest, try_precisions

TRIAL = """
import torch
from whyconv.nets import build_network
from whyconv.training.self_test import try_precisions

network = build_network("swift", in_channels=3, num_classes=4, side=32)
x = torch.randn(64, 3, 32, 32).contiguous(memory_format=torch.channels_last)
print(try_precisions(network, x, torch.zeros(64, dtype=torch.int64)).precision)
"""


@pytest.mark.parametrize(
    ("gain", "error", "cosine", "expected"),
    [
        (2.0, 0.01, 0.99, "bfloat16"),
        (1.1, 0.01, 0.99, "float32"),
        (2.0, 0.3, 0.99, "float32"),
        (2.0, 0.01, 0.5, "float32"),
        (2.0, float("nan"), 0.99, "float32"),
        (2.0, 0.01, float("nan"), "float32"),
    ],
)
def test_both_speed_and_correctness_count(gain: float, error: float, cosine: float, expected: Precision) -> None:
    assert SelfTest(gain, error, cosine).precision == expected


def test_a_wrong_kernel_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_network("swift", in_channels=3, num_classes=4, side=32)
    x, labels = torch.randn(16, 3, 32, 32), torch.randint(0, 4, (16,))
    assert try_precisions(network, x, labels).error < 0.05
    honest = self_test._logits_and_gradient

    def broken(network: object, x: Tensor, labels: Tensor, precision: Precision) -> tuple[Tensor, Tensor]:
        logits, gradient = honest(network, x, labels, precision)  # type: ignore[arg-type]
        return (logits.flip(0), gradient) if precision == "bfloat16" else (logits, gradient)

    monkeypatch.setattr(self_test, "_logits_and_gradient", broken)
    assert try_precisions(network, x, labels).precision == "float32"


def test_the_network_stays_as_it_is() -> None:
    network = build_network("plain", in_channels=1, num_classes=3, side=32)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    try_precisions(network, torch.randn(8, 1, 32, 32), torch.zeros(8, dtype=torch.int64))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(each.grad is None for each in network.parameters())


@pytest.mark.slow
def test_without_bfloat16_instructions_it_is_float32() -> None:
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(
        [sys.executable, "-c", TRIAL], env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.split() == ["float32"], done.stdout
