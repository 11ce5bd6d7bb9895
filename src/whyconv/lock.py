"""One process at a time writes to a folder."""

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
from whyconv.files import remove_parts, unwritable
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
def sole_writer(folder: Path, path: Path, *, doing: str, then: str) -> Iterator[None]:
    """Holds the lock of a folder while the block runs; the system frees it when the process ends, however it ends.

    What killed processes left there of files they were writing is removed. Where the file system knows no locks,
    nothing is held.

    Args:
        folder: Where only one process is to write.
        path: Of the lock's file, in it or in a folder below.
        doing: What another process that holds it does, as in "is training in".
        then: What to do when it has ended: the end of a sentence.

    Raises:
        WhyconvError: Another process holds it; says which, and on which machine.
        StorageError: The lock's file cannot be written.
    """
    file, is_held = _open_and_take(path, f"Another process {doing} {folder}", then)
    with file:
        for each in (folder, path.parent) if is_held else ():
            remove_parts(each)
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
        file.flush()
        yield


def is_free(path: Path) -> bool:
    """Whether a lock's file is there and nobody holds it; False where the file system knows no locks."""
    try:
        with path.open("ab", buffering=0) as file:
            _take(file)
            return True
    except OSError:
        return False


def _open_and_take(path: Path, busy: str, then: str) -> tuple[IO[bytes], bool]:
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
        except OSError as error:
            raise unwritable(path, error) from error
        try:
            _take(file)
        except (BlockingIOError, PermissionError):
            file.close()
            raise WhyconvError(f"{busy}{_holder(path)}. Wait until it has ended, or stop it; then {then}") from None
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
