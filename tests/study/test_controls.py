"""The three controls: what they do to pictures, and which corners have weights that do not notice."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from whyconv.errors import UsageError
from whyconv.results import CONTROLS, CORNERS, Corner, Readout
from whyconv.study.controls import UNMOVED, Control, make_controls, match_weights, multiplier_for
from whyconv.study.corners import OneHiddenLayer, Sizes, num_hidden_parameters, num_parameters

SIDE = 8
CONTROLLED = make_controls(SIDE, 3, seed=5)


def network(corner: Corner, readout: Readout = "mean", channels: int = 2, side: int = SIDE) -> OneHiddenLayer:
    """With biases too, which start at 0."""
    made = OneHiddenLayer(corner, Sizes(channels, side, 3, 3, 4, readout), seed=1).double()
    generator = torch.Generator().manual_seed(2)
    for name in ("hidden.bias", "readout.bias"):
        made.get_parameter(name).data.normal_(generator=generator)
    return made


def pictures(channels: int = 2, side: int = SIDE) -> torch.Tensor:
    return torch.randn(3, channels, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def answers(made: OneHiddenLayer, weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return torch.func.functional_call(made, weights, (x,))


def test_each_control_moves_pixels_or_turns_signs() -> None:
    x = pictures()
    for name, control in CONTROLLED.items():
        assert sorted(control.source) == list(range(SIDE**2))
        assert set(control.signs) <= {1.0, -1.0}
        assert sorted(control(x).abs().flatten().tolist()) == sorted(x.abs().flatten().tolist()), name
    assert (CONTROLLED["signs"](x).abs() == x.abs()).all()
    assert 10 < (CONTROLLED["signs"].signs < 0).sum() < 54
    assert (CONTROLLED["permuted"].source != np.arange(SIDE**2)).sum() > 50


def test_coordinates_are_multiplied() -> None:
    x = pictures()
    changed = CONTROLLED["multiplied"](x)
    for i, j in itertools.product(range(SIDE), repeat=2):
        assert torch.equal(changed[..., 3 * i % SIDE, 3 * j % SIDE], x[..., i, j])


@pytest.mark.parametrize(("side", "kernel"), [(8, 3), (16, 5), (32, 5), (64, 7)])
def test_the_multiplier_parts_neighbors(side: int, kernel: int) -> None:
    def least(odd: int) -> int:
        places = {odd * step % side for step in range(-(kernel // 2), kernel // 2 + 1)}
        return min(min((a - b) % side, (b - a) % side) for a in places for b in places if a != b)

    chosen = multiplier_for(side, kernel)
    assert chosen % 2 == 1
    assert chosen not in (1, side - 1)
    assert least(chosen) == max(least(odd) for odd in range(3, side - 1, 2)) > 1


@pytest.mark.parametrize("side", [4, 12, 7])
def test_a_side_without_such_a_number_is_refused(side: int) -> None:
    with pytest.raises(UsageError, match="power of two"):
        multiplier_for(side, 3)


@pytest.mark.parametrize("readout", ["mean", "places"])
@pytest.mark.parametrize("corner", CORNERS)
def test_matched_weights_answer_the_changed_pictures_the_same(corner: Corner, readout: Readout) -> None:
    made, x = network(corner, readout), pictures()
    for name in CONTROLS:
        answered = answers(made, match_weights(made, CONTROLLED[name]), CONTROLLED[name](x))
        difference = (answered - made(x)).abs().max().item()
        assert (difference < 1e-12) == (corner in UNMOVED[name]), (name, difference)


def test_one_wrong_sign_is_noticed() -> None:
    made, x, control = network("local"), pictures(), CONTROLLED["signs"]
    signs = control.signs.copy()
    signs[5] *= -1
    weights = match_weights(made, Control("signs", control.source, signs))
    assert (answers(made, weights, control(x)) - made(x)).abs().max() > 1e-3


def test_the_convolution_is_a_case_of_every_other_corner() -> None:
    x, convolution = pictures(), network("convolution")
    kernel = convolution.hidden.weight.detach()
    weights = {name: value.clone() for name, value in convolution.state_dict().items()}
    shared = torch.zeros(3, 2, SIDE, SIDE, dtype=torch.float64)
    own = (SIDE - 1) // 2
    shared[..., own - 1 : own + 2, own - 1 : own + 2] = kernel
    hidden = convolution.hidden.double()
    alike = torch.eye(2 * SIDE**2, dtype=torch.float64).view(-1, 2, SIDE, SIDE)
    matrix = (hidden(alike) - hidden(torch.zeros_like(alike))).flatten(1).T
    bias = weights["hidden.bias"]
    others = {
        "local": (kernel.expand(SIDE, SIDE, *kernel.shape), bias.expand(SIDE, SIDE, 3)),
        "shared_global": (shared, bias),
        "dense": (matrix, bias.repeat_interleave(SIDE**2)),
    }
    for corner, (weight, biases) in others.items():
        twin = network(corner)  # type: ignore[arg-type]
        found = answers(twin, weights | {"hidden.weight": weight, "hidden.bias": biases}, x)
        assert torch.allclose(found, convolution(x), atol=1e-11), corner


def test_what_the_groups_are_said_to_be() -> None:
    """Shifts and mirrorings leave every corner unmoved, linear maps of the coordinates shared-global too."""
    x = pictures()
    mirrored, shifted = x.flip(-1), x.roll((2, 3), (-2, -1))
    convolution, local, shared = network("convolution"), network("local"), network("shared_global")
    kernel = convolution.hidden.weight.detach().flip(-1)
    weights = convolution.state_dict()
    assert torch.allclose(answers(convolution, weights | {"hidden.weight": kernel}, mirrored), convolution(x))
    assert torch.allclose(convolution(shifted), convolution(x))
    assert torch.allclose(shared(shifted), shared(x))
    weights = local.state_dict()
    rolled = {name: weights[name].roll((2, 3), (0, 1)) for name in ("hidden.weight", "hidden.bias")}
    assert torch.allclose(answers(local, weights | rolled, shifted), local(x))
    # The map (i, j) -> (i + 2 j, 3 j), whose determinant is odd.
    i, j = np.divmod(np.arange(SIDE**2), SIDE)
    source = np.empty(SIDE**2, np.int64)
    source[(i + 2 * j) % SIDE * SIDE + 3 * j % SIDE] = np.arange(SIDE**2)
    linear = Control("multiplied", source, np.ones(SIDE**2))
    assert torch.allclose(answers(shared, match_weights(shared, linear), linear(x)), shared(x))


@pytest.mark.parametrize("corner", CORNERS)
def test_hidden_parameters_are_counted(corner: Corner) -> None:
    made = network(corner)
    assert sum(weight.numel() for weight in made.hidden.parameters()) == num_hidden_parameters(corner, made.sizes)
    assert sum(weight.numel() for weight in made.parameters()) == num_parameters(corner, made.sizes)
