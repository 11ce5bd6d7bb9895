"""Each identity, tried on one layer: how far its two sides are apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv.measures.layer_windows import LayerWindows
from whyconv.measures.matrix import LayerMatrix, Taps, matrix_of
from whyconv.measures.untied import kernels, untie
from whyconv.results.fields import Proof, ProofName

TOLERANCE = 1e-12
_NUM_PICTURES = 2
_MOST_BYTES = 64_000_000  # of dense rows, and of pictures, held at a time

Numbers = NDArray[np.float64]


def prove(layer: nn.Module, windows: LayerWindows, seed: int) -> tuple[Proof, ...]:
    """Tries all identities.

    Args:
        layer: In double precision and evaluation mode; its gradients are overwritten.
        windows: How it was read.
        seed: Of pictures and targets.
    """
    drawn = torch.Generator().manual_seed(seed)
    shapes = (windows.convolution.input_shape, windows.convolution.output_shape)
    x, targets = (torch.randn(_NUM_PICTURES, *shape, generator=drawn, dtype=torch.float64) for shape in shapes)
    made = matrix_of(windows)
    taps = Taps.of(windows.convolution)
    with _one_thread():
        with torch.enable_grad():
            answers = _learn(layer, x, targets)
        product = (made.entries @ x.flatten(1).numpy().T).T + made.bias
        return (
            *_twin_proofs(layer, windows, taps, (x, targets, answers)),
            _compared("matrix", apart(answers.flatten(1).numpy(), product)),
            _dense_proof(layer, windows, taps, made, (x, targets)),
            _compared("support", _support_difference(layer, windows, made), 0.0),
        )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Thousands of small passes are quicker on one core than on several that wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def apart(one: Numbers, other: Numbers) -> float:
    """Returns the largest difference, relative to the largest value."""
    largest = float(np.abs(one).max(initial=0))
    return float(np.abs(one - other).max(initial=0)) / (largest or 1.0)


def _compared(name: ProofName, difference: float, tolerance: float = TOLERANCE) -> Proof:
    return Proof(name=name, difference=difference, tolerance=tolerance, is_proved=difference <= tolerance)


def _learn(layer: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
    """Leaves dJ/dw in the layer's parameters and returns its answers."""
    layer.zero_grad()
    answers = layer(x)
    if answers.requires_grad:
        ((answers - targets) ** 2).sum().div(2).backward()
    return torch.as_tensor(answers).detach()


def _twin_proofs(
    layer: nn.Module, windows: LayerWindows, taps: Taps, data: tuple[Tensor, Tensor, Tensor]
) -> Iterator[Proof]:
    """That the layer is its local twin with the kernel tiled, and that sharing sums gradients."""
    if windows.sharing != "shared" or not windows.convolution.axes:
        reason = "proof_no_weights" if windows.sharing == "fixed" else "proof_nothing_shared"
        yield Proof(name="local_twin", reason=reason)
        yield Proof(name="summed_gradient", reason=reason)
        return
    x, targets, answers = data
    twin = untie(windows, taps)
    with torch.enable_grad():
        same = _learn(twin, x, targets)
    yield _compared("local_twin", apart(answers.numpy(), same.numpy()))
    difference = apart(kernels(windows.convolution, _weight_gradient(layer)), twin.summed())
    yield _compared("summed_gradient", difference)


def _dense_proof(
    layer: nn.Module, windows: LayerWindows, taps: Taps, made: LayerMatrix, data: tuple[Tensor, Tensor]
) -> Proof:
    """That locality masks the dense layer's gradient."""
    if windows.sharing == "fixed":
        return Proof(name="dense_gradient", reason="proof_no_weights")
    local, idle = _local_gradients(layer, windows, taps, data)
    largest, farthest = max(float(np.abs(local).max(initial=0)), 1e-300), idle
    for channel, places, dense in _dense_gradients(windows, made, data):
        met = slice(*np.searchsorted(taps.outputs, (places.start, places.stop)))
        group = channel // (windows.convolution.out_channels // windows.convolution.groups)
        offsets = (group * taps.group_in + np.arange(taps.group_in)) * math.prod(windows.convolution.input_shape[1:])
        found = dense[taps.outputs[met] - places.start, np.add.outer(offsets, taps.inputs[met])]
        farthest = max(farthest, float(np.abs(found - local[channel, :, met]).max(initial=0)))
    return _compared("dense_gradient", farthest / largest)


