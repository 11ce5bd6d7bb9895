"""One walk over a folder: what may be a picture, what is passed over, and why."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from whyconv.errors import DataError, nearest
from whyconv.images.sources.binary_files import is_idx
from whyconv.images.sources.listing import few, printable

Kind = Literal["file", "other", "hidden", "run", "again", "special", "folder", "linked", "closed"]

# Endings of files that lie beside pictures and are none. Everything else is a candidate, whatever its
# ending: the content decides when it is read, and what is no picture is then named with its reason.
_OTHER_WORDS = """
    txt csv tsv json jsonl ndjson md rst html htm css js py ipynb xml yaml yml toml ini cfg conf log lock sh bat pdf
    doc docx xls xlsx ppt pptx odt ods rtf zip tar gz tgz bz2 tbz2 xz txz zst tzst lz4 7z rar parquet arrow feather
    npz npy h5 hdf5 mat bin pkl pickle pt pth ckpt onnx safetensors tflite pb keras tfrecord db sqlite mp4 mov avi
    cls mkv webm mp3 wav flac exe dll so dylib class jar java c cpp h hpp rs go rb r
"""
OTHER_ENDINGS = frozenset(_OTHER_WORDS.split())
_SYSTEM_NAMES = frozenset(
    ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information")
)


class Entry(NamedTuple):
    """One thing met on the walk; ``path`` is relative to the root, with ``/``, folders without a final one.

    Kinds: ``file`` may be a picture; ``other`` is none by its ending; ``hidden`` is a dot name or the
    system's own; ``run`` a run folder of whyconv; ``again`` a folder already walked under another name
    (links); ``special`` no regular file; ``folder`` was entered, ``linked`` through a link; ``closed`` could not be
    opened.
    """

    kind: Kind
    path: str


@dataclass
class Tree:
    """All that lies below a folder, sorted by kind; paths relative to ``root``."""

    root: str
    files: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)


def walk(root: str | Path) -> Tree:
    """Walks ``root`` once and sorts what it finds; raises DataError where ``root`` cannot be listed."""
    tree = Tree(os.fspath(root))
    lists = {"file": tree.files, "folder": tree.folders, "closed": tree.closed, "other": tree.others}
    lists |= {"linked": tree.folders}
    has_links = False
    for kind, path in entries(root):
        has_links |= kind == "linked"
        if kind in lists:
            lists[kind].append(path)
            continue
        if kind == "run":
            tree.runs.append(path)
        if kind == "again":
            tree.again.append(path)
        is_folder = kind in ("run", "again") or Path(root, path).is_dir()
        tree.skipped.append(path + "/" * is_folder)
    if has_links:
        # What lies behind links was met last; the order of all is that of names.
        for paths in (*lists.values(), tree.skipped):
            paths.sort(key=lambda path: path.split("/"))
    return tree


def tree_of(root: str, names: Iterable[str]) -> Tree:
    """Sorts the members of an archive as ``walk`` sorts files, in the same order.

    Args:
        root: The archive, or the folder where some of them were laid out.
        names: Of its files, with ``/`` between folders.
    """
    tree = Tree(root)
    lists = {"file": tree.files, "other": tree.others, "hidden": tree.skipped}
    folders: dict[str, None] = {}
    for pieces in sorted(name.split("/") for name in names):
        name = "/".join(pieces)
        kind = "hidden" if any(map(is_hidden, pieces)) else kind_by_name(pieces[-1])
        lists[kind].append(name)
        if kind != "hidden":
            folders.update(dict.fromkeys("/".join(pieces[:depth]) for depth in range(1, len(pieces))))
    tree.folders.extend(folders)
    return tree


def kind_by_name(name: str) -> Literal["file", "other"]:
    """Whether a file may be a picture, by its name alone."""
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    return "other" if ending in OTHER_ENDINGS or is_idx(name) else "file"


def is_hidden(name: str) -> bool:
    """Whether a file or folder is passed over: a dot name or the system's own."""
    return name.startswith(".") or name.casefold() in _SYSTEM_NAMES


