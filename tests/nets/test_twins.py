"""The twins answer as the network does, share nothing with it, and refuse what they cannot be."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.errors import UsageError
from whyconv.nets import build_network
from whyconv.nets.layers import LocallyConnected2d, SharedGlobal2d
from whyconv.nets.twins import dense_twin, local_twin

DOUBLE = torch.float64


class Winding(nn.Module):
    """One convolution under two names and used three times, tied weights, a sum, functional parts, a spare layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular")
        self.blocks = nn.ModuleDict({"a": nn.Sequential(nn.Conv2d(4, 4, 3, padding="same", groups=2), nn.Tanh())})
        self.again = self.blocks["a"][0]
        self.tied = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.tied.weight = self.again.weight
        self.normalization = nn.BatchNorm2d(4)
        self.spare = nn.Conv2d(9, 9, 1)
        self.last = nn.Conv2d(4, 3, (2, 3), stride=2, dilation=(2, 1))
        self.first.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.first(x))
        x = x + self.again(self.blocks["a"](x))
        x = self.normalization(self.tied(x) * x.mean())
        return self.last(functional.max_pool2d(x, 2)).flatten(1)


@pytest.mark.parametrize("training", [False, True])
def test_the_local_twin_answers_the_same_and_learns_the_sum(training: bool) -> None:
    torch.manual_seed(0)
    network = Winding().double().train(training)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.get_rng_state()
    twin = local_twin(network, (2, 12, 13))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in (*network.modules(), *twin.modules())
    )
    assert twin.training is twin.first.training is training
    x = torch.randn(3, 2, 12, 13, dtype=DOUBLE)
    torch.testing.assert_close(twin(x), network(x), rtol=1e-12, atol=1e-12)
    for each in (twin, network):
        each(x).square().sum().backward()
    assert twin.again is twin.blocks["a"][0]
    assert twin.tied.weight is twin.again.weight
    assert isinstance(twin.spare, nn.Conv2d)
    assert twin.first.bias.grad is None
    for name in ("first", "again", "last"):
        layer, convolution = twin.get_submodule(name), network.get_submodule(name)
        assert isinstance(layer, LocallyConnected2d)
        torch.testing.assert_close(layer.weight.grad.sum((0, 1)), convolution.weight.grad, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(twin.normalization.weight.grad, network.normalization.weight.grad)


@pytest.mark.parametrize(("name", "side"), [("lesson", 12), ("plain", 10)])
def test_our_own_networks_have_local_twins(name: str, side: int) -> None:
    torch.manual_seed(0)
    network = build_network(name, in_channels=3, num_classes=4, side=side).double().eval()
    twin = local_twin(network, (3, side, side))
    assert not any(isinstance(module, nn.Conv2d) for module in twin.modules())
    x = torch.randn(2, 3, side, side, dtype=DOUBLE)
    torch.testing.assert_close(twin(x), network(x), rtol=1e-12, atol=1e-12)


def test_a_lone_convolution_has_a_twin_and_on_meta_nothing_is_allocated() -> None:
    convolution = nn.Conv2d(3, 6, 5, device="meta")
    twin = local_twin(convolution, (3, 1000, 1000), max_bytes=0)
    assert sum(each.numel() for each in twin.parameters()) == 452_359_296
    assert twin.weight.is_meta


class Unfit(nn.Module):
    """Everything that has no local twin."""

    def __init__(self) -> None:
        super().__init__()
        self.two_sizes = nn.Conv2d(2, 2, 3)
        self.up = nn.ConvTranspose2d(2, 2, 2)
        self.line = nn.Conv1d(2, 2, 1)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 2, 1))
        self.tied = nn.Conv2d(2, 2, 3)
        self.watched = nn.Conv2d(2, 2, 1)
        self.watched.register_forward_hook(lambda module, inputs, output: output * 2)
        self.hidden = [nn.Conv2d(2, 2, 1)]

    def forward(self, x: Tensor) -> Tensor:
        x = self.two_sizes(self.two_sizes(x))
        x = self.watched(self.normed(self.up(x)))
        x = functional.conv2d(x, self.two_sizes.weight)
        return self.line(self.hidden[0](x).flatten(2))


def test_all_that_cannot_be_twinned_is_named_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        local_twin(Unfit(), (2, 12, 12))
    said = str(caught.value)
    for part in ("two_sizes: ", "10 x 10 and 12 x 12", "up: Conv", "line: Conv1d", "normed: ", "watched: ", "hooks"):
        assert part in said
    assert "2 convolution(s) called as a function" in said


def test_tied_weights_at_different_places_are_refused() -> None:
    network = nn.Sequential(nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3))
    network[1].weight = network[0].weight
    with pytest.raises(UsageError, match="1: its weights are those of 0, at 4 x 4 places and not 6 x 6"):
        local_twin(network, (2, 8, 8))


