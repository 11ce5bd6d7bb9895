"""The four corners as modules, and the time of a step of each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from whyconv.counting import Convolution
from whyconv.counting.layer import count_layer
from whyconv.counting.words import LayerWords
from whyconv.errors import UsageError
from whyconv.measures.corners import build_corner
from whyconv.measures.step import bytes_needed, time_steps
from whyconv.results import Event, Progress
from whyconv.results.layer import CORNERS, CornerName

LAYERS = {
    "plain": LayerWords("8x8x3", filters="4"),
    "strided, grouped": LayerWords("9x12x4", "6", "3x2", stride="2x3", padding="1", groups="2", has_bias=False),
    "uneven padding": LayerWords("7x8x2", "3", "4", stride="2", padding="same", dilation="2"),
    "circular": LayerWords("5x6", kernel="3", padding="2", padding_mode="circular"),
    "uneven circular": LayerWords("5x6", kernel="4x3", padding="same", padding_mode="circular"),
    "one axis": LayerWords("20x3", "4", padding="1", axes="1"),
    "one axis, reflecting": LayerWords("20x3", "4", padding="1", axes="1", padding_mode="reflect"),
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small layers: waking a second thread would take longer than the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def layer(name: str) -> Convolution:
    return LAYERS[name].convolution()


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("name", LAYERS)
def test_a_corner_has_the_parameters_that_were_counted(name: str, corner: CornerName) -> None:
    asked = layer(name)
    module = build_corner(asked, corner)
    counted = count_layer(asked).corners[corner]
    assert sum(parameter.numel() for parameter in module.parameters()) == counted.parameters
    assert module(torch.randn(2, *asked.input_shape)).shape == (2, *asked.output_shape)


@pytest.mark.parametrize("name", LAYERS)
def test_the_inputs_that_move_an_output_are_those_that_were_counted(name: str) -> None:
    asked = layer(name)
    for corner in CORNERS:
        module = build_corner(asked, corner).double()
        torch.nn.init.constant_(next(module.parameters()), 1.0)
        units = torch.eye(asked.num_inputs, dtype=torch.float64).view(-1, *asked.input_shape)
        with torch.no_grad():
            jacobian = module(units) - module(0 * units[:1])
        assert int((jacobian.abs() > 1e-9).sum()) == count_layer(asked).corners[corner].connections


@pytest.mark.parametrize("name", LAYERS)
def test_the_local_corner_with_one_kernel_everywhere_is_the_convolution(name: str) -> None:
    asked = layer(name)
    sliding, local = (build_corner(asked, corner).double() for corner in ("convolution", "local"))
    with torch.no_grad():
        for target, source in zip(local.parameters(), sliding.parameters(), strict=True):
            kernel = source.unsqueeze(2) if source.ndim == 3 else source  # of one axis
            target.copy_(kernel.expand_as(target))
    x = torch.randn(3, *asked.input_shape, dtype=torch.float64)
    torch.testing.assert_close(local(x), sliding(x), rtol=1e-12, atol=1e-12)


def test_every_corner_is_timed_and_torch_is_left_as_found() -> None:
    heard: list[Event] = []
    torch.set_num_threads(2)
    state = torch.get_rng_state()
    report = time_steps(layer("plain"), heard.append)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert torch.equal(torch.get_rng_state(), state)
    assert [one.corner for one in report.times] == list(CORNERS)
    for one in report.times:
        assert one.seconds is not None
        assert one.low is not None
        assert one.high is not None
        assert 0 < one.low <= one.seconds <= one.high
        assert (one.n, one.reason) == (9, None)
    assert heard[-1] == Progress(stage="steps", done=44, total=44)


def test_what_does_not_fit_is_not_made() -> None:
    asked = LayerWords("1000x1000x3", "6", "5").convolution()
    report = time_steps(asked, num_bytes_allowed=1)
    assert [one.seconds for one in report.times] == [None] * 4
    assert {one.reason.key for one in report.times if one.reason} == {"layer_step_too_large"}
    dense = report.times[0].num_bytes
    assert dense > 4 * 4 * 17_856_288_000_000


def test_three_axes_have_two_corners() -> None:
    report = time_steps(LayerWords("4x4x4", axes="3").convolution())
    assert [one.seconds is None for one in report.times] == [False, True, True, False]
    with pytest.raises(UsageError, match="3 axes"):
        build_corner(LayerWords("4x4x4", axes="3").convolution(), "local")


def test_memory_that_is_refused_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 57821568000 bytes.")

    monkeypatch.setattr("whyconv.measures.step.build_corner", refuse)
    report = time_steps(layer("plain"))
    assert {one.reason.key for one in report.times if one.reason} == {"layer_step_failed"}


@pytest.mark.parametrize("corner", CORNERS)
def test_a_step_needs_more_than_adams_state(corner: CornerName) -> None:
    asked = layer("plain")
    assert bytes_needed(asked, corner) > 16 * count_layer(asked).corners[corner].weights