def _local_gradients(
    layer: nn.Module, windows: LayerWindows, taps: Taps, data: tuple[Tensor, Tensor]
) -> tuple[Numbers, float]:
    """dJ/dw of the local layer's taps on data (out, in / groups, t), and the largest of its idle taps."""
    convolution = windows.convolution
    if not convolution.axes:
        return kernels(convolution, _weight_gradient(layer)), 0.0
    if windows.sharing == "shared":
        twin = untie(windows, taps)
        with torch.enable_grad():
            _learn(twin, *data)
        return twin.gradients(), twin.idle()
    shape = (taps.num_places, convolution.out_channels, taps.group_in, -1)
    by_place = _weight_gradient(layer).reshape(shape).copy()
    met = by_place[taps.outputs, :, :, taps.numbers]
    by_place[taps.outputs, :, :, taps.numbers] = 0
    return np.moveaxis(met, 0, -1), float(np.abs(by_place).max(initial=0))


def _dense_gradients(
    windows: LayerWindows, made: LayerMatrix, data: tuple[Tensor, Tensor]
) -> Iterator[tuple[int, range, Numbers]]:
    """Yields dJ/dT of the dense layer whose weights are T: for an output channel and some places (places, inputs)."""
    x, targets = (each.flatten(1) for each in data)
    num_places = math.prod(windows.convolution.output_shape[1:])
    step = max(1, _MOST_BYTES // (8 * x.shape[1]))
    for channel in range(windows.convolution.out_channels):
        for start in range(0, num_places, step):
            places = range(start, min(start + step, num_places))
            rows = slice(channel * num_places + places.start, channel * num_places + places.stop)
            weight = nn.Parameter(torch.from_numpy(made.entries[rows].toarray()))
            with torch.enable_grad():
                answers = nn.functional.linear(x, weight, torch.from_numpy(made.bias[rows]))
                cost = ((answers - targets[:, rows]) ** 2).sum() / 2
                (gradient,) = torch.autograd.grad(cost, weight)
            yield channel, places, gradient.numpy()


def _support_difference(layer: nn.Module, windows: LayerWindows, made: LayerMatrix) -> float:
    """How many entries of the Jacobian are 0 and should not be, or the reverse, and by how many the count is off."""
    convolution = windows.convolution
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.abs_().add_(0.5)  # no weight is 0 and no sum of them cancels
    pattern = made.entries.copy()
    pattern.data[:] = 1
    wrong = total = 0
    step = max(1, _MOST_BYTES // (8 * convolution.num_inputs))
    jacobian = _jacobian_rows(layer, convolution.input_shape)
    for start in range(0, convolution.num_outputs, step):
        expected = pattern[start : start + step].toarray() > 0
        support = np.stack([next(jacobian) != 0 for _ in expected])
        wrong += int((support != expected).sum())
        total += int(support.sum())
    return float(wrong + abs(total - convolution.connections))


def _jacobian_rows(layer: nn.Module, input_shape: tuple[int, ...]) -> Iterator[Numbers]:
    """Yields dy/dx of one output after the other (inputs,), by running the layer backward."""
    x = torch.zeros(1, *input_shape, dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        answers = layer(x).flatten()
    for output in range(len(answers)):
        with torch.enable_grad():
            y = answers[output]
        (gradient,) = torch.autograd.grad(y, x, retain_graph=True)
        yield gradient.flatten().numpy()


def _weight_gradient(layer: nn.Module) -> Numbers:
    holder = next(each for each in layer.modules() if isinstance(getattr(each, "weight", None), nn.Parameter))
    gradient = getattr(holder.weight, "grad", None)
    assert isinstance(gradient, Tensor)
    return np.asarray(gradient.numpy())
