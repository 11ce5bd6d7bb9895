"""What happened in a training, line by line in ``metrics.jsonl``: J of every step, and a record per epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from whyconv import files
from whyconv.errors import ModelFileError, StorageError
from whyconv.results import EpochRecord, Note, Notify, SkippedStep
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

    def add_epoch(
        self, losses: list[float], first_step: int, record: EpochRecord, skipped: Sequence[SkippedStep] = ()
    ) -> None:
        """Adds one line for each step of an epoch, ``{"step": ..., "loss": ...}``, then the epoch's record.

        The line of a step that was left out says so: ``{"step": ..., "loss": null, "skipped": {...}}``.
        """
        self._waiting.append(_epoch_text(losses, first_step, record, {each.step: each for each in skipped}))
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
    """Reads J of every step, NaN where it was left out, and the records of the epochs.

    A last line cut short is passed over.

    Raises:
        ModelFileError: It is no history.
    """
    losses: list[float] = []
    records: list[EpochRecord] = []
    for text, values in _lines(path):
        try:
            if "epoch" in values:
                records.append(EpochRecord.model_validate(values))
            else:
                losses.append(math.nan if values["loss"] is None else float(values["loss"]))
        except (KeyError, TypeError, ValueError):
            raise ModelFileError(f"{path} is damaged: {text[:80]!r} is no line of a history.") from None
    return losses, records


def _content(path: Path) -> bytes:
    try:
        return content_of(path, MOST_HISTORY_BYTES)
    except ValueError as error:
        raise ModelFileError(f"{path} is no history: {error}.") from None


def cut_history(path: Path, num_epochs: int) -> None:
    """Keeps the first ``num_epochs`` epochs, so that a training that goes on writes each line once."""
    lines = _lines(path)
    ends = [place for place, (_, values) in enumerate(lines, start=1) if "epoch" in values][:num_epochs]
    kept = lines[: ends[-1]] if ends else []
    files.write_text(path, "".join(f"{text}\n" for text, _ in kept))


def _lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Every line as it is written, and what it says."""
    found: list[tuple[str, dict[str, Any]]] = []
    if not path.exists():
        return found
    for text in _content(path).decode("utf-8", "replace").splitlines():
        try:
            values = json_values(text)
        except ValueError:
            continue
        if not isinstance(values, dict):
            raise ModelFileError(f"{path} is damaged: {text[:80]!r} is no line of a history.")
        found.append((text, values))
    return found


def _epoch_text(losses: list[float], first_step: int, record: EpochRecord, skipped: dict[int, SkippedStep]) -> str:
    lines = [_step_text(step, loss, skipped.get(step)) for step, loss in enumerate(losses, start=first_step)]
    return "\n".join([*lines, record.model_dump_json()])


def _step_text(step: int, loss: float, skipped: SkippedStep | None) -> str:
    if skipped is None:
        return json.dumps({"step": step, "loss": loss})
    return json.dumps({"step": step, "loss": None, "skipped": skipped.model_dump(exclude={"step"})})
