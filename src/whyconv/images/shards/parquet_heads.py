"""Heads of Parquet files, kept: with many small row groups one takes longer to read than the rows that are wanted."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import IO, Any

from whyconv.images.shards.places import is_here, version_of
from whyconv.images.sources.table_files import import_parquet

# As written; in memory some six times as much.
_MOST_BYTES = 16_000_000

_lock = threading.Lock()
_kept: OrderedDict[tuple[str, str], Any] = OrderedDict()


def open_parquet(place: str, version: str, file: IO[bytes]) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Returns the ``ParquetFile`` of a shard; its head is read where it is not among those read last.

    Safe to call from several threads. The heads that are kept come to 16 MB as written, or are one.

    Args:
        place: Path or URL.
        version: Changes with its content, where it lies elsewhere; a file here is looked at.
        file: The shard, opened.

    Raises:
        DataError: The file is not there.
        ArrowException: It is damaged.
    """
    parquet = import_parquet()
    key = place, version_of(place).mark if is_here(place) else version
    with _lock:
        head = _kept.get(key)
        if head is not None:
            _kept.move_to_end(key)
    opened = parquet.ParquetFile(file, metadata=head)
    if head is None:
        _keep(key, opened.metadata)
    return opened


def _keep(key: tuple[str, str], head: Any) -> None:  # noqa: ANN401
    with _lock:
        _kept[key] = head
        while len(_kept) > 1 and sum(each.serialized_size for each in _kept.values()) > _MOST_BYTES:
            _kept.popitem(last=False)
