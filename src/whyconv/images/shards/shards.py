"""Many shards as one set of pictures: their classes, how many of each, and the bytes of some of them."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from whyconv.errors import DataError, PictureError
from whyconv.images.shards.listing import Listing, listing_of
from whyconv.images.shards.order import Blocks
from whyconv.images.shards.parquet_heads import open_parquet
from whyconv.images.shards.places import absolute, expand, is_here, opened, read_part
from whyconv.images.sources.labels import MINUS_ONE, TRAIN, is_minus_one_none, minus_one_note, number_classes
from whyconv.images.sources.listing import MAX_FILE_BYTES, are_reordered, few, numbers_among, printable
from whyconv.images.threads import SMALL_BYTES, map_in_order
from whyconv.results import Note, Notify, Progress, ignore

# However many pictures there are, so many blocks at most: the list of blocks stays small.
_MOST_BLOCKS = 1 << 16
# Read in one go: here a jump costs little, elsewhere every part is a request of its own.
_BYTES_HERE, _BYTES_ELSEWHERE = 1 << 16, 1 << 22
_FEWEST, _MOST_IN_BLOCK = 8, 4096
_LISTED_AT_ONCE = 4


@dataclass(frozen=True, eq=False)
class Shards:
    """Shards, listed.

    Attributes:
        asked: The words that name them, good in every folder.
        listings: One for each, or one for each part that its rows say; a shard that is named twice has twice as many.
        classes: As ``read_pictures`` would number them.
        numbers: For each, int32 (its labels + 1,): the class of each label, -1 for none; the last is that of -1.
        counts: int64 (listings, classes), pictures with that label.
        notes: On columns, and on the names of classes.
    """

    asked: str
    listings: Sequence[Listing]
    classes: tuple[str, ...]
    numbers: Sequence[NDArray[np.int32]]
    counts: NDArray[np.int64] = field(repr=False)
    notes: tuple[Note, ...] = ()

    @property
    def digest(self) -> str:
        """32 hex characters over names, sizes and versions of the shards, in their order."""
        lines = [f"{each.place}\0{each.num_bytes}\0{each.version}" for each in self.listings]
        return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()

    @property
    def listed(self) -> str:
        """32 hex characters over what the shards were found to hold: it changes where size and version do not."""
        return hashlib.blake2b("".join(each.digest for each in self.listings).encode(), digest_size=16).hexdigest()

    @property
    def parts(self) -> list[int]:
        """Of each listing, as its rows or its name say; 0 for all where none would be trained on, by names alone."""
        named = [each.part for each in self.listings]
        return named if self.have_row_parts or any(part in (0, TRAIN) for part in named) else [0] * len(named)

    @property
    def have_row_parts(self) -> bool:
        """Whether rows of some of them say which part they are of."""
        return any(each.only is not None for each in self.listings)

    @property
    def num_shards(self) -> int:
        """As they are named; of one that is named twice, two."""
        return sum(each.is_whole for each in self.listings)

    @property
    def num_pictures(self) -> int:
        """Of all shards, with a label or without; of one that is named twice, twice."""
        return sum(each.count for each in self.listings if each.is_whole)

    @property
    def num_bytes(self) -> int:
        """Of all shards; of one that is named twice, twice."""
        return sum(each.num_bytes for each in self.listings if each.is_whole)

    def labels(self, shard: int, first: int = 0, last: int | None = None) -> NDArray[np.int32]:
        """Classes of the entries from ``first`` up to ``last``; -1 for none."""
        return np.asarray(self.numbers[shard][np.asarray(self.listings[shard].entries()["label"][first:last])])

    def ordered_as(self, wanted: Sequence[str]) -> Shards:
        """The same shards with their classes in the order ``wanted``; as they are if the names are others."""
        if not are_reordered(self.classes, wanted):
            return self
        places = numbers_among(self.classes, wanted)
        numbers, counts = [places[each] for each in self.numbers], self.counts[:, np.argsort(places[:-1])]
        return replace(self, classes=tuple(wanted), numbers=numbers, counts=counts)

    def first_named(self) -> list[int]:
        """For each listing the number of the first with the same place and part: often its own."""
        first: dict[tuple[str, int | None], int] = {}
        return [first.setdefault((each.place, each.only), number) for number, each in enumerate(self.listings)]

    def learned_shards(self) -> list[int]:
        """Numbers of the shards that are trained on: those of the training part, where there is one, and of no part."""
        return [number for number, part in enumerate(self.parts) if part in (0, TRAIN)]

    def block_size(self) -> int:
        """Entries of a block: about 64 kB of a tar file here, 4 MB of one elsewhere; of Parquet see ``blocks``."""
        total = self.num_pictures
        wanted = _BYTES_HERE if all(is_here(each.place) for each in self.listings) else _BYTES_ELSEWHERE
        usual = min(_MOST_IN_BLOCK, max(_FEWEST, round(wanted * total / self.num_bytes)))
        return max(usual, -(-total // _MOST_BLOCKS))

    def blocks(self, size: int, left_out: Sequence[NDArray[np.int64]]) -> Blocks:
        """Cuts the shards that are trained on into blocks of ``size``; of Parquet into its row groups.

        Where that makes too many blocks, row groups whose first entries lie in the same ``size`` are joined.

        Args:
            size: Entries of a block.
            left_out: For each shard, the entries that are not visited, in ascending order.
        """
        cuts = {number: _cut(self.listings[number], size) for number in self.learned_shards()}
        if sum(map(len, cuts.values())) > _MOST_BLOCKS:
            cuts = {number: first[np.diff(first // size, prepend=-1) > 0] for number, first in cuts.items()}
        shard, last, count = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for number, first in cuts.items():
            is_visited = self.labels(number) >= 0
            is_visited[left_out[number]] = False
            shard.append(np.full(len(first), number, np.int32))
            last.append(np.append(first[1:], self.listings[number].count))
            count.append(np.add.reduceat(is_visited, first, dtype=np.int64))
        firsts = np.concatenate([np.zeros(0, np.int64), *cuts.values()])
        return Blocks(np.concatenate(shard), firsts, np.concatenate(last), np.concatenate(count))

    def usable(self, shard: int, first: int, last: int, left_out: NDArray[np.int64]) -> NDArray[np.int64]:
        """The entries from ``first`` up to ``last`` that have a class and are not ``left_out``."""
        rows = first + np.flatnonzero(self.labels(shard, first, last) >= 0)
        near = left_out[np.searchsorted(left_out, first) : np.searchsorted(left_out, last)]
        return np.setdiff1d(rows, near, assume_unique=True)

    def gains_by_threads(self) -> bool:
        """Whether several threads read quicker than one: large pictures, or such as lie elsewhere."""
        return self.num_bytes / self.num_pictures >= SMALL_BYTES or not all(
            is_here(each.place) for each in self.listings
        )

    def gaps(self, shard: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where entries, in ascending order, are not to be read together: further apart than a block is large.

        Of Parquet where another row group begins.
        """
        listing = self.listings[shard]
        entries = np.asarray(listing.entries()[rows])
        starts = entries["start"]
        if listing.column:
            return np.flatnonzero(np.diff(starts)) + 1
        most = _most_bytes(listing.place)
        # By the place in a grid, so that no run of neighbors grows without end.
        return np.flatnonzero(np.diff(starts // most)) + 1

    def read(self, shard: int, rows: NDArray[np.int64]) -> Iterator[bytes | PictureError]:
        """Yields the bytes of some entries, in ascending order and near each other; or why there are none.

        Raises:
            DataError: The shard cannot be read.
        """
        listing = self.listings[shard]
        entries = np.array(listing.entries()[rows])
        if listing.column:
            yield from _of_column(listing, entries)
            return
        for together in _runs(entries, _most_bytes(listing.place)):
            if together["size"][0] > MAX_FILE_BYTES:
                size = together["size"][0]
                yield PictureError(f"the file has {size:,} bytes; at most {MAX_FILE_BYTES:,} are read")
                continue
            start = int(together["start"].min())
            end = int((together["start"] + together["size"]).max())
            content = memoryview(read_part(listing.place, start, end))
            for entry in together:
                at = int(entry["start"]) - start
                yield bytes(content[at : at + int(entry["size"])])


def open_shards(asked: str, *, folder: Path | None = None, notify: Notify = ignore) -> Shards:
    """Lists shards; those whose content was listed before are not read again.

    Memory: a few hundred bytes a shard; what each picture has stays on disk, 20 bytes of it.

    Args:
        asked: As ``expand`` takes it.
        folder: The cache; None is the default one.
        notify: Told of progress, stage "shards".

    Raises:
        UsageError: The words are wrong.
        DataError: A shard cannot be read or used, or no picture has a label.
        MissingExtraError: What reads them is not installed.
    """
    asked = absolute(asked)
    places = expand(asked)
    found: dict[str, Listing] = {}
    unlike = list(dict.fromkeys(places))
    for listing in map_in_order(lambda place: listing_of(place, folder), unlike, _LISTED_AT_ONCE):
        found[listing.place] = listing
        notify(Progress(stage="shards", done=len(found), total=len(unlike)))
    counts = {place: np.bincount(each.entries()["label"] + 1)[1:] for place, each in found.items()}
    found, of_minus_one = _without_minus_one(found, counts)
    listings = [each for place in places for each in found[place].by_part()]
    texts: dict[tuple[str | None, int], int] = {}
    for place, each in found.items():
        for text, part, count in zip(each.texts, each.text_parts, counts[place].tolist(), strict=True):
            texts[text, part] = texts.get((text, part), 0) + count
    parts = np.array([part for _, part in texts], np.int8)
    times = np.array(list(texts.values()), np.int64)
    labels, classes, notes = number_classes([text for text, _ in texts], parts, times=times)
    if not len(classes):
        raise DataError(f"{printable(asked)}: no picture has a label.")
    number = dict(zip(texts, labels.tolist(), strict=True))
    numbers = [_numbers(each, number) for each in listings]
    by_class = np.zeros((len(listings), len(classes) + 1), np.int64)
    for row, own, each in zip(by_class, numbers, listings, strict=True):
        # Those of no class come last, as -1 says.
        np.add.at(row, own[:-1], counts[each.place])
    notes = [*_column_notes(found.values()), *of_minus_one, *notes]
    return Shards(asked, listings, classes, numbers, by_class[:, :-1], tuple(notes))


def _without_minus_one(
    found: dict[str, Listing], counts: dict[str, NDArray[np.int64]]
) -> tuple[dict[str, Listing], list[Note]]:
    """The listings without the number -1 where it says that there is no label: one rule for all of them."""
    if not is_minus_one_none(text for each in found.values() if each.are_numbers for text in each.texts if text):
        return found, []
    result, num, names = dict(found), 0, list[str]()
    for place, each in found.items():
        if each.are_numbers and MINUS_ONE in each.texts:
            result[place] = replace(each, texts=tuple(None if text == MINUS_ONE else text for text in each.texts))
            num += sum(counts[place][row] for row, text in enumerate(each.texts) if text == MINUS_ONE)
            names.append(PurePosixPath(place).name)
    return result, [minus_one_note(few(names), int(num))]


def _most_bytes(place: str) -> int:
    return _BYTES_HERE if is_here(place) else _BYTES_ELSEWHERE


def _runs(entries: NDArray[np.void], most: int) -> list[NDArray[np.void]]:
    """Entries that are read together: between two of them may lie what is far larger, such as a film."""
    gaps = entries["start"][1:] - (entries["start"] + entries["size"])[:-1]
    is_large = entries["size"] > MAX_FILE_BYTES
    return np.split(entries, np.flatnonzero((gaps > most) | is_large[1:] | is_large[:-1]) + 1)


def _numbers(listing: Listing, number: dict[tuple[str | None, int], int]) -> NDArray[np.int32]:
    keys = zip(listing.texts, listing.text_parts, strict=True)
    return np.array([*(number[key] if listing.only in (None, key[1]) else -1 for key in keys), -1], np.int32)


def _column_notes(listings: Iterable[Listing]) -> list[Note]:
    """What is said of the columns, once for all files that it is the same of."""
    files: dict[str, tuple[Note, list[str]]] = {}
    for note in (note for each in listings for note in each.notes):
        same = note.model_copy(update={"values": note.values | {"file": ""}})
        files.setdefault(same.model_dump_json(), (note, []))[1].append(note.values["file"])
    return [note.model_copy(update={"values": note.values | {"file": few(names)}}) for note, names in files.values()]


def _cut(listing: Listing, size: int) -> NDArray[np.int64]:
    """The first entry of each block."""
    if listing.column:
        return np.flatnonzero(np.diff(np.asarray(listing.entries()["start"]), prepend=-1))
    return np.arange(0, listing.count, size)


def _of_column(listing: Listing, entries: NDArray[np.void]) -> Iterator[bytes | PictureError]:
    """The rows of one or more row groups of a Parquet file."""
    arrow = importlib.import_module("pyarrow")
    group, column = -1, None
    with opened(listing.place) as file:
        try:
            parquet = open_parquet(listing.place, listing.version, file)
            for entry in entries:
                if int(entry["start"]) != group:
                    group = int(entry["start"])
                    column = parquet.read_row_group(group, columns=[listing.column]).column(0)
                assert column is not None
                value = column[int(entry["size"])].as_py()
                content = value.get("bytes") if isinstance(value, dict) else value
                yield content if isinstance(content, bytes) else PictureError("the row holds no bytes")
        except (OSError, arrow.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{printable(listing.place)} cannot be read: {reason}.") from None
