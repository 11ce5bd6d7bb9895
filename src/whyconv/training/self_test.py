"""Is this machine faster in bfloat16, and right? Answered by trying, with the network and batch at hand."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.settings import Precision
from whyconv.training.precision import computing_in
from whyconv.training.recording import seconds_on_card

# A gain that pays for the digits that are lost, and that the clock's noise does not make.
LEAST_GAIN = 1.2
_MOST_ERROR, _LEAST_COSINE = 0.1, 0.9
_TURNS, _MOST_PICTURES, _PATIENCE = 3, 64, 6.0


@dataclass(frozen=True)
class SelfTest:
    """How training steps in bfloat16 compare with those in float32.

    Attributes:
        gain: Seconds of a step in float32 / in bfloat16.
        error: Length of the logits' difference / length of the logits.
        cosine: Of the angle between the gradients.
    """

    gain: float
    error: float
    cosine: float

    @property
    def precision(self) -> Precision:
        """The better one: bfloat16 if it is at least 1.2 times as fast, with an error <= 0.1 and a cosine >= 0.9."""
        is_right = self.error <= _MOST_ERROR and self.cosine >= _LEAST_COSINE
        return "bfloat16" if is_right and self.gain >= LEAST_GAIN else "float32"


def try_precisions(network: nn.Module, x: Tensor, labels: Tensor, *, records: bool = True) -> SelfTest:
    """Takes a few steps' worth of work in both precisions, in turns; the network stays as it is.

    One turn is enough where bfloat16 is hopelessly slow, as on processors that only imitate it.

    Args:
        network: Maps (n, c, side, side) to logits; put in evaluation mode, so that its statistics stay.
        x: Normalized pictures (n, c, side, side), where the network lies; on a processor at most 64 are used.
        labels: Shape (n,).
        records: Whether steps on a card are recorded.
    """
    if x.is_cuda:
        return _try_on_card(network, x, labels, records=records)
    x, labels = x[:_MOST_PICTURES], labels[:_MOST_PICTURES]
    network.eval()
    found: dict[Precision, tuple[Tensor, Tensor]] = {}
    seconds: dict[Precision, list[float]] = {"float32": [], "bfloat16": []}
    precisions: tuple[Precision, Precision] = ("float32", "bfloat16")
    for turn in range(1 + _TURNS):
        for precision in precisions:
            began = time.perf_counter()
            found[precision] = _logits_and_gradient(network, x, labels, precision)
            if turn:  # the first one makes kernels and asks for memory
                seconds[precision].append(time.perf_counter() - began)
        if turn and seconds["bfloat16"][0] > _PATIENCE * seconds["float32"][0]:
            break
    return _compared(median(seconds["float32"]) / median(seconds["bfloat16"]), found)


def _try_on_card(network: nn.Module, x: Tensor, labels: Tensor, *, records: bool) -> SelfTest:
    """The same with the whole batch, as a card is not full with less, and as its steps will be."""
    network.eval()
    found: dict[Precision, tuple[Tensor, Tensor]] = {}
    seconds: dict[Precision, float] = {}
    precisions: tuple[Precision, Precision] = ("float32", "bfloat16")
    for precision in precisions:
        work = partial(_logits_and_gradient, network, x, labels, precision)
        found[precision], seconds[precision] = work(), seconds_on_card(work, records=records)
    return _compared(seconds["float32"] / seconds["bfloat16"], found)


def _compared(gain: float, found: dict[Precision, tuple[Tensor, Tensor]]) -> SelfTest:
    (exact, slope), (rounded, near) = found["float32"], found["bfloat16"]
    return SelfTest(
        gain=gain,
        error=float((rounded - exact).norm() / exact.norm().clamp_min(1e-12)),
        cosine=float(functional.cosine_similarity(slope, near, dim=0)),
    )


def _logits_and_gradient(network: nn.Module, x: Tensor, labels: Tensor, precision: Precision) -> tuple[Tensor, Tensor]:
    trainable = [each for each in network.parameters() if each.requires_grad]
    with computing_in(precision, network) as ask:
        logits = ask(x)
        gradients = torch.autograd.grad(
            functional.cross_entropy(logits, labels), trainable, materialize_grads=True, allow_unused=True
        )
    return logits.detach(), torch.cat([each.flatten() for each in gradients])
