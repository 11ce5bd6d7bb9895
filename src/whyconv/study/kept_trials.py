"""Results of trainings, kept by what they are results of: what was trained once is not trained again."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from threading import Lock

from pydantic import ValidationError

from whyconv.errors import StorageError
from whyconv.files import append_line, try_folder, unwritable
from whyconv.results import SquareProtocol
from whyconv.study.trials import Job, JobResult
from whyconv.untrusted import MOST_HISTORY_BYTES, content_of, json_values

# What a training depends on beside its job and its pictures; how much else is trained does not matter.
_DEPENDS_ON = {
    *("side", "channels", "kernel", "maps", "readout", "multiplier", "seed", "steps", "shift", "checkpoints"),
    *("batch", "most_scored"),
}
# Raised where the same job about the same division would come out otherwise than before: other pictures, starting
# weights, orders, steps of the optimizer, scores.
_TRAINING = 3


class KeptTrials:
    """A file of results, one a line; a line that was cut short is passed over.

    Args:
        path: Of the file; None keeps nothing.
        origin: Digest of the pictures, and the version: other results are not found.

    Raises:
        StorageError: The file cannot be read, or takes no more: said before anything is trained in vain.
    """

    def __init__(self, path: Path | None, origin: str) -> None:
        self._path, self._origin = path, origin
        self._lock = Lock()
        self._found, self._is_line_open = ({}, False) if path is None else _opened(path)

    def get(self, protocol: SquareProtocol, job: Job) -> JobResult | None:
        """The result of a job by a protocol, if it is kept."""
        return self._found.get(self._key(protocol, job))

    def put(self, protocol: SquareProtocol, job: Job, result: JobResult) -> None:
        """Keeps a result; may be called from any thread.

        Raises:
            StorageError: The system does not take it.
        """
        key = self._key(protocol, job)
        with self._lock:
            self._found[key] = result
            if self._path is not None:
                line = json.dumps({"key": key, "result": result.model_dump(mode="json")})
                append_line(self._path, "\n" * self._is_line_open + line)
                self._is_line_open = False

    def _key(self, protocol: SquareProtocol, job: Job) -> str:
        stem = json.dumps(
            [_TRAINING, self._origin, protocol.model_dump(mode="json", include=_DEPENDS_ON)], sort_keys=True
        )
        return hashlib.sha256((stem + json.dumps(job)).encode()).hexdigest()


def _opened(path: Path) -> tuple[dict[str, JobResult], bool]:
    """What is kept in a file, and whether its last line was cut short."""
    try:
        found = (_read(path), _is_line_open(path)) if path.exists() else ({}, False)
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    try:
        _require_open_for_more(path)
    except OSError as error:
        raise unwritable(path, error) from error
    return found


def _require_open_for_more(path: Path) -> None:
    """Raises OSError where nothing could be added; leaves no file where there is none."""
    if path.exists():
        path.open("ab").close()
    elif path.parent.exists():
        try_folder(path.parent)


def _is_line_open(path: Path) -> bool:
    """Whether the last line was cut short: what is written next must not become part of it."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        if not file.tell():
            return False
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def _read(path: Path) -> dict[str, JobResult]:
    found = {}
    for line in content_of(path, MOST_HISTORY_BYTES).decode("utf-8").splitlines():
        try:
            row = json_values(line)
            found[row["key"]] = JobResult.model_validate(row["result"])
        except (ValueError, KeyError, TypeError, ValidationError):
            continue
    return found
