"""One process at a time writes to a run folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from whyconv.errors import WhyconvError
from whyconv.files import remove_parts

if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Holds the lock of a run folder while the block runs; the system frees it when the process ends, however it ends.

    What killed processes left there of files they were writing is removed. Where the file system knows no locks,
    nothing is held.

    Raises:
        WhyconvError: Another process trains in this folder.
    """
    path = folder / "checkpoints" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        try:
            _take(file)
        except (BlockingIOError, PermissionError):
            raise WhyconvError(
                f"Another process is training in {folder}. Wait until it has ended, or stop it; then go on with:  "
                f"whyconv train --resume {folder}"
            ) from None
        except OSError:
            pass
        else:
            for each in (folder, path.parent):
                remove_parts(each)
        yield
