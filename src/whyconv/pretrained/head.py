"""The head: multinomial logistic regression on features, how strongly it is held back chosen on validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from whyconv.pretrained.joining import Head
from whyconv.training.cost import costs

_MEMORY = 10  # pairs of steps and gradients that L-BFGS keeps
_ROWS = 8192


def fit_heads(
    features: Sequence[NDArray[np.float32]],
    labels: NDArray[np.int32],
    offsets: Sequence[float],
    penalties: Sequence[float],
    iterations: int,
) -> Iterator[Head]:
    """Fits a head for each penalty, each from where the one before has ended.

    Lowers the mean over all rows of the cross-entropy of (logits + offsets), plus penalty / 2 times the sum of the
    squared weights, by L-BFGS. Features are centered, and all divided by one number: the root of the mean of their
    variances.

    Args:
        features: Of the training pictures (n, d), once for each view.
        labels: Of the pictures (n,).
        offsets: Of the classes (classes,).
        penalties: Strongest first.
        iterations: Of each fit, at most.

    References:
        Liu, Nocedal, *On the limited memory BFGS method for large scale optimization* (1989).
    """
    center, unit = _scale(features)
    truth = torch.from_numpy(labels.astype(np.int64))
    shift = torch.tensor(list(offsets), dtype=torch.float32)
    layer = _Layer(center, unit, len(offsets))
    for penalty in penalties:
        optimizer = torch.optim.LBFGS(
            layer.parameters(),
            max_iter=iterations,
            history_size=_MEMORY,
            line_search_fn="strong_wolfe",
            tolerance_grad=1e-6,
        )

        def closure(held: float = penalty, optimizer: torch.optim.Optimizer = optimizer) -> float:
            optimizer.zero_grad()
            return _gradients(layer, features, truth, shift, held)

        optimizer.step(closure)  # type: ignore[no-untyped-call]  # torch's, which has no types here
        weights, biases = layer.as_is()
        yield Head(weights.detach().t().contiguous().numpy(), biases.detach().numpy().copy())


class _Layer(nn.Module):
    """Weights and biases for features that are centered and divided by ``unit``.

    Weights are (classes, d): products with them, and their gradients, take a quarter of the time of (d, classes).
    """

    def __init__(self, center: Tensor, unit: Tensor, num_classes: int) -> None:
        super().__init__()
        self.center, self.unit = center, unit
        self.weight = nn.Parameter(torch.zeros(num_classes, len(center)))
        self.bias = nn.Parameter(torch.zeros(num_classes))

    def as_is(self) -> tuple[Tensor, Tensor]:
        """Weights (classes, d) and biases (classes,) for features as they are."""
        weights = self.weight / self.unit
        return weights, self.bias - weights @ self.center


def _gradients(
    layer: _Layer, features: Sequence[NDArray[np.float32]], labels: Tensor, offsets: Tensor, penalty: float
) -> float:
    """Adds the gradients of what is lowered, and returns its value; so many rows at once as memory never feels."""
    held = penalty / 2 * layer.weight.square().sum()
    torch.autograd.backward(held)
    total = held.item()
    for view in features:
        for start in range(0, len(labels), _ROWS):
            weights, biases = layer.as_is()
            rows = torch.from_numpy(np.asarray(view[start : start + _ROWS]))
            logits = functional.linear(rows, weights, biases + offsets)
            summed = functional.cross_entropy(logits, labels[start : start + _ROWS], reduction="sum")
            loss = summed / (len(features) * len(labels))
            torch.autograd.backward(loss)
            total += loss.item()
    return total


def _scale(features: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """Mean of each feature (d,), and the root of the mean of their variances, over the first view."""
    first = torch.from_numpy(np.asarray(features[0]))
    unit = first.var(dim=0, correction=0).mean().sqrt()
    return first.mean(dim=0), unit.clamp_min(1e-6)


def mean_cost(
    logits: NDArray[np.float32], labels: NDArray[np.int32], offsets: Sequence[float], label_smoothing: float = 0.0
) -> float:
    """J of logits (n, classes), in nats; the other arguments as in ``training.loop.costs``."""
    truth = torch.from_numpy(labels.astype(np.int64))
    shift = torch.tensor(list(offsets), dtype=torch.float32)
    return float(costs(torch.from_numpy(logits), truth, shift, label_smoothing).mean())
