"""What was measured of why convolutions, in a run folder: read again, written, and not replaced by less."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from whyconv import __version__, files
from whyconv.report import Patches, lacks_why, page_language, why_section, with_why
from whyconv.results import Note, Notify
from whyconv.results.keeping import Part
from whyconv.results.why import Question, Why
from whyconv.untrusted import json_in, sound_json_in

RECORD, REPORT = "why.json", "report.html"


def answered(run: Path, question: Question, digest: str, notify: Notify) -> Why | None:
    """Returns what lies in the run folder and answers a question; None where it has to be measured.

    It answers if it is of the same pictures and version, and was asked the same, or the same with more minutes: then
    it says more than would be measured now.

    Args:
        run: The run folder.
        question: What is asked.
        digest: Of the pictures and their division.
        notify: Told what is shown, and how to measure again.
    """
    for path in (run / RECORD, run / _own_name(question)):
        saved = _read(path)
        if saved is None or (saved.digest, saved.version) != (digest, __version__):
            continue
        if saved.question != question and not _has_more(saved.question, question):
            continue
        # Both parts are headed by the run, which may have been copied or renamed.
        square = saved.square.model_copy(update={"run": str(run)})
        saved = saved.model_copy(update={"run": str(run), "square": square})
        if saved.question == question:
            notify(Note(key="square_saved", values={"path": str(path)}))
        else:
            values = {"path": str(path), "minutes": saved.question.minutes, "asked": _asked(question)}
            notify(Note(key="why_saved_longer", values=values))
        if path.name == RECORD:
            _refill_report(run, saved, notify)
        return saved
    return None


@dataclass(frozen=True, eq=False)
class Pixels:
    """What the report shows of the run's own pictures, beside what is in the record.

    Attributes:
        patches: Of the detectors.
        picture: The one that fields are drawn on, uint8 (high, wide, channels); None: drawn on none.
    """

    patches: Patches = field(default_factory=dict)
    picture: NDArray[np.uint8] | None = None


def write_why(run: Path, why: Why, pixels: Pixels, notify: Notify) -> Path:
    """Writes what was measured into the run folder, and fills the section of its report.

    Where ``why.json`` holds the answer to a question with more minutes about the same pictures, it stays, and so does
    the report; this one gets a file of its own.

    Args:
        run: The run folder.
        why: What was measured.
        pixels: For the report.
        notify: Told what was kept and why, and of a report without a place.

    Returns:
        The file it was written to.
    """
    kept = minutes_of_longer(run, why.question, why.digest)
    path = run / (RECORD if kept is None else _own_name(why.question))
    files.write_text(path, why.model_dump_json(indent=2) + "\n")
    if kept is None:
        _fill_report(run, why, pixels, notify)
    else:
        values = {"kept": str(run / RECORD), "minutes": kept, "path": str(path), "asked": _asked(why.question)}
        notify(Note(key="why_kept_longer", values=values, level="warning"))
    return path


def minutes_of_longer(run: Path, question: Question, digest: str) -> float | None:
    """Returns the minutes that ``why.json`` was given, where they are more than a question's; None where they are not.

    Whatever version wrote it: what comes from more time about the same pictures stays.

    Args:
        run: The run folder.
        question: Whose answer would take its place.
        digest: Of the pictures and their division.
    """
    try:
        saved = json_in(run / RECORD)
        is_same, minutes = saved["digest"] == digest, saved["question"]["minutes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    is_longer = isinstance(minutes, int | float) and _length(minutes) > _length(question.minutes)
    return minutes if is_same and is_longer else None


class KeptParts:
    """A file of what was found for one question before it was stopped; the next one about anything else begins anew.

    Args:
        path: Of the file.
        origin: Of the pictures and the question: parts of another origin are not found.
    """

    def __init__(self, path: Path, origin: str) -> None:
        self._path, self._origin = path, origin
        self._found = _parts_in(path, origin)

    def __call__(self, name: str, kind: type[Part], question: Callable[[], Part]) -> Part:
        """As ``results.keeping.Keep`` has it.

        Raises:
            StorageError: The system does not take the file.
        """
        with suppress(KeyError, ValidationError):
            return kind.model_validate(self._found[name])
        answer = question()
        self._found[name] = answer.model_dump(mode="json")
        files.write_text(self._path, json.dumps({"origin": self._origin, "parts": self._found}) + "\n")
        return answer

    def forget(self) -> None:
        """Takes the file away: the whole answer is there."""
        with suppress(OSError):  # the next question begins anew anyway
            self._path.unlink(missing_ok=True)


def _parts_in(path: Path, origin: str) -> dict[str, object]:
    try:
        saved = json_in(path)
        return dict(saved["parts"]) if saved["origin"] == origin else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def record_path(run: Path, question: Question) -> Path:
    """Returns the file in the run folder that holds the answer to a question that was answered."""
    own = run / _own_name(question)
    saved = _read(run / RECORD)
    return own if own.exists() and (saved is None or saved.question != question) else run / RECORD


def _read(path: Path) -> Why | None:
    try:
        return Why.model_validate_json(sound_json_in(path))
    except (OSError, ValueError):
        return None


def _own_name(question: Question) -> str:
    minutes = "quick" if question.minutes is None else f"{question.minutes:g}-minutes"
    return f"why-{question.side}-pixels-{minutes}-seed-{question.seed}.json"


def _length(minutes: float | None) -> float:
    """The short form is shorter than any minutes."""
    return minutes or 0.0


def _has_more(saved: Question, asked: Question) -> bool:
    """Whether the same was asked for more minutes."""
    return (saved.side, saved.seed) == (asked.side, asked.seed) and _length(saved.minutes) > _length(asked.minutes)


def _asked(question: Question) -> str:
    return "--quick" if question.minutes is None else f"--minutes {question.minutes:g}"


def _refill_report(run: Path, why: Why, notify: Notify) -> None:
    """Fills in the section of a run's report where it is still empty: without what needs the pictures."""
    try:
        page = (run / REPORT).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    if lacks_why(page):
        _fill_report(run, why, Pixels(), notify)


def _fill_report(run: Path, why: Why, pixels: Pixels, notify: Notify) -> None:
    """Puts the record into the run's report, in the report's language; a page without a place for it stays as it is."""
    path = run / REPORT
    if not path.exists():  # a run of the model alone has none
        return
    lacking = Note(key="why_no_place", values={"path": str(path)}, level="warning")
    try:
        page = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        notify(lacking)
        return
    section = why_section(why, page_language(page), pixels.patches, pixels.picture)
    try:
        filled = with_why(page, section)
    except LookupError:
        notify(lacking)
        return
    files.write_text(path, filled)
