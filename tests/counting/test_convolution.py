"""Counts of a layer against the layer itself: torch slides it over every unit input, in double precision."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from whyconv.counting import Axis, Convolution
from whyconv.errors import UsageError


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Hundreds of small layers: waking a second thread would take longer than the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def apply(layer: Convolution, x: Tensor, weights: Tensor) -> Tensor:
    """The layer by torch: pads (n, c, *axes) first, then slides."""
    around = [places for axis in reversed(layer.axes) for places in axis.padding]
    mode = layer.axes[0].mode
    padded = functional.pad(x, around, mode="constant" if mode == "zeros" else mode)
    strides, dilations = [axis.stride for axis in layer.axes], [axis.dilation for axis in layer.axes]
    slide = CONVOLVE[len(layer.axes)]
    return slide(padded, weights, None, strides, 0, dilations, layer.groups)


def mismatches(layer: Convolution) -> Iterator[str]:
    """Names of the counts that differ from what the layer does.

    With ones for weights, entry (i, o) of the Jacobian is the number of taps through which input i reaches output o;
    with ones for inputs, the gradient of a weight is the number of places at which it meets data.
    """
    shape = (layer.out_channels, layer.in_channels // layer.groups, *(axis.kernel for axis in layer.axes))
    ones = torch.ones(shape, dtype=torch.float64)
    units = torch.eye(layer.num_inputs, dtype=torch.float64).view(-1, *layer.input_shape)
    answers = apply(layer, units, ones)
    jacobian = answers.flatten(1).long()
    weights = ones.clone().requires_grad_()
    apply(layer, torch.ones(1, *layer.input_shape, dtype=torch.float64), weights).sum().backward()
    assert weights.grad is not None
    sharing = weights.grad.long()
    taps, inputs = jacobian.sum(0), (jacobian > 0).sum(0)
    flops = int(sum(2 * count - (0 if layer.has_bias else 1) for count in taps.tolist() if count))
    found = {
        "output_shape": tuple(answers.shape[1:]),
        "connections": int(inputs.sum()),
        "multiply_adds": int(taps.sum()),
        "flops": flops,
        "inputs_per_output": (int(inputs.min()), int(inputs.max())),
        "tap_sharing": (int(sharing.min()), int(sharing.max())),
        "weights": weights.numel(),
        "idle_weights": int((sharing == 0).sum()),
        "dense_weights": jacobian.numel(),
    }
    yield from (name for name, value in found.items() if getattr(layer, name) != value)
    along = torch.ones((), dtype=torch.long)
    for axis in layer.axes:
        along = along.unsqueeze(-1) * torch.tensor(axis.tap_counts)
    if not (sharing == along).all():
        yield "tap_counts"


@st.composite
def axes(draw: st.DrawFn, mode: str, largest: int) -> Axis:
    length, kernel, dilation = draw(st.integers(1, largest)), draw(st.integers(1, 5)), draw(st.integers(1, 3))
    most = {"reflect": length - 1, "circular": length}.get(mode, 6)
    padding = (draw(st.integers(0, most)), draw(st.integers(0, most)))
    reach = dilation * (kernel - 1) + 1
    kernel = kernel if length + sum(padding) >= reach else 1
    return Axis(length, kernel, draw(st.integers(1, 4)), padding, dilation, mode)


@st.composite
def layers(draw: st.DrawFn) -> Convolution:
    mode = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    num_axes = draw(st.sampled_from([1, 2, 2, 2, 2, 3]))
    largest = {1: 16, 2: 8, 3: 4}[num_axes]
    groups = draw(st.integers(1, 3))
    channels = [groups * draw(st.integers(1, 2)) for _ in range(2)]
    found = tuple(draw(axes(mode, largest)) for _ in range(num_axes))
    return Convolution(found, *channels, groups=groups, has_bias=draw(st.booleans()))


@settings(max_examples=500, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(layers())
def test_every_count_is_that_of_the_jacobian(layer: Convolution) -> None:
    assert list(mismatches(layer)) == []


class _PaddingCounted(Convolution):
    """What other counters do."""

    @property
    def multiply_adds(self) -> int:
        return self.nominal_multiply_adds


class _MergedTwice(Convolution):
    """A circular kernel larger than the picture whose taps are all taken for different inputs."""

    @property
    def connections(self) -> int:  # type: ignore[override]
        return self.multiply_adds


class _IdleAsIfLocal(Convolution):
    """Where each weight had one place only, as in the local layer."""

    @property
    def idle_weights(self) -> int:
        return max(0, self.weights - self.multiply_adds)


@pytest.mark.parametrize(
    ("layer", "wrong"),
    [
        (_IdleAsIfLocal((Axis(3, 7, padding=(3, 3)),) * 2, 1, 1), ["idle_weights"]),
        (_PaddingCounted((Axis(6, 3, padding=(1, 1)),) * 2, 1, 1), ["multiply_adds", "flops"]),
        (_MergedTwice((Axis(2, 5, padding=(2, 2), mode="circular"),) * 2, 1, 1), ["connections"]),
    ],
)
def test_a_planted_mistake_is_found(layer: Convolution, wrong: list[str]) -> None:
    assert list(mismatches(layer)) == wrong


TRANSPOSE = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}


def products(layer: Convolution, output_padding: list[int], *, has_padding: bool) -> Tensor:
    """How many products each output of a transposed layer sums up: what it makes of ones with weights of ones.

    Without its padding it keeps every output that a tap reaches, also those that padding takes away.
    """
    shape = (layer.in_channels, layer.out_channels // layer.groups, *(axis.kernel for axis in layer.axes))
    made = TRANSPOSE[len(layer.axes)](
        torch.ones(1, *layer.input_shape, dtype=torch.float64),
        torch.ones(shape, dtype=torch.float64),
        None,
        [axis.stride for axis in layer.axes],
        [axis.padding[0] if has_padding else 0 for axis in layer.axes],
        output_padding,
        layer.groups,
        [axis.dilation for axis in layer.axes],
    )
    return made.round().long()[0]


@st.composite
def transposed_layers(draw: st.DrawFn) -> tuple[Convolution, list[int]]:
    """A transposed layer, and how many outputs it adds at the end of each axis."""
    found, added = [], []
    for _ in range(draw(st.sampled_from([1, 2, 2, 3]))):
        places, kernel = draw(st.integers(1, 5)), draw(st.integers(1, 5))
        stride, dilation, padding = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(0, 3))
        more = draw(st.integers(0, max(stride, dilation) - 1))
        full = (places - 1) * stride + dilation * (kernel - 1) + 1 + more
        padding = padding if full > 2 * padding else 0
        around = (padding, padding)
        found.append(Axis(full - 2 * padding, kernel, stride, around, dilation, num_outputs=places))
        added.append(more)
    groups = draw(st.integers(1, 3))
    channels = [groups * draw(st.integers(1, 2)) for _ in range(2)]
    has_bias = draw(st.booleans())
    return Convolution(tuple(found), *channels, groups=groups, has_bias=has_bias, is_transposed=True), added


@settings(max_examples=500, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(transposed_layers())
def test_work_of_a_transposed_layer_is_that_of_each_output(drawn: tuple[Convolution, list[int]]) -> None:
    layer, added = drawn
    here, everywhere = (products(layer, added, has_padding=has_padding) for has_padding in (True, False))
    assert tuple(here.shape) == layer.output_shape
    first = 0 if layer.has_bias else 1
    assert layer.multiply_adds == int(here.sum())
    assert layer.nominal_multiply_adds == int(everywhere.sum())
    assert layer.flops == int((2 * here - first)[here > 0].sum())
    assert layer.nominal_flops == int((2 * everywhere - first)[everywhere > 0].sum())
    assert layer.flops <= layer.nominal_flops


def test_density_splits_into_space_and_channels() -> None:
    depthwise = Convolution((Axis(56, 3, padding=(1, 1)),) * 2, 64, 64, groups=64)
    assert depthwise.density == pytest.approx(depthwise.spatial_density * depthwise.channel_density, rel=1e-12)
    assert depthwise.channel_density == 1 / 64
    assert round(100 * depthwise.density, 4) == 0.0044


def test_channels_that_cannot_be_grouped_are_refused() -> None:
    with pytest.raises(UsageError, match="3 channels in and 4 out cannot be split into 2 groups"):
        Convolution((Axis(4, 3),), 3, 4, groups=2)
    with pytest.raises(UsageError, match="out_channels 0, groups 0"):
        Convolution((Axis(4, 3),), 3, 0, groups=0)