def test_the_bytes_are_said_before_anything_is_allocated() -> None:
    with pytest.raises(UsageError, match=r"1,809,437,184 bytes for 452,359,296 weights and biases"):
        local_twin(nn.Conv2d(3, 6, 5), (3, 1000, 1000), max_bytes=1e9)
    with pytest.raises(UsageError, match=r"71,425,175,808,384 bytes for 17,856,293,952,096 weights"):
        dense_twin(nn.Conv2d(3, 6, 5), (3, 1000, 1000))


def test_a_network_that_fails_is_told_apart_from_one_without_twin() -> None:
    network = nn.Conv2d(3, 6, 5)
    with pytest.raises(UsageError, match=r"fails on a picture of shape \(1, 1, 9, 9\)"):
        local_twin(network, (1, 9, 9))
    assert not network._forward_hooks


LAYERS = {
    "convolution": lambda: nn.Conv2d(2, 4, (3, 2), stride=2, padding=1, groups=2),
    "merged taps": lambda: nn.Conv2d(2, 3, 5, padding=2, padding_mode="reflect", bias=False),
    "transposed": lambda: nn.ConvTranspose2d(2, 3, 3, stride=2),
    "local": lambda: LocallyConnected2d(2, 3, 3, (6, 5), padding=1),
    "shared global": lambda: SharedGlobal2d(2, 3, (6, 5)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_dense_twin_is_the_matrix_of_the_layer(name: str) -> None:
    torch.manual_seed(0)
    layer = LAYERS[name]().double()
    twin = dense_twin(layer, (2, 6, 5))
    x = torch.randn(3, 2, 6, 5, dtype=DOUBLE)
    torch.testing.assert_close(twin(x), layer(x), rtol=1e-12, atol=1e-12)
    jacobian = torch.autograd.functional.jacobian(layer, x[:1]).reshape(twin[1].weight.shape)
    torch.testing.assert_close(twin[1].weight, jacobian, rtol=1e-12, atol=1e-12)


def test_the_dense_gradient_on_the_support_is_the_local_twins() -> None:
    """Identity 3: locality is a mask. Which entry is which weight is read off a layer that holds their numbers."""
    torch.manual_seed(0)
    local = LocallyConnected2d(2, 3, 3, (6, 5), stride=2, padding=1, dtype=DOUBLE)
    dense = dense_twin(local, (2, 6, 5))
    numbered = LocallyConnected2d(2, 3, 3, (6, 5), stride=2, padding=1, dtype=DOUBLE)
    with torch.no_grad():
        numbered.weight.copy_(torch.arange(1, numbered.weight.numel() + 1).view_as(numbered.weight))
    entries = dense_twin(numbered, (2, 6, 5))[1].weight.long()
    x = torch.randn(4, 2, 6, 5, dtype=DOUBLE)
    for each in (local, dense):
        each(x).pow(3).sum().backward()
    support = entries > 0
    expected = local.weight.grad.flatten()[entries[support] - 1]
    torch.testing.assert_close(dense[1].weight.grad[support], expected, rtol=1e-12, atol=1e-12)
    assert dense[1].weight.grad[~support].abs().max() > 0
    never_met = torch.ones(local.weight.numel(), dtype=torch.bool)
    never_met[entries[support] - 1] = False
    assert never_met.any()
    assert not local.weight.grad.flatten()[never_met].any()


def test_other_layers_have_no_dense_twin() -> None:
    with pytest.raises(UsageError, match="MaxPool2d"):
        dense_twin(nn.MaxPool2d(2), (2, 6, 5))


def test_one_convolution_alone_can_be_untied() -> None:
    torch.manual_seed(0)
    network = Winding().double().eval()
    twin = local_twin(network, (2, 12, 13), only="last")
    local = [name for name, module in twin.named_modules() if isinstance(module, LocallyConnected2d)]
    assert local == ["last"]
    assert isinstance(twin.first, nn.Conv2d)
    x = torch.randn(2, 2, 12, 13, dtype=DOUBLE)
    torch.testing.assert_close(twin(x), network(x), rtol=1e-12, atol=1e-12)
    # Only its own weights count against the limit.
    local_twin(network, (2, 12, 13), only="last", max_bytes=twin.last.weight.nbytes + twin.last.bias.nbytes)


def test_what_is_wrong_elsewhere_does_not_matter_to_the_one_that_is_untied() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(2, 2, 2))
    assert isinstance(local_twin(network, (1, 6, 6), only="0")[0], LocallyConnected2d)
    for only, complaint in [
        ("1", "ConvTranspose2d has no local twin"),
        ("2", "no convolution '2'"),
        ("", "no convolution"),
    ]:
        with pytest.raises(UsageError, match=complaint):
            local_twin(network, (1, 6, 6), only=only)
    with pytest.raises(UsageError, match="its weights are those of tied too"):
        local_twin(Winding(), (2, 12, 13), only="again")
    with pytest.raises(UsageError, match="no convolution 'spare' that a picture reaches"):
        local_twin(Winding(), (2, 12, 13), only="spare")
