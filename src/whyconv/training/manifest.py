"""What pictures a run was begun with, one by one, so that it can be told which of them have changed since."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from whyconv import files
from whyconv.errors import DataError, ModelFileError
from whyconv.settings import Plan
from whyconv.texts import as_typed
from whyconv.untrusted import MOST_HISTORY_BYTES, content_of, json_values

MANIFEST = "pictures.jsonl"
_NAMED = 3


class PictureRow(NamedTuple):
    """One picture: its name, its class ("" for none), its part, and the digest of its content (32 hex characters)."""

    name: str
    label: str
    part: str
    digest: str


@dataclass(frozen=True)
class Changes:
    """How pictures differ from those of before; each entry is a line for people.

    Attributes:
        renamed: The same content and label under another name, which changes no training.
        moved: The same content, label and name, in another part of the division.
    """

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    relabelled: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """What differs, with counts and the first names; parts only where pictures and labels are as they were."""
        kinds = {
            "added": self.added,
            "removed": self.removed,
            "with other content": self.replaced,
            "with another label": self.relabelled,
            "with another name": self.renamed,
        }
        told = [f"{len(lines):,} {kind} ({_first(lines)})" for kind, lines in kinds.items() if lines]
        if self.moved and self.are_of_parts:
            told.append(f"{len(self.moved):,} in another part ({_first(self.moved)})")
        return ", ".join(told)

    @property
    def are_of_parts(self) -> bool:
        """Whether pictures and labels are as they were, so that only the division can differ."""
        return not (self.added or self.removed or self.replaced or self.relabelled)


def not_those_of(plan: Plan, path: Path | None, changes: Changes | None) -> DataError:
    """Says that pictures, or their parts, are not those of the plan at ``path``, and how to go on by that very plan.

    Args:
        plan: What was planned.
        path: Its file.
        changes: Since it was made; None where no list of the pictures lies beside it.
    """
    divided = "they are divided otherwise than its digest says, by another seed, other fractions or another version"
    if changes is None:
        what = f"some were added, removed, changed or relabelled, or {divided} of whyconv. Train"
    elif changes.are_of_parts:
        what = f"{divided} of whyconv{f': {changes}' if str(changes) else ''}. Train"
    else:
        what = f"{changes}. Put them back. Or train"
    return DataError(
        f"The pictures in {plan.pictures.path} are not those of the plan: {what} anew on what is there now, by the "
        f"same plan:  whyconv train --config {as_typed(path or 'RUN/run.toml')} --accept-changed-data  or by "
        f"one of its own:  whyconv train {as_typed(plan.pictures.path)}"
    )


def write_manifest(folder: Path, rows: Iterable[PictureRow]) -> None:
    """Writes ``pictures.jsonl``, a line for each picture."""
    files.write_text(folder / MANIFEST, "".join(json.dumps(row._asdict()) + "\n" for row in rows))


def read_manifest(folder: Path) -> list[PictureRow] | None:
    """Reads what ``write_manifest`` wrote; None in a run folder of before, which has none.

    Raises:
        ModelFileError: It is damaged.
    """
    path = folder / MANIFEST
    try:
        return [PictureRow(**json_values(line)) for line in content_of(path, MOST_HISTORY_BYTES).decode().splitlines()]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise ModelFileError(f"{path} is damaged: {error}") from None


def compare(before: Sequence[PictureRow], now: Sequence[PictureRow]) -> Changes:
    """Tells what became of every picture: by content first, so that a new name is no new picture."""
    old, new = list(before), list(now)
    changes = Changes()
    for row, other in _take_pairs(old, new, lambda row: (row.digest, row.label, row.name)):
        if row.part != other.part:
            changes.moved.append(f"{row.name}: {row.part} -> {other.part}")
    for row, other in _take_pairs(old, new, lambda row: (row.digest, row.name)):
        changes.relabelled.append(f"{row.name}: {row.label or 'none'} -> {other.label or 'none'}")
    for row, other in _take_pairs(old, new, lambda row: (row.digest, row.label)):
        changes.renamed.append(f"{row.name} -> {other.name}")
        if row.part != other.part:
            changes.moved.append(f"{other.name}: {row.part} -> {other.part}")
    for row, other in _take_pairs(old, new, lambda row: row.digest):
        changes.relabelled.append(f"{other.name}: {row.label or 'none'} -> {other.label or 'none'}")
    for row, _ in _take_pairs(old, new, lambda row: row.name):
        changes.replaced.append(row.name)
    changes.removed.extend(row.name for row in old)
    changes.added.extend(row.name for row in new)
    return changes


def _take_pairs(
    old: list[PictureRow], new: list[PictureRow], key: Callable[[PictureRow], Hashable]
) -> list[tuple[PictureRow, PictureRow]]:
    """Takes out of both lists what has the same key, in pairs."""
    waiting: dict[Hashable, list[PictureRow]] = defaultdict(list)
    for row in reversed(old):
        waiting[key(row)].append(row)
    pairs, rest = [], []
    for row in new:
        if of_key := waiting[key(row)]:
            pairs.append((of_key.pop(), row))
        else:
            rest.append(row)
    taken = {id(row) for row, _ in pairs}
    old[:] = [row for row in old if id(row) not in taken]
    new[:] = rest
    return pairs


def _first(lines: Sequence[str]) -> str:
    return ", ".join(lines[:_NAMED]) + (", ..." if len(lines) > _NAMED else "")
