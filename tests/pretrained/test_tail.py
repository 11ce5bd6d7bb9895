"""The last blocks as matrix products against the network's own layers: answers, gradients, and the way back."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.nets.efficientnet import EfficientNetLite0
from whyconv.pretrained.drawing import FEATURES, INPUT, cut_name, draw
from whyconv.pretrained.joining import Head
from whyconv.pretrained.networks import with_head
from whyconv.pretrained.tail import Tail, window_places


def lived_in(seed: int = 0) -> EfficientNetLite0:
    """A network whose normalization has seen something, so that folding it matters."""
    torch.manual_seed(seed)
    network = EfficientNetLite0(num_classes=4).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.3)
            nn.init.normal_(layer.running_mean, 0, 0.3)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return network


def maps_and_features(network: EfficientNetLite0, x: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """What goes into a block, or into the last convolution, and what the last layer takes."""
    seen: dict[str, Tensor] = {}
    watched = [*network.blocks(), dict(network.convolutions())["_conv_head"][0]][block]
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs[0]}))
        for name, layer in (("map", watched), ("features", network.last))
    ]
    network(x)
    for hook in hooks:
        hook.remove()
    return seen["map"], seen["features"]


def planes(maps: Tensor) -> Tensor:
    return maps.flatten(2).permute(1, 0, 2).contiguous()


@pytest.mark.parametrize(("block", "side"), [(16, 64), (14, 64), (12, 96), (11, 64), (9, 48)])
def test_the_products_give_what_the_layers_give(block: int, side: int) -> None:
    network = lived_in()
    with torch.no_grad():
        maps, expected = maps_and_features(network, torch.randn(3, 3, side, side), block)
        found = Tail(network, block, maps.shape[2])(planes(maps))
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(("kernel", "side", "stride"), [(3, 7, 1), (5, 7, 1), (5, 14, 2), (3, 5, 2), (5, 2, 1)])
def test_the_matrix_of_a_window_is_the_convolution(kernel: int, side: int, stride: int) -> None:
    x, weight = torch.randn(2, side, side), torch.randn(kernel, kernel)
    places = -(-side // stride)
    total = max(0, (places - 1) * stride + kernel - side)
    padded = functional.pad(x[:, None], (total // 2, total - total // 2) * 2)
    expected = functional.conv2d(padded, weight[None, None], stride=stride).flatten(1)
    matrix = (weight.flatten() @ window_places(kernel, side, stride).flatten(1)).view(side**2, places**2)
    assert torch.allclose(x.flatten(1) @ matrix, expected, atol=1e-5)
    assert not torch.allclose(x.flatten(1) @ matrix.flip(0), expected, atol=1e-2)


def test_gradients_are_those_of_the_layers() -> None:
    network = lived_in()
    with torch.no_grad():
        maps, _ = maps_and_features(network, torch.randn(2, 3, 64, 64), 14)
    tail = Tail(network, 14, maps.shape[2])
    tail(planes(maps)).square().sum().backward()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.requires_grad_(False)
    y = maps
    for block in list(network.blocks())[14:]:
        y = block(y)
    last, normalization = dict(network.convolutions())["_conv_head"]
    functional.relu6(normalization(last(y))).mean(dim=(2, 3)).square().sum().backward()
    gain = normalization.weight / (normalization.running_var + normalization.eps).sqrt()
    # The folded weight is the weight times the gain of its channel: gradients differ by that factor.
    expected = last.weight.grad.flatten(1) / gain[:, None]
    assert torch.allclose(tail.last.weight.grad, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


def test_tuned_weights_go_back_into_the_network() -> None:
    network, x = lived_in(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        maps, _ = maps_and_features(network, x, 12)
        tail = Tail(network, 12, maps.shape[2])
        for parameter in tail.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        head = Head(np.random.default_rng(0).normal(size=(1280, 2)).astype(np.float32), np.ones(2, np.float32))
        tuned = {name: (weight, bias) for name, weight, bias in tail.convolutions()}
        expected = torch.from_numpy(head.logits(tail(planes(maps)).numpy()))
        found = with_head(network, head, tuned)(x)
        without = with_head(network, head, {})(x)
    scale = float(expected.abs().max())
    assert torch.allclose(found, expected, atol=1e-4 * scale)
    assert not torch.allclose(without, expected, atol=1e-2 * scale)


def test_bfloat16_maps_give_nearly_the_same_and_float32_gradients() -> None:
    network = lived_in()
    with torch.no_grad():
        maps, expected = maps_and_features(network, torch.randn(2, 3, 64, 64), 14)
    tail = Tail(network, 14, maps.shape[2])
    found = tail(planes(maps).to(torch.bfloat16))
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=0.05 * float(expected.abs().max()))
    found.sum().backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in tail.parameters())


@pytest.mark.parametrize("side", [64, 75])
def test_the_drawn_graph_answers_as_the_network_does(side: int) -> None:
    network = lived_in()
    model = draw(network, side, (12, 16))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = torch.randn(2, 3, side, side)
    found = dict(zip((FEATURES, cut_name(12), cut_name(16)), session.run(None, {INPUT: x.numpy()}), strict=True))
    for block in (12, 16):
        with torch.no_grad():
            maps, features = maps_and_features(network, x, block)
        for name, expected in ((cut_name(block), maps), (FEATURES, features)):
            assert np.allclose(found[name], expected.numpy(), atol=1e-4 * float(expected.abs().max()))