def entries(root: str | Path) -> Iterator[Entry]:
    """Walks ``root`` depth first in the order of names, one folder's names in memory at a time.

    Links are followed, after all else; each real folder is entered once, so links in a circle end, and a folder that
    can be reached without a link goes by its own name.

    Raises:
        DataError: ``root`` itself is a run folder of whyconv, or cannot be listed.
    """
    base = os.fspath(root)
    seen = {_identity(base)}
    pending, links = [_scan(base, "", is_root=True)], deque[Entry]()
    while pending or links:
        entry = next(pending[-1], None) if pending else links.popleft()
        if entry is None:
            pending.pop()
        elif entry.kind == "linked" and pending:
            links.append(entry)
        elif entry.kind not in ("folder", "linked"):
            yield entry
        else:
            full = os.path.join(base, entry.path)  # noqa: PTH118 - pathlib costs as much as the walk itself
            identity = _identity(full)
            if identity in seen:
                yield Entry("again", entry.path)
                continue
            seen.add(identity)
            yield from _enter(full, entry, pending)


def list_images(paths: Iterable[str | Path]) -> Iterator[Path]:
    """Lists files and the files below folders, one at a time, in the order given and then of names.

    A file that is named itself is always listed; below folders, dot names, ``__MACOSX``, run folders of
    whyconv and files that are no pictures by their ending are passed over. A folder below that may not be opened is
    listed itself: reading it says so, and nobody takes its pictures for answered.

    Raises:
        DataError: A path does not exist: at once for a list or tuple of paths, else when it is reached.
    """
    if isinstance(paths, str | Path):
        paths = [paths]
    if isinstance(paths, Sequence):
        missing = [os.fspath(path) for path in paths if not os.path.lexists(path)]
        if missing:
            raise missing_error(missing)
    return _each_image(paths)


def missing_error(paths: Sequence[str]) -> DataError:
    """Returns the error for paths that do not exist, with the nearest name beside the first of them."""
    first = Path(paths[0])
    try:
        beside = os.listdir(first.parent)  # noqa: PTH208 - names only
    except OSError:
        beside = []
    are = "does not exist" if len(paths) == 1 else f"do not exist ({len(paths)} paths)"
    return DataError(f"{few(paths)} {are}. Expected a file or a folder.{nearest(first.name, beside)}")


def _each_image(paths: Iterable[str | Path]) -> Iterator[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from (path / entry.path for entry in entries(path) if entry.kind in ("file", "closed"))
        elif os.path.lexists(path):
            yield path
        else:
            raise missing_error([os.fspath(path)])


def _enter(full: str, entry: Entry, pending: list[Iterator[Entry]]) -> Iterator[Entry]:
    try:
        inside = _scan(full, entry.path + "/")
    except OSError:
        yield Entry("closed", entry.path)
    except _RunFolderError:
        yield Entry("run", entry.path)
    else:
        yield entry
        pending.append(inside)


class _RunFolderError(Exception):
    pass


def _scan(full: str, prefix: str, *, is_root: bool = False) -> Iterator[Entry]:
    try:
        with os.scandir(full) as found:
            # Tuples of names and kinds, not DirEntry: half the memory for a folder of a million files.
            listed = sorted((entry.name, _kind(entry)) for entry in found)
    except OSError as error:
        if not is_root:
            raise
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"{printable(full)} cannot be listed: {reason}. Expected a folder that may be read.") from None
    names = {name for name, _ in listed if name in ("run.toml", "metrics.jsonl", "network.json")}
    if "run.toml" in names and len(names) > 1:
        if is_root:
            raise DataError(
                f"{printable(full)} is a run folder of whyconv, not a folder of pictures. Name the pictures."
            )
        raise _RunFolderError
    return (Entry(kind, prefix + name) for name, kind in listed)


def _kind(entry: os.DirEntry[str]) -> Kind:
    name = entry.name
    if is_hidden(name):
        return "hidden"
    try:
        if entry.is_dir():
            return "linked" if entry.is_symlink() else "folder"
        # A link that leads nowhere stays a candidate: reading it then says that the file is missing.
        if not entry.is_file() and os.path.exists(entry):  # noqa: PTH110 - pathlib costs as much as the walk itself
            return "special"
    except OSError:
        return "file"
    return kind_by_name(name)


def _identity(folder: str) -> tuple[int, int] | str:
    try:
        facts = Path(folder).stat()
    except OSError:
        return folder
    return facts.st_dev, facts.st_ino
