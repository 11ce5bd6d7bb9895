"""The last states of a training in a folder: three are kept, a damaged one is put aside and the one before it used."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from whyconv.errors import ModelFileError, NewerFormatError
from whyconv.texts import as_typed

if TYPE_CHECKING:
    from whyconv.results import Notify

NUM_KEPT = 3
_NAME = re.compile(r"step-(\d+)\.safetensors")

T = TypeVar("T")


def states(folder: Path) -> list[Path]:
    """The states in a folder, newest first: those of the highest step."""
    if not folder.is_dir():
        return []
    found = {path: match for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))}
    return sorted(found, key=lambda path: int(found[path][1]), reverse=True)


def state_path(folder: Path, step: int) -> Path:
    """Where the state after so many steps lies."""
    return folder / f"step-{step:09d}.safetensors"


def forget_older(folder: Path) -> None:
    """Removes all states but the three newest; called once the newest is whole and on the disk.

    What the system does not let go stays until the next time.
    """
    with suppress(OSError):
        for path in states(folder)[NUM_KEPT:]:
            path.unlink()


def load_newest(folder: Path, load: Callable[[Path], T], notify: Notify) -> tuple[Path, T]:
    """Reads the newest state that is whole; newer ones that are not get another name, and it is said which and why.

    Args:
        folder: With at least one state.
        load: Reads one; a ``ModelFileError`` says that it is damaged.
        notify: Told of what is damaged.

    Raises:
        ModelFileError: All are damaged.
        NewerFormatError: A newer whyconv wrote the newest.
    """
    from whyconv.results import Note

    damaged: list[tuple[Path, ModelFileError]] = []
    for path in states(folder):
        try:
            found = load(path)
        except NewerFormatError:
            raise
        except ModelFileError as error:
            damaged.append((path, error))
            continue
        for bad, reason in damaged:
            aside = bad.rename(bad.with_name(f"{bad.name}.damaged"))
            values = {"path": str(aside), "reason": str(reason), "used": path.name}
            notify(Note(key="run_state_damaged", values=values, level="warning"))
        return path, found
    reasons = "".join(f"\n  {reason}" for _, reason in damaged)
    raise ModelFileError(
        f"None of the {len(damaged)} states in {folder} can be used.{reasons}\n  To train anew by the same plan:  "
        f"whyconv train --config {as_typed(folder.parent / 'run.toml')}"
    )
