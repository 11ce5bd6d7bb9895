"""Published architectures as far as their windows go, up to the last layer before global pooling.

Sizes for those of TF-slim: A. Araujo, W. Norris, J. Sim, Computing Receptive Fields of Convolutional Neural Networks,
Distill (2019). In TF-slim's ResNet v1 the last unit of a block has the stride, in its 3 x 3 convolution; in
torchvision's, the first unit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from drawn_graph import DrawnGraph


def alexnet() -> DrawnGraph:
    net = DrawnGraph(224, 224)
    x = net.window(net.window("picture", 11, 4), 3, 2, kind="pooling")
    x = net.window(net.same(x, 5), 3, 2, kind="pooling")
    for _ in range(3):
        x = net.same(x, 3)
    net.window(x, 3, 2, kind="pooling")
    return net


def vgg16() -> DrawnGraph:
    net = DrawnGraph(224, 224)
    x = "picture"
    for num_convolutions in (2, 2, 3, 3, 3):
        for _ in range(num_convolutions):
            x = net.window(x, 3, padding=1)
        x = net.window(x, 2, 2, kind="pooling")
    return net


def mobilenet_v1() -> DrawnGraph:
    net = DrawnGraph(224, 224)
    x = net.same("picture", 3, 2)
    for stride in (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1):
        x = net.same(net.same(x, 3, stride), 1)
    return net


def resnet(units: Sequence[int], *, is_bottleneck: bool, is_slim: bool) -> DrawnGraph:
    """Strides in the last unit of the first three blocks (TF-slim), or in the first of the last three (torchvision)."""
    net = DrawnGraph(224, 224)
    x = net.window(net.window("picture", 7, 2, 3), 3, 2, 1, kind="pooling")
    for block, num_units in enumerate(units):
        for unit in range(num_units):
            has_stride = (block < 3 and unit == num_units - 1) if is_slim else (block > 0 and unit == 0)
            stride = 2 if has_stride else 1
            if is_bottleneck:
                main = net.window(net.window(net.window(x, 1), 3, stride, 1), 1)
            else:
                main = net.window(net.window(x, 3, stride, 1), 3, padding=1)
            x = net.meet(main, net.window(x, 1, stride) if has_stride or unit == 0 else x)
    return net


def inception_v3() -> DrawnGraph:
    net = DrawnGraph(299, 299)
    x = net.same(net.window(net.window("picture", 3, 2), 3), 3)
    x = net.window(net.window(x, 3, 2, kind="pooling"), 1)
    x = net.window(net.window(x, 3), 3, 2, kind="pooling")
    for _ in range(3):
        x = _mixed(net, x, [1], [1, 5], [1, 3, 3], [3, 1])
    x = net.meet(
        net.window(x, 3, 2),
        net.window(net.same(net.same(x, 1), 3), 3, 2),
        net.window(x, 3, 2, kind="pooling"),
        kind="concatenate",
    )
    for _ in range(4):
        twice = [1, (7, 1), (1, 7), (7, 1), (1, 7)]
        x = _mixed(net, x, [1], [1, (1, 7), (7, 1)], twice, [3, 1])
    x = net.meet(
        net.window(net.same(x, 1), 3, 2),
        net.window(_chain(net, x, [1, (1, 7), (7, 1)]), 3, 2),
        net.window(x, 3, 2, kind="pooling"),
        kind="concatenate",
    )
    for _ in range(2):
        x = _mixed(net, x, [1], [1, (1, 3)], [1, (3, 1)], [1, 3, (1, 3)], [1, 3, (3, 1)], [3, 1])
    return net


def _mixed(net: DrawnGraph, x: str, *branches: Sequence[int | tuple[int, int]]) -> str:
    return net.meet(*(_chain(net, x, kernels) for kernels in branches), kind="concatenate")


def _chain(net: DrawnGraph, x: str, kernels: Sequence[int | tuple[int, int]]) -> str:
    for kernel in kernels:
        x = net.same(x, kernel)
    return x


_slim = partial(resnet, is_bottleneck=True, is_slim=True)
_torchvision = partial(resnet, is_slim=False)
# Name -> (how to draw it, size of the receptive field, jump), both in pixels.
PUBLISHED: dict[str, tuple[Callable[[], DrawnGraph], int, int]] = {
    "AlexNet": (alexnet, 195, 32),
    "VGG-16": (vgg16, 212, 32),
    "MobileNet-v1": (mobilenet_v1, 315, 32),
    "Inception-v3": (inception_v3, 1311, 32),
    "ResNet-v1-50": (partial(_slim, (3, 4, 6, 3)), 483, 32),
    "ResNet-v1-101": (partial(_slim, (3, 4, 23, 3)), 1027, 32),
    "ResNet-v1-152": (partial(_slim, (3, 8, 36, 3)), 1507, 32),
    "ResNet-18": (partial(_torchvision, (2, 2, 2, 2), is_bottleneck=False), 435, 32),
    "ResNet-34": (partial(_torchvision, (3, 4, 6, 3), is_bottleneck=False), 899, 32),
    "ResNet-50": (partial(_torchvision, (3, 4, 6, 3), is_bottleneck=True), 427, 32),
    "ResNet-101": (partial(_torchvision, (3, 4, 23, 3), is_bottleneck=True), 971, 32),
}
