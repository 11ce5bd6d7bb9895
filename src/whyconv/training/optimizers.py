r"""Ways to lower the cost J, by the lecture's names, and the schedule of the learning rate.

With g the gradient of J, a the learning rate and t the step counted from 1:

* ``gd``: w <- w - a g.
* ``momentum``: v <- b v + g; w <- w - a v, with b = 0.9. The lecture writes v <- b v + (1 - b) g: the same path
  with a learning rate 1/(1 - b) = 10 times larger. This is torch's form (dampening 0).
* ``rmsprop``: s <- r s + (1 - r) g^2; w <- w - a g / (sqrt(s) + e), with r = 0.9 as in the lecture (torch's own
  default is 0.99) and e = 1e-8 outside the root, as in both.
* ``adam``: v <- b v + (1 - b) g; s <- r s + (1 - r) g^2; w <- w - a (v / (1 - b^t)) / (sqrt(s / (1 - r^t)) + e),
  with b = 0.9, r = 0.999, e = 1e-8, as in the lecture and in torch.
* ``adamw``: ``adam`` after w <- (1 - a d) w with weight decay d, which is not part of the gradient.

* ``muon``: convolutions by the orthogonal matrix nearest to their gradient, see ``whyconv.training.muon``; the rest
  as ``adam``, with b = 0.9, r = 0.95 and a learning rate of its own.

For the first four, weight decay d adds d w to g.

References:
    Ng, *Deep Learning Specialization*, course 2, week 2. Kingma, Ba, *Adam* (2015), arXiv 1412.6980.
    Loshchilov, Hutter, *Decoupled Weight Decay Regularization* (2019), arXiv 1711.05101.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from whyconv.settings import OptimizerName, Schedule
from whyconv.training.distributed import ALONE, Group
from whyconv.training.muon import Muon

_ADAM = "v <- b v + (1 - b) g;  s <- r s + (1 - r) g^2;  w <- w - a v^ / (sqrt(s^) + e)"
# That of muon is of kernels; what is none is changed as by adam.
FORMULAS: dict[str, str] = {
    "gd": "w <- w - a g",
    "momentum": "v <- b v + g;  w <- w - a v",
    "rmsprop": "s <- r s + (1 - r) g^2;  w <- w - a g / (sqrt(s) + e)",
    "adam": _ADAM,
    "adamw": f"w <- (1 - a d) w;  {_ADAM}",
    "muon": "m <- b m + g;  w <- w - a orthogonal(g + b m)",
}


def build_optimizer(  # noqa: PLR0913
    name: OptimizerName,
    network: nn.Module,
    *,
    learning_rate: float,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    other_learning_rate: float = 0.0,
    processes: Group = ALONE,
    rounds: bool = False,
) -> torch.optim.Optimizer:
    """Builds the optimizer called ``name`` for all trainable parameters of ``network``.

    Weight decay applies to weights only, not to biases and normalization (parameters of one axis). The learning rate
    of every group stands under "highest" too, for a schedule to start from. For parameters on a graphics card it is a
    number that lies there as well, so that steps can be recorded.

    Args:
        name: One of gd, momentum, rmsprop, adam, adamw, muon.
        network: Whose parameters are to be changed.
        learning_rate: a above, > 0.
        momentum: b above, in [0, 1); unused by gd and rmsprop.
        weight_decay: d above, >= 0; unused by muon.
        other_learning_rate: Of what is no kernel of a convolution, for muon.
        processes: Of the training; muon divides its work among them.
        rounds: Whether muon may compute in bfloat16.
    """
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    decaying = {"params": [each for each in trainable if each.ndim > 1], "weight_decay": weight_decay}
    spared = {"params": [each for each in trainable if each.ndim <= 1], "weight_decay": 0.0}
    optimizer: torch.optim.Optimizer
    card = next((each.device for each in trainable if each.is_cuda), None)
    fused, capturable = (True, True) if card is not None else (None, False)
    match name:
        case "gd":
            optimizer = torch.optim.SGD([decaying, spared], lr=learning_rate, fused=fused)
        case "momentum":
            optimizer = torch.optim.SGD([decaying, spared], lr=learning_rate, momentum=momentum, fused=fused)
        case "rmsprop":
            optimizer = torch.optim.RMSprop(
                [decaying, spared], lr=learning_rate, alpha=0.9, eps=1e-8, capturable=capturable
            )
        case "adam" | "adamw":
            kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
            betas = (momentum, 0.999)
            optimizer = kind(
                [decaying, spared], lr=learning_rate, betas=betas, eps=1e-8, capturable=capturable, fused=fused
            )
        case "muon":
            optimizer = Muon(
                network,
                learning_rate,
                momentum=momentum,
                other_learning_rate=other_learning_rate,
                processes=processes,
                rounds=rounds,
            )
    for group in optimizer.param_groups:
        group["highest"] = group["lr"]
        group["lr"] = group["lr"] if card is None else torch.tensor(group["lr"], device=card)
    return optimizer


def set_rates(optimizer: torch.optim.Optimizer, fraction: float) -> None:
    """Sets every group's learning rate to a fraction of its highest."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(group["highest"] * fraction)
        else:
            group["lr"] = group["highest"] * fraction


def rate_fraction(schedule: Schedule, step: int, num_steps: int, warmup_fraction: float) -> float:
    """The learning rate of a step, as a fraction of the highest.

    "constant": 1. "linear": a line from 1 to 0. "cosine": half a cosine from 1 to 0. Before the two that fall, a line
    up over the warm-up.

    Args:
        schedule: One of these.
        step: Counted from 0.
        num_steps: Of the whole training.
        warmup_fraction: Of ``num_steps``, in [0, 1].

    References:
        Loshchilov, Hutter, *SGDR* (2017), arXiv 1608.03983, equation 5 without restarts, for the cosine.
    """
    if schedule == "constant":
        return 1.0
    warmup = warmup_fraction * num_steps
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1.0, num_steps - warmup)
    return 1 - done if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
