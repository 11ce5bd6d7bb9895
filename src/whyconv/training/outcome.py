"""How a training ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from whyconv.results import SkippedStep


@dataclass(frozen=True)
class Outcome:
    """What a training came to.

    Attributes:
        best_epoch: Whose weights are kept.
        num_epochs: Carried out; the last may have been cut short.
        num_steps: Carried out.
        seconds: Taken by the steps and the validation.
        reason: "planned", "no_gain" (early stopping) or "clock".
        skipped: Steps of ``num_steps`` that were left out.
    """

    best_epoch: int
    num_epochs: int
    num_steps: int
    seconds: float
    reason: Literal["planned", "no_gain", "clock"]
    skipped: tuple[SkippedStep, ...] = ()
