"""A graph run in torch with every weight 1, so that nothing cancels: the gradient's support is what depends on what."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

from whyconv.counting import Graph, Node

_CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_SPREAD = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}
_MODE = {"reflect": "reflect", "replicate": "replicate", "circular": "circular", "zeros": "constant"}


@contextmanager
def one_thread() -> Iterator[None]:
    """Tensors this small are quicker on one core than on two that wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run(graph: Graph, picture: Tensor) -> dict[str, Tensor]:
    """Every value of the graph; ReLU and maximum stand for sums, concatenation keeps channels apart."""
    values = {graph.inputs[0]: picture}
    for node in graph.nodes:
        values[node.outputs[0]] = _apply(graph, node, [values[source] for source in node.inputs])
    return values


def supports(graph: Graph) -> dict[str, Tensor]:
    """For every value booleans (places..., pixels...): the network is linear, so one bright pixel is one column."""
    lengths = graph.shapes[graph.inputs[0]][2:]
    num_pixels = math.prod(lengths)
    columns = torch.eye(num_pixels, dtype=torch.float64).reshape(num_pixels, 1, *lengths)
    with one_thread():
        values = run(graph, columns)
    return {name: (value.sum(dim=1) > 0).movedim(0, -1).unflatten(-1, lengths) for name, value in values.items()}


def gradient_support(graph: Graph, value: str, place: tuple[int, ...]) -> Tensor:
    """Booleans (pixels...): where the gradient of one place of a value is not zero."""
    picture = torch.ones(graph.shapes[graph.inputs[0]], dtype=torch.float64, requires_grad=True)
    with one_thread():
        answer = run(graph, picture)[value].sum(dim=(0, 1))[place]
        (gradient,) = torch.autograd.grad(answer, picture, allow_unused=True)
    return gradient[0, 0] > 0 if gradient is not None else torch.zeros_like(picture[0, 0], dtype=torch.bool)


def _apply(graph: Graph, node: Node, sources: list[Tensor]) -> Tensor:
    if node.reach == "all":
        x = sources[0].flatten(1).sum(dim=1)
        shape = graph.shapes[node.outputs[0]]
        return x.reshape(-1, *[1] * (len(shape) - 1)).expand(-1, *shape[1:])
    if node.kind == "concatenate":
        return torch.cat(sources, dim=1)
    if node.reach == "same":
        total = sources[0].sum(dim=1, keepdim=True)
        for more in sources[1:]:
            total = total + more.sum(dim=1, keepdim=True)
        return total
    return _slide(node, sources[0].sum(dim=1, keepdim=True))


def _slide(node: Node, x: Tensor) -> Tensor:
    rank = len(node.axes)
    ones = torch.ones((1, 1, *(axis.kernel for axis in node.axes)), dtype=torch.float64)
    strides, dilations = [axis.stride for axis in node.axes], [axis.dilation for axis in node.axes]
    if node.is_transposed:
        y = _SPREAD[rank](x, ones, stride=strides, dilation=dilations)
        return y[(..., *(slice(axis.padding[0], axis.padding[0] + axis.length) for axis in node.axes))]
    for number, axis in enumerate(node.axes):  # one axis at a time: each has its own mode
        around = [0, 0] * rank
        around[2 * (rank - 1 - number) : 2 * (rank - number)] = axis.padding
        x = functional.pad(x, around, mode=_MODE[axis.mode])
        over = (axis.output_length - 1) * axis.stride + axis.reach - x.shape[2 + number]
        around[2 * (rank - 1 - number) : 2 * (rank - number)] = 0, max(0, over)
        x = functional.pad(x, around)
    return _CONVOLVE[rank](x, ones, stride=strides, dilation=dilations)
