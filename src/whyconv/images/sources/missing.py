"""Files that a table names and that are not there: how many, and where they may lie instead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from whyconv.errors import DataError
from whyconv.images.sources.archives import MemberContents
from whyconv.images.sources.labels import part_words
from whyconv.images.sources.listing import FileContents, Pictures, few, is_there, printable
from whyconv.results import Note

_MOST_LOOKED_FOR = 500
_NEARLY_ALL = 0.95


def check_missing(pictures: Pictures, where: Path, tables: Sequence[str]) -> list[Note]:
    """Returns a note on files that a table names and that are not there.

    Args:
        pictures: That the tables name.
        where: The table, or what it lies in.
        tables: Their names.

    Raises:
        DataError: None of them is there: the paths are then relative to something else.
    """
    contents = pictures.contents
    if not isinstance(contents, FileContents | MemberContents):
        return []
    missing, num_rows = contents.missing(), len(contents.paths)
    if not missing:
        return []
    if len(missing) == num_rows:
        if isinstance(contents, MemberContents):
            first, hint = missing[0], _member_hint(missing[0], contents.archive.members.names)
        else:
            path = Path(contents.root) / missing[0]
            first, hint = str(path), _missing_hint(path, missing, where)
        raise DataError(
            f"None of the {num_rows:,} files named in {few(tables)} is there, for example {printable(first)}. Expected "
            f"paths relative to the folder of the table.{hint}"
        )
    values = {"num": f"{len(missing):,}", "num_rows": f"{num_rows:,}", "names": few(missing)}
    return [Note(key="table_files_missing", values=values, level="warning")]


def _member_hint(missing: str, names: Sequence[str]) -> str:
    """Says where in an archive a file that is missing may lie: with an ending, or in another folder."""
    name = PurePosixPath(missing).name
    found = next((each for each in names if name in (PurePosixPath(each).name, PurePosixPath(each).stem)), None)
    return "" if found is None else f" There is {printable(found)}."


def _missing_hint(first: Path, missing: Sequence[str], table: Path) -> str:
    """Says where files that are missing may lie: with an ending, or one folder deeper."""
    if is_there(first.parent) and first.parent.is_dir():
        found = min((path.name for path in first.parent.iterdir() if path.stem == first.name), default=None)
        if found is not None:
            return f" There is {printable(found)}: write the names with their endings."
    beside = table if table.is_dir() else table.parent
    looked_for = missing[:: -(-len(missing) // _MOST_LOOKED_FOR)]
    folders = sorted(path for path in beside.iterdir() if path.is_dir())
    counts = {path: sum(is_there(path / name) for name in looked_for) for path in folders}
    return _told_of_folders(
        {path: num for path, num in counts.items() if num}, looked_for, "" if table.is_dir() else table.stem
    )


def _told_of_folders(counts: dict[Path, int], looked_for: Sequence[str], stem: str) -> str:
    """Says which folder a table is for; nothing is proposed where that cannot be told."""
    full = [path for path, num in counts.items() if num >= _NEARLY_ALL * len(looked_for)]
    own = [path for path in full if path.name.casefold() == stem.casefold()]
    parts = part_words(stem)[0]
    own = own or [path for path in full if len(parts) == 1 and part_words(path.name)[0] == parts]
    meant = own if len(own) == 1 else full
    if len(meant) == 1:
        name = next(name for name in looked_for if is_there(meant[0] / name))
        folder = printable(meant[0].name)
        return f" There is {folder}/{printable(name)}: move the table into {folder}."
    if full:
        found = few([f"{path.name}/" for path in full])
        return f" They are in each of {found}: move the table into the folder that it says the labels of."
    if counts:
        num = f"{len(looked_for):,}"
        found = few([f"{here:,} in {path.name}/" for path, here in counts.items()])
        return f" Of {num} names looked for, there are {found}: write the names with their folders."
    return ""
