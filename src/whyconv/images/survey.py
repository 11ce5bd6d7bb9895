"""Every picture looked at once: which can be read, what they are like, how they look from afar."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from whyconv.errors import DecodeTimeoutError, PictureError
from whyconv.images.cache import SURVEYS, entry_path, pack, read_arrays, unpack, write_arrays
from whyconv.images.content import PIXEL_RULES, Stats, content_digest, decoder_versions, stat_all, unchanged
from whyconv.images.decode import decode, decode_array
from whyconv.images.facts import Decoded
from whyconv.images.hashing import THUMBNAIL_SIDE
from whyconv.images.sources.listing import Pictures
from whyconv.images.threads import decoding_threads, map_in_order
from whyconv.results import Note, Notify, Progress, ignore

# Raised whenever a row is filled in another way: surveys kept by an older version are then made anew.
_VERSION = "1"

# A photo larger than twice this is looked at in half, a quarter, ...: every byte of the file is still gone
# through, so a damaged end is still found, in a fraction of the time and memory.
_LOOK_SIDE = 512
_PROGRESS_SECONDS = 0.1

_ROW = np.dtype(
    [
        ("size", "i8"),
        ("time", "i8"),
        ("was_read", "?"),
        ("readable", "?"),
        ("digest", "u1", 16),
        ("pixel_digest", "u1", 16),
        ("width", "i4"),
        ("height", "i4"),
        ("is_gray", "?"),
        ("is_turned", "?"),
        ("is_scaled", "?"),
        ("white", "i4"),
        ("has_alpha", "?"),
        ("is_animated", "?"),
        ("format", "U12"),
        ("thumbnail", "u1", (THUMBNAIL_SIDE, THUMBNAIL_SIDE)),
    ]
)


@dataclass(frozen=True, eq=False)
class Survey:
    """What looking at every picture once has shown; one entry for each of n pictures.

    Attributes:
        rows: The table itself, a structured array (n,); the properties are its columns.
        reasons: Why a picture cannot be read, by its index.
        path: Where it is kept for the next time; None if it is not kept.
        num_read: How many pictures were read for it; the others had not changed since an earlier survey.
    """

    rows: np.ndarray
    reasons: dict[int, str]
    path: Path | None = None
    num_read: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def readable(self) -> np.ndarray:
        """Whether the picture can be read, bool (n,)."""
        return self.rows["readable"]

    @property
    def digests(self) -> np.ndarray:
        """BLAKE2b digest of each file's bytes, uint8 (n, 16); 0 where there were none to be had."""
        return self.rows["digest"]

    @property
    def pixel_digests(self) -> np.ndarray:
        """Digest of each picture's upright pixels, uint8 (n, 16): equal where every pixel is."""
        return self.rows["pixel_digest"]

    @property
    def widths(self) -> np.ndarray:
        """Upright widths in pixels, int32 (n,); 0 where a picture cannot be read."""
        return self.rows["width"]

    @property
    def heights(self) -> np.ndarray:
        """Upright heights in pixels, int32 (n,)."""
        return self.rows["height"]

    @property
    def is_gray(self) -> np.ndarray:
        """Whether no pixel has color, bool (n,)."""
        return self.rows["is_gray"]

    @property
    def is_turned(self) -> np.ndarray:
        """Whether EXIF orientation turns the picture, bool (n,)."""
        return self.rows["is_turned"]

    @property
    def is_scaled(self) -> np.ndarray:
        """Whether 16-bit or fractional values were scaled to 0-255, bool (n,)."""
        return self.rows["is_scaled"]

    @property
    def whites(self) -> np.ndarray:
        """What was taken for white where files do not say, as in ``PictureFacts``; int32 (n,), 0 where they say."""
        return self.rows["white"]

    @property
    def has_alpha(self) -> np.ndarray:
        """Whether the background shows through somewhere, bool (n,)."""
        return self.rows["has_alpha"]

    @property
    def is_animated(self) -> np.ndarray:
        """Whether the file has several frames, of which the first is taken, bool (n,)."""
        return self.rows["is_animated"]

    @property
    def formats(self) -> np.ndarray:
        """Format by content, str (n,); "" where a picture cannot be read."""
        return self.rows["format"]

    @property
    def thumbnails(self) -> np.ndarray:
        """Gray levels of each picture squeezed to 32 x 32, uint8 (n, 32, 32)."""
        return self.rows["thumbnail"]


def survey(
    pictures: Pictures, *, store: Path | None = None, notify: Notify = ignore, num_threads: int | None = None
) -> Survey:
    """Decodes every picture once; those that have not changed since the last survey are not read again.

    A picture that cannot be read is no error: it is marked and its reason kept. Memory does not grow with
    the size of the pictures, only by about 1.3 kB for each (and 17 MB on the way to disk), and by as much again while
    the rows of an earlier survey are taken over that knew other names.

    Args:
        pictures: What to look at.
        store: Cache folder; None is the default one.
        notify: Told of progress, stage "check".
        num_threads: Number of threads; None means one for each core. For small pictures one is enough.
    """
    path = entry_path(store, SURVEYS, pictures.where, _VERSION, decoder_versions())
    path = path.with_name(f"{path.name}.npz")
    names = list(pictures.names)
    stats = stat_all(pictures)
    rows, reasons, known = _recall(path, names, stats)
    doubtful = np.flatnonzero(~known)
    threads = decoding_threads(num_threads, stats.sizes[doubtful], lambda row: pictures.read(int(doubtful[row])))
    examined = map_in_order(lambda index: _examine(pictures, index, rows[index]), doubtful.tolist(), threads)
    for index, (row, reason) in zip(doubtful.tolist(), _counted(examined, len(doubtful), notify), strict=True):
        rows[index] = row
        reasons.pop(index, None)
        if reason:
            reasons[index] = reason
    rows["size"], rows["time"] = stats.sizes, stats.times
    if len(doubtful):
        _keep(path, pictures.where, names, Survey(rows, reasons), stats.marks, notify)
    return Survey(rows, reasons, path=path, num_read=len(doubtful))


