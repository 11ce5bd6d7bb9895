"""The profile times what the step really does: every convolution, in its precision, and only the gradients it needs."""

from __future__ import annotations

import pytest
import torch

from tiny_training import bars, tiny_plan
from whyconv.nets import build_network
from whyconv.training import profile
from whyconv.training.precision import computing_in
from whyconv.training.profile import profile_plan


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_convolution_is_noted_as_it_is_called(precision: str) -> None:
    network = build_network("swift", in_channels=3, num_classes=4, side=32)
    with computing_in(precision, network) as ask, profile._noting_calls(network) as calls:
        ask(torch.randn(2, 3, 32, 32))
    low = torch.float32 if precision == "float32" else torch.bfloat16
    assert [call.dtype for call in calls] == [torch.float32] + [low] * 6
    assert [call.weight_shape[0] for call in calls] == [24, 64, 64, 256, 256, 256, 256]
    assert [call.input_shape[2] for call in calls] == [32, 31, 15, 15, 7, 7, 3]
    # The first layer learns nothing, so that nothing goes back to it through the second.
    assert [call.needs_weight_gradient for call in calls] == [False] + [True] * 6
    assert [call.needs_input_gradient for call in calls] == [False, False] + [True] * 5


def test_convolutions_alone_are_a_part_of_the_step() -> None:
    found = profile_plan(tiny_plan(16, network="plain", batch=32), bars(64, side=16))
    assert found.convolution_seconds > 0
    assert 0 < found.convolution_fraction < 1.2
    assert found.convolution_fraction == found.convolution_seconds / found.step_seconds


def test_of_convolutions_called_alike_each_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "_best", lambda call, *_: 1.0)
    plan = tiny_plan(16, network="plain", batch=32)
    convolutions = sum(
        isinstance(each, torch.nn.Conv2d)
        for each in build_network("plain", in_channels=1, num_classes=2, side=16).modules()
    )
    assert profile_plan(plan, bars(64, side=16)).convolution_seconds == convolutions
