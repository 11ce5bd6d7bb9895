"""What happened in a training, line by line in ``metrics.jsonl``: J of every step, and a record per epoch."""

from __future__ import annotations

import json
from pathlib import Path

from whyconv import files
from whyconv.errors import ModelFileError, StorageError
from whyconv.results import EpochRecord, Note, Notify
from whyconv.untrusted import MOST_HISTORY_BYTES, content_of, json_values


class History:
    """Writes a history; what a full disk does not take waits, and is written before what comes next.

    Args:
        path: Of the file.
        notify: Told where the disk does not take something.
    """

    def __init__(self, path: Path, notify: Notify) -> None:
        self._path, self._notify = path, notify
        self._waiting: list[str] = []

    def add_epoch(self, losses: list[float], first_step: int, record: EpochRecord) -> None:
        """Adds one line for each step of an epoch, ``{"step": ..., "loss": ...}``, then the epoch's record."""
        self._waiting.append(_epoch_text(losses, first_step, record))
        try:
            self.write()
        except StorageError as error:
            self._notify(Note(key="run_history_waits", values={"reason": str(error)}, level="warning"))

    def write(self) -> None:
        """Writes what waits.

        Raises:
            StorageError: The disk does not take it.
        """
        if self._waiting:
            files.append_line(self._path, "\n".join(self._waiting))
            self._waiting = []


def read_history(path: Path) -> tuple[list[float], list[EpochRecord]]:
    """Reads J of every step and the records of the epochs; a last line cut short is passed over.

    Raises:
        ModelFileError: It is no history.
    """
    losses: list[float] = []
    records: list[EpochRecord] = []
    if not path.exists():
        return losses, records
    for line in _content(path).decode("utf-8", "replace").splitlines():
        try:
            values = json_values(line)
        except ValueError:
            continue
        try:
            if "epoch" in values:
                records.append(EpochRecord.model_validate(values))
            else:
                losses.append(float(values["loss"]))
        except (KeyError, TypeError, ValueError):
            raise ModelFileError(f"{path} is damaged: {line[:80]!r} is no line of a history.") from None
    return losses, records


def _content(path: Path) -> bytes:
    try:
        return content_of(path, MOST_HISTORY_BYTES)
    except ValueError as error:
        raise ModelFileError(f"{path} is no history: {error}.") from None


def cut_history(path: Path, num_epochs: int) -> None:
    """Keeps the first ``num_epochs`` epochs, so that a training that goes on writes each line once."""
    losses, records = read_history(path)
    texts, done = [], 0
    for record in records[:num_epochs]:
        texts.append(_epoch_text(losses[done : record.step], done + 1, record) + "\n")
        done = record.step
    files.write_text(path, "".join(texts))


def _epoch_text(losses: list[float], first_step: int, record: EpochRecord) -> str:
    lines = [json.dumps({"step": first_step + index, "loss": loss}) for index, loss in enumerate(losses)]
    return "\n".join([*lines, record.model_dump_json()])
