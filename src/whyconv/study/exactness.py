"""The same training twice, on pictures as they are and on pictures changed: whose loss is the same at every step?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from whyconv.results import CONTROLS, CORNERS, ControlName, UnmovedCheck
from whyconv.study.controls import UNMOVED, Control, match_weights
from whyconv.study.corners import OneHiddenLayer, Sizes
from whyconv.study.rings import move, random_shifts

# Of gradient descent, times the places: what the readout sees grows with the side, and steps that are too long for it
# jump about, which blows rounding up.
_STEP_LENGTH = 3.2


def check_corners(
    pictures: Tensor,
    labels: Tensor,
    sizes: Sizes,
    controls: dict[ControlName, Control],
    *,
    steps: int,
    seed: int,
) -> Iterator[UnmovedCheck]:
    """Compares every corner under every change with itself without the change.

    Args:
        pictures: (n, c, side, side); computed with in double precision.
        labels: Class of each (n,).
        sizes: Of the networks.
        controls: By name.
        steps: Of gradient descent.
        seed: Of starting weights and of the moves.
    """
    pictures = pictures.double()
    for corner in CORNERS:
        network = OneHiddenLayer(corner, sizes, seed).double()
        still = list(descend(network, network.state_dict(), pictures, labels, steps=steps, seed=seed))
        # Controls come after augmentation: both trainings see the same moves.
        plain = list(descend(network, network.state_dict(), pictures, labels, steps=steps, seed=seed, moves=True))
        is_unmoved = sizes.readout == "mean" and corner in ("shared_global", "convolution")
        yield UnmovedCheck(
            corner=corner,
            change="moved",
            is_unmoved=is_unmoved,
            difference=largest_difference(still, plain),
            steps=steps,
        )
        for name in CONTROLS:
            control = controls[name]
            start = match_weights(network, control)
            changed = descend(network, start, pictures, labels, steps=steps, seed=seed, moves=True, change=control)
            difference = largest_difference(plain, list(changed))
            is_unmoved = corner in UNMOVED[name]
            yield UnmovedCheck(corner=corner, change=name, is_unmoved=is_unmoved, difference=difference, steps=steps)


def descend(  # noqa: PLR0913
    network: OneHiddenLayer,
    start: dict[str, Tensor],
    pictures: Tensor,
    labels: Tensor,
    *,
    steps: int,
    seed: int,
    moves: bool = False,
    change: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[float]:
    """Plain gradient descent from ``start``; yields the loss before every step.

    Args:
        network: Where to compute; its weights are left as they are.
        start: Weights to start from, by name.
        pictures: All of them are in every step.
        labels: Class of each.
        steps: How many.
        seed: Of the moves.
        moves: Whether each picture is moved around the ring at random, anew in each step.
        change: Applied after the move.
    """
    length = _STEP_LENGTH / network.sizes.places
    weights = {name: value.detach().clone().requires_grad_() for name, value in start.items()}
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, steps])))
    for _ in range(steps):
        shown = move(pictures, random_shifts(random, (len(pictures),), network.sizes.side)) if moves else pictures
        shown = change(shown) if change else shown
        loss = functional.cross_entropy(torch.func.functional_call(network, weights, (shown,)), labels)
        yield loss.item()
        gradients = torch.autograd.grad(loss, list(weights.values()))
        with torch.no_grad():
            for weight, gradient in zip(weights.values(), gradients, strict=True):
                weight.sub_(gradient, alpha=length)


def largest_difference(first: list[float], second: list[float]) -> float:
    """Of two rows of losses, as a fraction of the first's loss at the same step."""
    return max(abs(a - b) / abs(a) for a, b in zip(first, second, strict=True))
