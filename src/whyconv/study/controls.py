r"""Three changes of every picture that some of the corners cannot notice, because their structure says so.

Each is a map T of pictures that moves pixels to other places or turns their sign: x'[q] = sign[q] x[source[q]], all
channels alike. A corner is unmoved by T where it has, for all weights w, weights w' = Q w with

    answer(w', T x) = answer(w, x)    for every picture x,   and Q moves and turns signs only.

Then Q is orthogonal, so a step of gradient descent on T x from Q w leads to Q (the step on x from w), and the two
trainings have the same loss at every step. Q also commutes with optimizers that treat every weight alike and alone,
such as Adam. Which T are so, for the four corners (with the mean over places as readout):

* ``dense``: every T (and every orthogonal map of the input, under gradient descent). A unit has a weight for each
  pixel, and its weights can be moved along.
* ``local``: every turn of signs, for each window has weights of its own to absorb them; of the moves only those that
  map windows to windows: shifts, mirrorings, quarter turns.
* ``shared_global``: every T that keeps the group of shifts: shifts themselves and all invertible linear maps of the
  coordinates modulo the side; of the signs only all or none.
* ``convolution``: what both allow: shifts, mirrorings, quarter turns.

So a free permutation leaves only *dense* unmoved; random signs leave *dense* and *local*, and take away what
**sharing** gives; coordinates times an odd number modulo a power of two leave *dense* and *shared_global*, and take
away what **locality** gives.

References:
    Li, Zhang, Arora, *Why are convolutional nets more sample-efficient than fully-connected nets?* (2021), arXiv
    2010.08515, section 4: training that commutes with a group cannot tell apart what the group maps to each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyconv.counting.controls import draw_permutation_and_signs, multiply_coordinates
from whyconv.errors import UsageError
from whyconv.results import CONTROLS, ControlName, Corner
from whyconv.study.corners import OneHiddenLayer

UNMOVED: dict[ControlName, tuple[Corner, ...]] = {
    "permuted": ("dense",),
    "signs": ("dense", "local"),
    "multiplied": ("dense", "shared_global"),
}


@dataclass(frozen=True, eq=False)
class Control:
    """A change of pictures: pixels from other places, some with their sign turned.

    Attributes:
        name: Which control.
        source: int64 (side * side,): where the pixel at each place comes from.
        signs: float64 (side * side,), 1 or -1: what it is multiplied by.
        multiplier: Of the coordinates, for "multiplied"; else 1.
    """

    name: ControlName
    source: NDArray[np.int64]
    signs: NDArray[np.float64]
    multiplier: int = 1

    def __call__(self, pictures: Tensor) -> Tensor:
        """Changes pictures (..., side, side), and nothing else about them."""
        flat = pictures.flatten(-2)
        return (flat[..., self._source] * self._signs.to(pictures.dtype)).view(pictures.shape)

    @cached_property
    def _source(self) -> Tensor:
        return torch.from_numpy(self.source)

    @cached_property
    def _signs(self) -> Tensor:
        return torch.from_numpy(self.signs)


def make_controls(side: int, multiplier: int, seed: int) -> dict[ControlName, Control]:
    """The three controls for pictures of ``side`` x ``side`` pixels; permutation and signs drawn once."""
    still, upright = np.arange(side**2), np.ones(side**2)
    permutation, signs = draw_permutation_and_signs(side, seed)
    made = (
        Control("permuted", permutation, upright),
        Control("signs", still, signs),
        Control("multiplied", multiply_coordinates(side, multiplier), upright, multiplier),
    )
    return dict(zip(CONTROLS, made, strict=True))


def multiplier_for(side: int, kernel: int) -> int:
    """The odd number modulo ``side`` that takes the pixels of one window farthest apart.

    Farthest: the nearest two pixels of a window's row, anywhere on the ring, are as far from each other as can be.
    Of equally good ones the least is taken.

    Raises:
        UsageError: The side is no power of two from 8 up, so that there is none beside 1 and -1.
    """
    if side < 8 or side & (side - 1):
        raise UsageError(f"Side {side}: expected a power of two from 8 up, whose odd numbers can be divided by.")
    return max(range(3, side - 1, 2), key=lambda odd: (_least_distance(odd, side, kernel), -odd))


def match_weights(network: OneHiddenLayer, control: Control) -> dict[str, Tensor]:
    """The weights with which ``network`` answers changed pictures as it answers the unchanged ones now.

    Where no such weights exist, its own: training starts from the same weights, and goes elsewhere.

    Returns:
        A state dict; tensors of its own.
    """
    weights = {name: value.detach().clone() for name, value in network.state_dict().items()}
    if network.corner not in UNMOVED[control.name]:
        return weights
    side, hidden = network.sizes.side, weights["hidden.weight"]
    match network.corner:
        case "dense":
            weights["hidden.weight"] = control(hidden.view(len(hidden), -1, side, side)).flatten(1)
        case "local":
            kernel = network.sizes.kernel
            signs = torch.from_numpy(control.signs).to(hidden.dtype)[_windows(side, kernel)]
            weights["hidden.weight"] = hidden * signs.view(side, side, 1, 1, kernel, kernel)
        case "shared_global":
            weights["hidden.weight"] = _around_own_place(hidden, control)
            if network.sizes.readout == "places":
                seen = weights["readout.weight"]
                weights["readout.weight"] = control(seen.view(-1, side, side)).reshape(seen.shape)
    return weights


def _around_own_place(kernel: Tensor, control: Control) -> Tensor:
    """Multiplies a kernel's coordinates, counted from the tap that lies on the output's own place."""
    own = (kernel.shape[-1] - 1) // 2
    centered = kernel.roll((-own, -own), dims=(-2, -1))
    return control(centered).roll((own, own), dims=(-2, -1))


def _least_distance(multiplier: int, side: int, kernel: int) -> int:
    steps = [multiplier * step % side for step in range(1, kernel)]
    return min(min(step, side - step) for step in steps)


def _windows(side: int, kernel: int) -> Tensor:
    """int64 (side * side, kernel * kernel): the pixels that each place's window sees, around the border."""
    steps = (torch.arange(side)[:, None] + torch.arange(kernel)[None] - kernel // 2) % side
    rows, columns = steps[:, None, :, None], steps[None, :, None, :]
    return (rows * side + columns).reshape(side**2, kernel**2)
