"""Which epoch's weights are kept: the latest that validation cannot tell from the best."""

from __future__ import annotations

import math

from torch import Tensor


def is_as_good(losses: Tensor, least: Tensor) -> bool:
    """Whether an epoch's J lies within one standard error of the least J, over the same pictures.

    Later weights have seen more, at lower learning rates: among epochs that a small validation part cannot tell apart,
    the least J is the luckiest one, not the best. The standard error is that of the mean difference, picture by
    picture.

    Args:
        losses: Cross-entropy of each validation picture (n,).
        least: The same of the epoch with the least mean.

    References:
        Breiman and others, *Classification and regression trees* (1984), section 3.4.3: the 1 SE rule.
    """
    difference = losses - least
    error = float(difference.std()) / math.sqrt(len(difference)) if len(difference) > 1 else 0.0
    return float(difference.mean()) <= error
