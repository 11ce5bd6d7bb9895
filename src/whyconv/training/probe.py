"""A short trial training, thrown away: may pictures be mirrored, and how long does an epoch take?"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom
from torch import nn

from whyconv.settings import Plan
from whyconv.training.loop import LabelledPixels, network_logits, train_network

_SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class MirrorTrial:
    """Answers of a network that never saw a mirrored picture, on the validation part and on its mirror image.

    Attributes:
        n: Validation pictures.
        num_right: Right as they are.
        num_right_mirrored: Right when mirrored.
        num_lost: Right as they are, wrong when mirrored.
        num_won: The reverse.
        largest_class: Pictures of the largest class: what guessing gets right.
        seconds_per_epoch: Measured, validation included.
    """

    n: int
    num_right: int
    num_right_mirrored: int
    num_lost: int
    num_won: int
    largest_class: int
    seconds_per_epoch: float

    @property
    def may_flip(self) -> bool:
        """Whether mirroring keeps the label as far as validation can tell.

        Not when the trial learned too little to tell (no better than guessing the largest class), and not when
        significantly more answers are lost than won by mirroring (exact one-sided sign test, 5 %).
        """
        if self.num_right <= self.largest_class:
            return False
        discordant = self.num_lost + self.num_won
        return discordant == 0 or float(binom.sf(self.num_lost - 1, discordant, 0.5)) >= _SIGNIFICANCE


def try_mirror(network: nn.Module, train: LabelledPixels, validation: LabelledPixels, plan: Plan) -> MirrorTrial:
    """Trains ``network`` by ``plan`` (which must not flip), then asks it about mirrored validation pictures."""
    began = time.perf_counter()
    outcome = train_network(network, train, validation, plan)
    seconds = (time.perf_counter() - began) / outcome.num_epochs
    right, mirrored = (
        network_logits(network, pixels, plan.network).argmax(axis=1) == validation.labels
        for pixels in (validation.pixels, validation.pixels[:, :, ::-1].copy())
    )
    return MirrorTrial(
        n=len(validation),
        num_right=int(right.sum()),
        num_right_mirrored=int(mirrored.sum()),
        num_lost=int((right & ~mirrored).sum()),
        num_won=int((~right & mirrored).sum()),
        largest_class=int(np.bincount(validation.labels).max()) if len(validation) else 0,
        seconds_per_epoch=seconds,
    )
