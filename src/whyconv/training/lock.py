"""One process at a time writes to a run folder."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from whyconv.errors import StorageError, WhyconvError
from whyconv.files import remove_parts
from whyconv.untrusted import json_in

# Of the file, behind all that is written into it: where a lock keeps others from reading, they can read the rest.
_PLACE = 1 << 20
# A process that has just taken the lock has said so after a moment.
_TRIES, _PAUSE_SECONDS = 40, 0.05
# While one process looks for the lock, so many others may come to their end.
_MOST_FINISHES = 1000

if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[bytes]) -> None:
        file.seek(_PLACE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _is_alive(pid: int) -> bool:
        return True  # nothing that asks without harm

else:
    import fcntl

    def _take(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _is_alive(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Holds the lock of a run folder while the block runs; the system frees it when the process ends, however it ends.

    What killed processes left there of files they were writing is removed. Where the file system knows no locks,
    nothing is held.

    Raises:
        WhyconvError: Another process trains in this folder; says which, and on which machine.
    """
    path = folder / "checkpoints" / "lock"
    file, is_held = _open_and_take(path, folder)
    with file:
        for each in (folder, path.parent) if is_held else ():
            remove_parts(each)
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
        file.flush()
        yield


def _open_and_take(path: Path, folder: Path) -> tuple[IO[bytes], bool]:
    """The lock's open file, and whether it is held.

    Who finishes a run removes the lock's folder. A process that had opened the file before would then hold a file that
    nobody else finds, beside one who holds the next: so it looks again.
    """
    for _ in range(_MOST_FINISHES):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("ab", buffering=0)
        except (FileExistsError, FileNotFoundError):
            continue  # the folder was removed between two of these calls
        try:
            _take(file)
        except (BlockingIOError, PermissionError):
            file.close()
            raise WhyconvError(
                f"Another process is training in {folder}{_holder(path)}. Wait until it has ended, or stop it; then go "
                f"on with:  whyconv train --resume {folder}"
            ) from None
        except OSError:
            return file, False
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file, True
        file.close()
    raise StorageError(f"{path} cannot be made: there is something else of that name, or it is removed all the time.")


def _holder(path: Path) -> str:
    """Who holds the lock, as it says of itself; "" where that cannot be read."""
    for _ in range(_TRIES):
        try:
            told = json_in(path)
            pid, host = int(told["pid"]), str(told["host"])
            if host != socket.gethostname() or _is_alive(pid):
                return f": process {pid} on {host}"
        except FileNotFoundError:
            break  # it has finished, and removed it
        except (OSError, ValueError, KeyError, TypeError):
            pass
        time.sleep(_PAUSE_SECONDS)  # there is still what the one before it had said
    return ""
