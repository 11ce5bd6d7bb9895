"""A network whose weights lie in a file: built only where the file can hold what is built."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from whyconv.errors import ModelFileError
from whyconv.nets import build_planned
from whyconv.settings import NetworkPlan
from whyconv.training.checkpoint import load_weights
from whyconv.training.tensor_file import require_sound


def build_stored(plan: NetworkPlan, path: Path) -> nn.Module:
    """Builds the network of a plan with the weights of a file.

    Args:
        plan: From a file that lies beside the weights; both may be anybody's.
        path: Of the weights.

    Raises:
        ModelFileError: The weights cannot be read, or are not those of such a network.
        UsageError: As ``build_planned`` has it.
    """
    require_sound(path)
    try:
        network = build_planned(plan, most_bytes=path.stat().st_size)
    except MemoryError as error:
        raise ModelFileError(f"{path} does not fit the network: {error}.") from None
    load_weights(path, network)
    return network
