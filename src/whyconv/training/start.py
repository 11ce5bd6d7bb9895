"""The network before step 1: built by the plan, its weights random by the seed or taken from a file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from whyconv import files
from whyconv.errors import ModelFileError, UsageError
from whyconv.nets import Swift, build_planned
from whyconv.results import Notify, ignore
from whyconv.settings import NetworkPlan, Plan
from whyconv.training.distributed import ALONE, Group
from whyconv.training.logits import normalize
from whyconv.training.pixel_rows import Pixels, evenly_chosen
from whyconv.training.start_weights import put_start_weights
from whyconv.training.tensor_file import require_storable

_MOST_SEEN, _SEEN_AT_ONCE = 2000, 64


def start_network(
    plan: Plan,
    notify: Notify = ignore,
    *,
    pixels: Pixels | None = None,
    reads_file: bool = True,
    group: Group = ALONE,
) -> nn.Module:
    """Builds the plan's network; the same plan and pictures give the same weights bit for bit.

    Args:
        plan: Of the training.
        notify: Told what of a file of starting weights was used.
        pixels: Of the training part, for a first layer that follows from the pictures; without them it is random.
        reads_file: Whether the plan's file of starting weights is read; not where others are put in anyway.
        group: The processes that begin together, all of which call this.

    Raises:
        ModelFileError: The file of starting weights is gone, was changed, or does not fit.
        UsageError: The network does not fit into memory, or does not take pictures of a side that it is to learn at.
    """
    torch.manual_seed(plan.seed)
    sizes = plan.network
    try:
        network = build_planned(sizes)
    except MemoryError as error:
        raise UsageError(f"The network does not fit into memory: {error}. Expected a smaller one.") from None
    require_storable(len(network.state_dict()))
    _require_sides(network, plan)
    if pixels is not None:
        _whiten(network, pixels, sizes, group)
    if sizes.start and reads_file:
        path = Path(sizes.start)
        _require_same(path, sizes.start_digest)
        put_start_weights(path, network, num_classes=len(sizes.classes), notify=notify)
    return network


def _require_sides(network: nn.Module, plan: Plan) -> None:
    """Asks the network about black pictures of every other side that it is to learn at: nothing else tells.

    Random numbers that it draws for its answers are put back: the training begins as it would have without.
    """
    was_training = network.training
    for side in sorted(set(plan.training.sides) - {plan.network.side}):
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                network.eval()(torch.zeros(2, plan.network.in_channels, side, side))
        except Exception as error:
            raise UsageError(
                f"{plan.network.name} does not take pictures of {side} x {side} pixels, which training.sides of the "
                f"plan has beside {plan.network.side}: {type(error).__name__}: {error}. Leave that side out."
            ) from error
    network.train(was_training)


def _whiten(network: nn.Module, pixels: Pixels, plan: NetworkPlan, group: Group) -> None:
    """Lets the first layers that want to see training pictures see some, evenly chosen."""
    for member in (each for each in network.modules() if isinstance(each, Swift)):
        rows = evenly_chosen(len(pixels), min(_MOST_SEEN, member.enough_to_whiten(plan.side)))
        pieces = np.array_split(rows, math.ceil(len(rows) / _SEEN_AT_ONCE))
        seen = torch.cat([member.to_whiten(_normalized(pixels[some], plan)) for some in pieces])
        member.whiten(seen, group.total, group.rank, group.size)


def _normalized(pixels: NDArray[np.uint8], plan: NetworkPlan) -> torch.Tensor:
    return normalize(torch.from_numpy(pixels.transpose(0, 3, 1, 2)).float(), plan)


def _require_same(path: Path, digest: str) -> None:
    if not path.exists():
        raise ModelFileError(f"{path}, where this plan takes its starting weights from, does not exist. Put it back.")
    if files.digest(path) != digest:
        raise ModelFileError(
            f"{path} is not the file that this plan takes its starting weights from: its content has changed. Put "
            "that one back, or train anew with --start."
        )
