"""What a frozen network says about each view of the pictures of a run, asked once and kept while the run is made."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyconv.errors import StoppedError, StorageError
from whyconv.machine import free_disk_bytes, memory_bytes
from whyconv.pretrained.backbone import FrozenNetwork
from whyconv.results import Notify, Progress
from whyconv.settings import View
from whyconv.training.pixel_rows import LabelledPixels

BATCH = 32
# Of the memory this process may use: what one array may take before it is laid on the disk.
_MEMORY_FRACTION = 0.125
_RESERVE_BYTES = 200_000_000


@dataclass(frozen=True, eq=False)
class Seen:
    """What the network says about one view of one part.

    Attributes:
        features: float32 (n, d).
        maps: float16 (n, c, places), what goes into the block that tuning begins with; None where nothing is tuned.
    """

    features: NDArray[np.float32]
    maps: NDArray[np.float16] | None


@dataclass(frozen=True, eq=False)
class SeenPart:
    """A part of the pictures as the frozen network sees it.

    Attributes:
        views: What it says about each view of the plan, in that order.
        labels: Classes (n,).
    """

    views: Sequence[Seen]
    labels: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(eq=False)
class Bank:
    """Answers of a frozen network, by part and view; those asked before are not asked again.

    Attributes:
        network: Asked.
        folder: Where arrays lie that are too large for memory; made when needed, removed with the bank.
        cut: Output whose maps are kept too; "": none.
    """

    network: FrozenNetwork
    folder: Path
    cut: str = ""
    _kept: dict[tuple[str, View], Seen] = field(default_factory=dict)
    _disk: Path | None = None

    def look(
        self,
        name: str,
        data: LabelledPixels,
        view: View,
        *,
        notify: Notify,
        stop_requested: Callable[[], int] = lambda: 0,
    ) -> Seen:
        """What the network says about a view of a part.

        Args:
            name: Of the part; the same name stands for the same pictures.
            data: The part.
            view: Which.
            notify: Told of progress, stage "features".
            stop_requested: Asked between two batches; what it returns but 0 is the exit code of the stop.

        Raises:
            StoppedError: A stop was requested.
            StorageError: Neither memory nor disk can hold the answers.
            ModelFileError: The network fails.
        """
        if (name, view) not in self._kept:
            self._kept[name, view] = self._ask(data, view, notify, stop_requested)
        return self._kept[name, view]

    def _ask(self, data: LabelledPixels, view: View, notify: Notify, stop_requested: Callable[[], int]) -> Seen:
        features: NDArray[np.float32] | None = None
        maps: NDArray[np.float16] | None = None
        for start in range(0, len(data), BATCH):
            if code := stop_requested():
                raise StoppedError("Stopped.", exit_code=code)
            found, rest = self.network.look(data.pixels[start : start + BATCH], view, [self.cut] if self.cut else [])
            if features is None:
                features = self._room((len(data), found.shape[1]), np.float32)
            features[start : start + len(found)] = found
            if rest:
                flat = rest[0].reshape(*rest[0].shape[:2], -1)
                if maps is None:
                    maps = self._room((len(data), *flat.shape[1:]), np.float16)
                maps[start : start + len(flat)] = flat
            notify(Progress(stage="features", done=start + len(found), total=len(data)))
        if features is None:
            features = np.zeros((0, self.network.backbone.width), np.float32)
        return Seen(features, maps)

    def _room(self, shape: tuple[int, ...], kind: type[Any]) -> NDArray[Any]:
        """An array in memory, or on the disk where it is large."""
        num_bytes, memory = int(np.prod(shape)) * np.dtype(kind).itemsize, memory_bytes()
        if memory is None or num_bytes <= _MEMORY_FRACTION * memory:
            return np.empty(shape, kind)
        if free_disk_bytes(self.folder) < num_bytes + _RESERVE_BYTES:
            raise StorageError(
                f"What the frozen network says about the pictures takes {num_bytes / 1e6:,.0f} MB, more than the "
                f"memory can hold, and {self.folder} has no room for it. Name a folder on another disk with --out."
            )
        if self._disk is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._disk = Path(tempfile.mkdtemp(prefix="features-", dir=self.folder))
            weakref.finalize(self, shutil.rmtree, self._disk, ignore_errors=True)
        path = self._disk / f"{len(list(self._disk.iterdir()))}.npy"
        return np.lib.format.open_memmap(path, "w+", kind, shape)


def mean_over_views(parts: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The mean of arrays of one shape, at least one; they are asked for one by one, as each may fill the memory."""
    rest = iter(parts)
    total, count = np.array(next(rest)), 1
    for part in rest:
        total += part
        count += 1
    total /= count
    return total
