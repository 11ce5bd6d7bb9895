"""Where shards lie: paths and URLs, many of them in one word, and how a part of one is read.

References:
    https://github.com/webdataset/webdataset, braces and ``::`` in the names of shards.
"""

from __future__ import annotations

import glob
import importlib
import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from whyconv.errors import DataError, MissingExtraError, UsageError, WhyconvError, nearest
from whyconv.images.sources.listing import mark_of, printable

SHARD_ENDINGS = (".tar", ".parquet", ".pq")
PROTOCOLS = ("file", "http", "https", "s3", "gs", "gcs", "hf", "az", "abfs")
MOST_SHARDS = 100_000

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_SEPARATOR = "::"
_READ_AHEAD_BYTES = 1 << 22
_NO_PARTS = (
    "the server gives no part of a file, only all of it (HTTP Range is not supported), and shards are read in parts. "
    "Download them, or use a server that does."
)
# The second are asked where the first say nothing: with both, plans of before would no longer know their shards.
_TAGS = (
    ("ETag", "etag", "md5Hash", "blob_id", "LastModified", "mtime"),
    ("Last-Modified", "last_modified", "Content-MD5", "Digest"),
)


@dataclass(frozen=True)
class Version:
    """What tells one content of a shard from another.

    Attributes:
        num_bytes: Of all of it.
        text: A time, or the server's own tag; the same for a copy that has its time. "" where a server says nothing.
        mark: Tells files of one size and time apart too; "" where nothing says that the content is the same.
    """

    num_bytes: int
    text: str
    mark: str


def are_shards(text: str) -> bool:
    """Whether a word names shards to be streamed: a URL, or a pattern of names; a path that exists never does."""
    if os.path.lexists(text):
        return False
    is_pattern = any(mark in text for mark in ("{", "*", "?", _SEPARATOR))
    return _URL.match(text) is not None or (is_pattern and text.rstrip("}").lower().endswith(SHARD_ENDINGS))


def expand(text: str) -> list[str]:
    """The places that a word names: ``{000..012}``, ``{a,b}``, ``*`` and ``?``, several words joined by ``::``.

    A place that is named several times is read as often.

    Args:
        text: As given on the command line.

    Returns:
        Paths and URLs, in the order in which they are named.

    Raises:
        UsageError: A protocol or a pattern is wrong, or a name has another ending than a shard.
        DataError: A pattern fits nothing, or a file does not exist.
        MissingExtraError: A URL, and what reads it is not installed.
    """
    places: list[str] = []
    for word in filter(None, text.split(_SEPARATOR)):
        for name in _without_braces(word):
            places += _found(name)
            if len(places) > MOST_SHARDS:
                raise UsageError(
                    f"{printable(text)} names more than {MOST_SHARDS:,} shards. Make fewer and larger ones."
                )
    others = [place for place in places if not _name(place).endswith(SHARD_ENDINGS)]
    if others:
        raise UsageError(
            f"{printable(others[0])} is no shard. Expected names that end in {', '.join(SHARD_ENDINGS)}; what lies in "
            "folders here is given as the folder."
        )
    if not places:
        raise UsageError(f"{printable(text)} names no shard.")
    return places


def absolute(text: str) -> str:
    """The same words, good in every folder: paths of this machine as whole ones."""
    words = filter(None, text.split(_SEPARATOR))
    return _SEPARATOR.join(word if _URL.match(word) else str(Path(word).absolute()) for word in words)


def _without_braces(word: str) -> Iterator[str]:
    pieces = _BRACES.split(word)
    if any("{" in piece or "}" in piece for piece in pieces[::2]):
        raise UsageError(f"{printable(word)}: a brace is open. Expected such as {{000..012}} or {{a,b}}.")
    choices = [list(_choices(piece, word)) if number % 2 else [piece] for number, piece in enumerate(pieces)]
    return map("".join, itertools.product(*choices))


def _choices(inside: str, word: str) -> Iterator[str]:
    found = _RANGE.fullmatch(inside)
    if found is None:
        yield from inside.split(",")
        return
    first, last = int(found[1]), int(found[2])
    if not 0 <= last - first < MOST_SHARDS:
        raise UsageError(
            f"{printable(word)}: {{{inside}}} is no range of at most {MOST_SHARDS:,} numbers, the least of them first."
        )
    yield from (f"{number:0{len(found[1])}d}" for number in range(first, last + 1))


def _found(name: str) -> list[str]:
    protocol = _protocol(name)
    is_pattern = "*" in name or ("?" in name and not protocol)
    if not protocol:
        path = _local(name)
        # Path.glob has no patterns in the folders of a whole path. Brackets are signs of a name here, and no pattern.
        found = sorted(glob.glob(path.replace("[", "[[]"))) if is_pattern else [path] * Path(path).is_file()  # noqa: PTH207
    elif is_pattern:
        system, path = _system(name)
        found = [system.unstrip_protocol(each) for each in sorted(_saying_why(name, lambda: system.glob(path)))]
    else:
        return [name]
    if not found:
        raise DataError(f"{printable(name)} {'fits no file' if is_pattern else 'does not exist or is no file'}.")
    return found


