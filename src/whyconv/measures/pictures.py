"""A person's pictures as a network takes them, for measures that need some."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from whyconv.errors import DataError, PictureError
from whyconv.images.prepare import PicturePolicy, prepare
from whyconv.images.sources import read_pictures
from whyconv.results import Unreadable
from whyconv.texts import as_typed

MOST_PICTURES = 256


def load_pictures(
    where: str | Path,
    policy: PicturePolicy,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> tuple[Tensor, list[Unreadable]]:
    """Reads at most 256 pictures, evenly chosen among those at a place, and normalizes their channels.

    Args:
        where: A folder, a labels file, or a file of arrays; labels are not needed.
        policy: How they are prepared.
        mean: Of each channel, in gray levels; None for that of these pictures.
        std: Likewise the deviation.

    Returns:
        Pictures (n, c, side, side) in float32, and those that could not be read.

    Raises:
        DataError: None of the pictures can be read.
    """
    pictures = read_pictures(where, require_labels=False)
    step = -(-len(pictures) // MOST_PICTURES) or 1
    prepared: list[np.ndarray] = []
    unread: list[Unreadable] = []
    for index in range(0, len(pictures), step):
        try:
            prepared.append(prepare(pictures.read(index), policy))
        except PictureError as error:
            unread.append(Unreadable(name=pictures.names[index], reason=str(error)))
    if not prepared:
        raise DataError(f"{where}: none of its pictures can be read. whyconv check {as_typed(where)} says why.")
    levels = np.stack(prepared).astype(np.float32)
    middle = levels.mean(axis=(0, 1, 2)) if mean is None else np.asarray(mean, np.float32)
    deviation = levels.std(axis=(0, 1, 2)) if std is None else np.asarray(std, np.float32)
    normalized = (levels - middle) / np.maximum(deviation, 1)
    return torch.from_numpy(np.ascontiguousarray(normalized.transpose(0, 3, 1, 2))), unread
