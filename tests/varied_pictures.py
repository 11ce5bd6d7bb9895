"""Pictures varied by draws, as a training step does it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from whyconv.settings import AugmentPlan
from whyconv.training.augment import variation_of, vary


def vary_by(pixels: Tensor, draws: NDArray[np.float32], plan: AugmentPlan) -> Tensor:
    return vary(pixels, variation_of(draws, plan, pixels.shape[-1]), plan)