def is_tar_file(place: str) -> bool:
    """Whether a shard is a tar file, by its name; a URL may have a query behind it."""
    return _name(place).endswith(".tar")


def _name(place: str) -> str:
    """Of a shard, in small letters, without what may stand behind it in a URL; here every sign belongs to it."""
    return (urlsplit(place).path if _protocol(place) else _local(place)).lower()


def is_here(place: str) -> bool:
    """Whether a place is a file of this machine."""
    return not _protocol(place)


def _protocol(place: str) -> str:
    """Of a URL; "" for a file here.

    Raises:
        UsageError: One that is not read.
    """
    match = _URL.match(place)
    protocol = match[1].lower() if match else "file"
    if protocol not in PROTOCOLS:
        raise UsageError(
            f"{printable(place)}: {protocol}:// is not read.{nearest(protocol, PROTOCOLS)} Expected one of "
            f"{', '.join(PROTOCOLS)}."
        )
    return "" if protocol == "file" else protocol


def _local(place: str) -> str:
    """The path of a file here; in a URL of one, ? is a pattern as in a path, and no query begins."""
    if not place.lower().startswith("file://"):
        return place
    _, slash, path = place[len("file://") :].partition("/")
    return unquote(slash + path)


def _system(place: str) -> tuple[Any, str]:
    """The file system of a URL, and the path there."""
    try:
        found = importlib.import_module("fsspec.core").url_to_fs(place)
    except ImportError as error:
        is_ours = isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("fsspec")
        if is_ours or _protocol(place).startswith("http"):
            raise MissingExtraError("Reading from a URL", "remote") from None
        raise UsageError(f"{printable(place)} needs a package of its own: {_reason(error)}.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{printable(place)} cannot be read: {_reason(error)}.") from None
    return found  # type: ignore[no-any-return]  # fsspec has no types


def _saying_why(place: str, ask: Any) -> Any:  # noqa: ANN401 - what fsspec gives has no types
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - each file system has errors of its own
        raise DataError(f"{printable(place)} cannot be read: {_reason(error)}.") from None


def _reason(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else ""
    return printable((getattr(error, "strerror", None) or text or type(error).__name__).rstrip("."))


def version_of(place: str) -> Version:
    """Size of a shard, and what changes with its content.

    Raises:
        DataError: The shard cannot be read.
    """
    if not _protocol(place):
        facts = _saying_why(place, Path(_local(place)).stat)
        return Version(facts.st_size, str(facts.st_mtime_ns), f"{facts.st_mtime_ns} {mark_of(facts)}")
    system, path = _system(place)
    about = _saying_why(place, lambda: system.info(path))
    texts = [" ".join(str(about[key]) for key in keys if about.get(key)) for keys in _TAGS]
    text = next(filter(None, texts), "")
    if not isinstance(about.get("size"), int):
        raise DataError(f"{printable(place)}: the server does not say how large it is, so no part of it can be read.")
    return Version(about["size"], text, text)


@contextmanager
def opened(place: str) -> Iterator[IO[bytes]]:
    """Opens a shard to be read from its beginning on, or here and there.

    Raises:
        DataError: It cannot be opened; of one that lies elsewhere, or not be read to the end.
    """
    if not _protocol(place):
        ask = partial(Path(_local(place)).open, "rb")
    else:
        system, path = _system(place)
        ask = partial(system.open, path, "rb", block_size=_READ_AHEAD_BYTES, cache_type="readahead")
    with _saying_why(place, ask) as file:
        try:
            yield file
        except WhyconvError:
            raise
        except Exception as error:
            if is_here(place):
                raise
            raise DataError(f"{printable(place)} cannot be read: {_reason(error)}.") from error


def require_parts(place: str, num_bytes: int) -> None:
    """Makes sure that a server gives parts of a shard, where each block is asked for: all of it would come each time.

    Raises:
        DataError: It does not, or the shard cannot be read.
    """
    if not _protocol(place).startswith("http") or num_bytes < 2:
        return
    system, path = _system(place)
    with _saying_why(place, lambda: system.open(path, "rb", cache_type="none", size=num_bytes)) as file:
        try:
            file.seek(num_bytes - 1)
            file.read(1)
        except ValueError:
            raise DataError(f"{printable(place)}: {_NO_PARTS}") from None
        except Exception as error:
            raise DataError(f"{printable(place)} cannot be read: {_reason(error)}.") from error


def read_part(place: str, start: int, end: int) -> bytes:
    """The bytes of a shard from ``start`` up to ``end``; safe to call from several threads.

    Raises:
        DataError: They cannot be read.
    """
    if not _protocol(place):
        with opened(place) as file:
            file.seek(start)
            content = _saying_why(place, lambda: file.read(end - start))
    else:
        system, path = _system(place)
        content = _saying_why(place, lambda: system.cat_file(path, start=start, end=end))
    if len(content) > end - start:
        raise DataError(f"{printable(place)}: {_NO_PARTS}")
    if len(content) != end - start:
        raise DataError(f"{printable(place)} has become shorter: bytes {start:,} to {end:,} are not there.")
    return bytes(content)