def _examine(pictures: Pictures, index: int, old: np.ndarray) -> tuple[np.ndarray, str]:
    """Reads one picture into a row; returns it with the reason why it cannot be read, or ""."""
    row = np.zeros((), _ROW)
    try:
        content = pictures.read(index)
    except PictureError as error:
        return row, str(error)
    row["was_read"], row["digest"] = True, content_digest(content)
    if old["readable"] and np.array_equal(old["digest"], row["digest"]):
        return old.copy(), ""
    try:
        decoded = _decode(content)
    except DecodeTimeoutError as error:
        # Said of this moment, not of the file: it is looked at again the next time.
        return np.zeros((), _ROW), str(error)
    except PictureError as error:
        return row, str(error)
    _describe(decoded, row)
    return row, ""


def _decode(content: bytes | np.ndarray) -> Decoded:
    if isinstance(content, np.ndarray):
        return decode_array(content)
    return decode(content, target_side=_LOOK_SIDE, covers="shorter")


def _describe(decoded: Decoded, row: np.ndarray) -> None:
    """Fills a row with what the decoded picture shows."""
    facts = decoded.facts
    row["readable"] = True
    row["width"], row["height"], row["format"] = facts.width, facts.height, facts.format
    row["is_gray"], row["is_turned"], row["is_scaled"] = facts.is_gray, facts.is_turned, facts.is_scaled
    row["white"] = facts.white
    row["has_alpha"], row["is_animated"] = facts.has_alpha, facts.num_frames > 1
    # A gray picture is the same picture in one channel or in three equal ones.
    pixels = decoded.pixels[:, :, :1] if facts.is_gray else decoded.pixels
    hasher = hashlib.sha256(f"{facts.width}x{facts.height} {pixels.shape}".encode())
    hasher.update(np.ascontiguousarray(pixels).data)
    row["pixel_digest"] = np.frombuffer(hasher.digest()[:16], np.uint8)
    image = Image.fromarray(pixels[:, :, 0] if facts.is_gray else pixels)
    small = image.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    row["thumbnail"] = np.asarray(small.convert("L"))


def _counted(results: Iterator[tuple[np.ndarray, str]], total: int, notify: Notify) -> Iterator[tuple[np.ndarray, str]]:
    """Passes results on and tells how many there were, ten times a second."""
    told = time.monotonic()
    for done, result in enumerate(results, start=1):
        yield result
        if done == total or time.monotonic() - told >= _PROGRESS_SECONDS:
            told = time.monotonic()
            notify(Progress(stage="check", done=done, total=total))


def _recall(path: Path, names: list[str], stats: Stats) -> tuple[np.ndarray, dict[int, str], np.ndarray]:
    """Returns rows, reasons, and whether each row still holds, from the survey kept at ``path`` if any.

    A picture whose size, time or file is another gets its old row too: if its bytes are the same, that still holds.
    """
    kept = read_arrays(path)
    if kept is None or kept.get("rows", np.zeros(0)).dtype != _ROW or not len(kept["rows"]):
        return _fresh(len(names))
    if kept.get("pixel_rules", 1) != PIXEL_RULES:
        return _fresh(len(names))
    old_rows = kept["rows"]
    try:
        place_of = {name: place for place, name in enumerate(unpack(kept["names"], len(old_rows)))}
        old_stats = Stats(old_rows["size"], old_rows["time"], kept["marks"])
        old_reasons = dict(zip(kept["failed"].tolist(), unpack(kept["reasons"], len(kept["failed"])), strict=True))
    except (KeyError, ValueError):
        return _fresh(len(names))
    places = np.array([place_of.get(name, -1) for name in names], np.int64)
    rows = _rows_at(old_rows, places)
    known = unchanged(stats, old_stats, places) & rows["was_read"]
    reasons = {index: old_reasons[place] for index, place in enumerate(places.tolist()) if place in old_reasons}
    return rows, reasons, known


def _fresh(num: int) -> tuple[np.ndarray, dict[int, str], np.ndarray]:
    return np.zeros(num, _ROW), {}, np.zeros(num, bool)


def _rows_at(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Returns the rows at ``places``, zeros for -1: the same array where nothing moved, else filled without a copy."""
    if np.array_equal(places, np.arange(len(rows))):
        return rows
    found = np.zeros(len(places), _ROW)
    for index in np.flatnonzero(places >= 0).tolist():
        found[index] = rows[places[index]]
    return found


def _keep(path: Path, where: str, names: list[str], found: Survey, marks: np.ndarray, notify: Notify) -> None:
    """Keeps a survey for the next time; where that cannot be, says so and goes on."""
    arrays = {
        "where": np.array(str(Path(where).resolve())),
        "names": pack(names),
        "rows": found.rows,
        "marks": marks,
        "pixel_rules": np.array(PIXEL_RULES),
        "failed": np.array(sorted(found.reasons), np.int64),
        "reasons": pack(found.reasons[index] for index in sorted(found.reasons)),
    }
    try:
        write_arrays(path, arrays)
    except OSError as error:
        values = {"folder": str(path.parent), "reason": error.strerror or str(error)}
        notify(Note(key="cache_not_kept", values=values, level="warning"))
