"""The baseline: network and recipe of the CIFAR-10 record of 2024 (airbench94_muon), written anew for two cores.

The recipe's facts, from https://github.com/KellerJordan/cifar10-airbench: a frozen first layer that whitens patches of
2 x 2, three blocks of 64, 256 and 256 channels (convolution, pooling, normalization without a scale, GELU, convolution,
normalization, GELU), kernels that start as the identity; Muon (0.24, momentum 0.6) on the kernels; Nesterov (momentum
0.85) at 0.053 on the biases and 0.67 on the head; loss summed over the batch, label smoothing 0.2; rates fall linearly
to 0, that of the first biases over three eighths of the steps; alternating flip, moves by 2 pixels, six views.

Other than there: batches of 250 or 500 in place of 2,000, so Muon's rate is scaled by the root of the batch (the sum
over the batch scales the others), bf16 with fp32 masters, and as many steps as the budget holds in place of 8 epochs.
"""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from cell import Asked, finish, open_copies, read_words
from torch import nn
from true_half import (
    AlternatingPictures,
    answers_of,
    fitting_steps,
    gradients_to_masters,
    masters_to_weights,
    normalized,
    to_half,
)

WIDTHS = (64, 256, 256)
RECORD_BATCH = 2000
MUON_RATE, MUON_MOMENTUM, NEWTON_STEPS = 0.24, 0.6, 3
BIAS_RATE, HEAD_RATE, MOMENTUM, DECAY = 0.053, 0.67, 0.85, 2e-6
SMOOTHING, FIRST_BIAS_PART, PATCH_SAMPLE, EPSILON = 0.2, 3 / 8, 5000, 5e-4


def whitening(x: torch.Tensor) -> torch.Tensor:
    """Returns kernels (24, 3, 2, 2) whose maps of ``x`` are uncorrelated with variance 1; each with its negative."""
    patches = nn.functional.unfold(x, 2).transpose(1, 2).reshape(-1, 12)
    variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
    kernels = (directions / (variances + EPSILON).sqrt()).T.reshape(12, 3, 2, 2)
    return torch.cat([kernels, -kernels])


def normalization(channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad = False
    return layer


def convolution(before: int, after: int) -> nn.Conv2d:
    layer = nn.Conv2d(before, after, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(layer.weight[:before])
    return layer


def block(before: int, after: int) -> list[nn.Module]:
    first = [convolution(before, after), nn.MaxPool2d(2), normalization(after), nn.GELU()]
    return [*first, convolution(after, after), normalization(after), nn.GELU()]


class Network(nn.Module):
    """The record's network."""

    def __init__(self, x: torch.Tensor, num_classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 24, 2)
        with torch.no_grad():
            self.first.weight.copy_(whitening(x))
        self.first.weight.requires_grad = False
        layers = [layer for pair in zip((24, *WIDTHS), WIDTHS, strict=False) for layer in block(*pair)]
        self.body = nn.Sequential(nn.GELU(), *layers, nn.MaxPool2d(3), nn.Flatten())
        self.head = nn.Linear(WIDTHS[-1], num_classes, bias=False)
        with torch.no_grad():
            self.head.weight /= self.head.weight.std()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns logits (n, classes) of fp32 pictures."""
        maps = self.first(x).to(torch.bfloat16)
        return self.head(self.body(maps)) / WIDTHS[-1]


def orthogonalized(matrix: torch.Tensor) -> torch.Tensor:
    """Returns about U V^T of a matrix' singular value decomposition, by a few Newton-Schulz steps in bf16.

    References:
        Jordan and others, *Muon: An optimizer for hidden layers in neural networks* (2024).
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = (matrix / (matrix.norm() + 1e-7)).bfloat16()
    is_tall = x.shape[0] > x.shape[1]
    x = x.T if is_tall else x
    for _ in range(NEWTON_STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if is_tall else x).float()


class Muon:
    """Orthogonalized momentum for kernels, whose norm is set to the root of their number before each step."""

    def __init__(self, kernels: list[torch.Tensor]) -> None:
        self.kernels = kernels
        self.momenta = [torch.zeros_like(kernel) for kernel in kernels]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Moves the kernels by their gradients."""
        for kernel, momentum in zip(self.kernels, self.momenta, strict=True):
            momentum.mul_(MUON_MOMENTUM).add_(kernel.grad)
            ahead = kernel.grad + MUON_MOMENTUM * momentum
            kernel.mul_(math.sqrt(len(kernel)) / kernel.norm())
            kernel.sub_(rate * orthogonalized(ahead.flatten(1)).view_as(kernel))


class Training:
    """A network with its optimizers; ``step`` takes one batch."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, num_classes: int, asked: Asked) -> None:
        torch.manual_seed(asked.seed)
        self.batch = int(asked.settings["batch"])
        self.batches = iter(AlternatingPictures(x, y, self.batch, shift=2, cut=0, seed=asked.seed))
        self.network = Network(x[:PATCH_SAMPLE], num_classes)
        self.masters = to_half(self.network, keep=(self.network.first,))
        kernels = [master for half, master in self.masters.items() if half.dim() == 4]
        self.muon = Muon(kernels)
        self.muon_rate = MUON_RATE * math.sqrt(self.batch / RECORD_BATCH)
        decay = DECAY * self.batch
        biases = [weights for name, weights in self.network.named_parameters() if name.endswith("bias")]
        groups = [([biases[0]], BIAS_RATE), (biases[1:], BIAS_RATE)]
        groups.append(([self.masters[self.network.head.weight]], HEAD_RATE))
        self.others = torch.optim.SGD(
            [{"params": group, "lr": rate, "weight_decay": decay / rate, "first": rate} for group, rate in groups],
            momentum=MOMENTUM,
            nesterov=True,
        )

    def step(self, done: float = 0.0) -> None:
        """Takes one step; ``done`` is the part of the training that lies behind, in [0, 1)."""
        x, y = next(self.batches)
        logits = self.network(x.contiguous(memory_format=torch.channels_last)).float()
        nn.functional.cross_entropy(logits, y, label_smoothing=SMOOTHING, reduction="sum").backward()
        gradients_to_masters(self.masters)
        first, *rest = self.others.param_groups
        first["lr"] = first["first"] * max(0.0, 1 - done / FIRST_BIAS_PART)
        for group in rest:
            group["lr"] = group["first"] * (1 - done)
        self.others.step()
        self.others.zero_grad()
        self.muon.step(self.muon_rate * (1 - done))
        masters_to_weights(self.masters)


def main() -> None:
    asked = read_words()
    copies = open_copies(asked.pictures)
    train_x, test_x = (normalized(pixels, copies.train_x) for pixels in (copies.train_x, copies.test_x))
    material = train_x, torch.from_numpy(np.array(copies.train_y)), len(copies.classes), asked
    trial = Training(*material)
    num_steps = fitting_steps(asked, trial.network, trial.step, test_x)
    training, began = Training(*material), time.perf_counter()
    for step in range(num_steps):
        training.step(step / num_steps)
    seconds = time.perf_counter() - began
    answers = answers_of(training.network, test_x, copies.classes)
    epochs = num_steps * training.batch / len(copies.train_x)
    finish(asked, copies.test_names, answers, training_seconds=seconds, num_steps=num_steps, num_epochs=epochs)


if __name__ == "__main__":
    main()
