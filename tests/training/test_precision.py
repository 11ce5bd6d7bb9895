"""bfloat16 in the convolutions: the same answer to three digits, the same direction of descent, nothing left behind."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.nets import build_network
from whyconv.settings import Precision
from whyconv.training.precision import computing_in

NETWORKS = ["swift", "plain", "lesson", "resnet18", "mobilenet_v2"]


def gradients(network: nn.Module, x: Tensor, y: Tensor, precision: Precision) -> Tensor:
    network.zero_grad()
    with computing_in(precision, network) as forward:
        functional.cross_entropy(forward(x), y).backward()
    return torch.cat([each.grad.flatten() for each in network.parameters() if each.grad is not None])


@pytest.mark.parametrize("name", NETWORKS)
def test_answers_and_gradients_are_nearly_those_of_float32(name: str) -> None:
    torch.manual_seed(0)
    network = build_network(name, in_channels=3, num_classes=4, side=32).eval()
    x, y = torch.randn(16, 3, 32, 32), torch.randint(0, 4, (16,))
    exact = network(x).detach()
    with computing_in("bfloat16", network) as forward:
        rounded = forward(x).detach()
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert (rounded - exact).norm() < 0.05 * exact.norm()
    pair = [gradients(network, x, y, precision) for precision in ("float32", "bfloat16")]
    assert functional.cosine_similarity(*pair, dim=0) > 0.9


def test_weights_and_statistics_stay_float32_and_the_network_is_as_before() -> None:
    network = build_network("swift", in_channels=3, num_classes=4, side=32).train()
    x = torch.randn(4, 3, 32, 32)
    with computing_in("bfloat16", network) as forward:
        forward(x).sum().backward()
    assert {each.dtype for each in network.state_dict().values()} == {torch.float32, torch.int64}
    assert all(each.grad.dtype == torch.float32 for each in network.parameters() if each.grad is not None)
    assert network.blocks[0].widen_norm.running_mean.abs().sum() > 0
    assert network(x).dtype == torch.float32
    assert not any(each._forward_pre_hooks or each._forward_hooks for each in network.modules())
