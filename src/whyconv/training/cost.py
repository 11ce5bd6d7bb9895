"""The cost J that training lowers."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def cost(logits: Tensor, labels: Tensor, class_offsets: Tensor, label_smoothing: float) -> Tensor:
    """J: the mean over m pictures of the cross-entropy; the arguments are those of ``costs``."""
    return costs(logits, labels, class_offsets, label_smoothing).mean()


def costs(logits: Tensor, labels: Tensor, class_offsets: Tensor, label_smoothing: float) -> Tensor:
    """The cross-entropy of each of m pictures, shape (m,), in nats.

    Args:
        logits: Shape (m, classes).
        labels: The truth, shape (m,).
        class_offsets: Added to the logits, shape (classes,): how much more often than others a class is met in
            training, as a logarithm, so that the logits need not learn it.
        label_smoothing: Share of the truth spread evenly over all classes, in [0, 1).

    References:
        Menon and others, *Long-tail learning via logit adjustment* (2021), arXiv 2007.07314, equation 10.
        Szegedy and others, *Rethinking the Inception architecture* (2016), arXiv 1512.00567, section 7.
    """
    return functional.cross_entropy(logits + class_offsets, labels, reduction="none", label_smoothing=label_smoothing)
