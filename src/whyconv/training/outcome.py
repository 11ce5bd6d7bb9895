"""How a training ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from whyconv.results import SkippedStep


@dataclass(frozen=True)
class Outcome:
    """What a training came to.

    Attributes:
        best_epoch: Whose weights are kept.
        num_epochs: Carried out; the last may have been cut short.
        num_steps: Carried out.
        seconds: Taken by the steps and the validation; where the run had ended before, those that its summary tells.
        reason: "planned", "no_gain" (early stopping) or "clock".
        skipped: Steps of ``num_steps`` that were left out.
        seconds_before: Of ``seconds``, those of earlier commands, which the training was gone on with from.
        had_ended: Whether the run had ended before this command, which then adds nothing to what it took.
    """

    best_epoch: int
    num_epochs: int
    num_steps: int
    seconds: float
    reason: Literal["planned", "no_gain", "clock"]
    skipped: tuple[SkippedStep, ...] = ()
    # How often a training was stopped is no part of what it came to.
    seconds_before: float = field(default=0.0, compare=False)
    had_ended: bool = False

    def seconds_of_run(self, command: float) -> float:
        """What the run took, given the seconds from this command's start to its scores."""
        return self.seconds if self.had_ended else self.seconds_before + command
