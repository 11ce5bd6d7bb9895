"""Pictures at 64 x 64, decoded when a comparison asks for them."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from whyconv.errors import PictureError
from whyconv.images.prepare import PicturePolicy, prepare
from whyconv.images.sources.listing import Pictures
from whyconv.images.threads import map_in_order

CLOSEUP_SIDE = 64
_CLOSEUP = PicturePolicy(side=CLOSEUP_SIDE, channels=3, fit="stretch")
_MAX_KEPT = 4096


class Closeups:
    """Pictures at 64 x 64 in color, decoded when asked for; the latest 4,096 are kept (50 MB).

    Args:
        pictures: Where they are read from.
        num_threads: Number of threads that decode; None means one for each core.
    """

    def __init__(self, pictures: Pictures, num_threads: int | None = None) -> None:
        self._pictures = pictures
        self._num_threads = num_threads
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Returns float32 (k, 64, 64, 3), 0-255; a picture that cannot be read any more is all gray."""
        wanted = np.unique(indices).tolist()
        missing = [index for index in wanted if index not in self._kept]
        for index, pixels in zip(missing, map_in_order(self._decode, missing, self._num_threads), strict=True):
            self._kept[index] = pixels
        for index in wanted:
            self._kept.move_to_end(index)
        found = np.stack([self._kept[index] for index in indices.tolist()]).astype(np.float32)
        while len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)
        return found

    def _decode(self, index: int) -> np.ndarray:
        try:
            return prepare(self._pictures.read(index), _CLOSEUP)
        except PictureError:
            return np.full((_CLOSEUP.side, _CLOSEUP.side, 3), 128, np.uint8)
