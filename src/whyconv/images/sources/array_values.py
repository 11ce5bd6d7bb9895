"""What stands beside the pictures in arrays: labels as numbers, texts or one-hot rows, class names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from whyconv.images.sources.array_files import ObjectRows, Rows
from whyconv.images.sources.labels import MINUS_ONE, group_key, is_minus_one_none, minus_one_note
from whyconv.images.sources.listing import few
from whyconv.results import Note


@dataclass
class Findings:
    """What came up while a source was read: mistakes, all told at once, and notes."""

    problems: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


class Texts(NamedTuple):
    """Labels as class names.

    Attributes:
        labels: None for none.
        order: The source's own order of the classes.
        numbered_in: Name of the array where the classes are its numbers; "" where they have names.
    """

    labels: list[str | None]
    order: list[str]
    numbered_in: str = ""


def all_values(rows: Rows, key: str, expected: str, findings: Findings) -> np.ndarray | None:
    """Returns the values of an array; None, and a problem that says what was expected, where they cannot be had."""
    if isinstance(rows, ObjectRows):
        findings.problems.append(
            f"{key} holds Python objects, which are never loaded, expected {expected}: save it as texts or numbers, "
            f"{key} = {key}.astype(str)"
        )
        return None
    if not rows.shape:
        findings.problems.append(f"{key} is a single value, expected {expected}")
        return None
    try:
        return np.asarray(rows[:])
    except OSError as error:
        findings.problems.append(f"{key} cannot be read: {error}")
        return None


def key_texts(values: np.ndarray) -> list[str | None]:
    """Returns what stays together as texts, (n,); None for NaN and empty texts, which are with no other."""
    values = values.ravel()
    if values.dtype.kind == "f":
        return [None if np.isnan(value) else str(value) for value in values.tolist()]
    return [group_key(_text(value)) for value in values.tolist()]


def class_texts(rows: Rows, key: str, findings: Findings) -> list[str]:
    """Returns the names of the classes by number: bytes are UTF-8, numbers are written out."""
    values = all_values(rows, key, "one name a class", findings)
    names = [] if values is None else [_text(value) for value in values.ravel().tolist()]
    if len(set(names)) < len(names):
        findings.problems.append(f"{key} names a class twice")
    return names


def label_texts(values: np.ndarray, key: str, names: Sequence[str], findings: Findings) -> Texts:
    """Returns labels as texts: numbers by ``names`` where there are any, one-hot rows by their place.

    Args:
        values: (n,), (n, 1) or (1, n) of numbers or texts, or one-hot (n, classes).
        key: Name of the array, for messages.
        names: Class names by number; may be empty.
        findings: Mistakes and notes are added here.
    """
    if values.ndim == 2 and 1 not in values.shape and values.dtype.kind in "iufb":
        if not (((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all()):
            findings.problems.append(f"{key} has shape {values.shape} and is not one-hot; expected one label a picture")
            return Texts([None] * len(values), [])
        findings.notes.append(Note(key="labels_one_hot", values={"array": key, "num": str(values.shape[1])}))
        values = values.argmax(axis=1)
    elif values.ndim > 1 and max(values.shape) != values.size:
        findings.problems.append(f"{key} has shape {values.shape}, expected one label a picture")
        return Texts([None] * len(values), [])
    values = values.ravel()
    if values.dtype.kind not in "iufb":
        texts: list[str | None] = [_text(value) or None for value in values.tolist()]
        _tell_empty([row for row, text in enumerate(texts) if text is None], key, findings)
        return Texts(texts, list(names))
    return _numbered(values, key, names, findings)


def _tell_empty(rows: Sequence[int], key: str, findings: Findings) -> None:
    if rows:
        told = {"array": key, "num": f"{len(rows):,}", "names": few(f"{key}[{row}]" for row in rows)}
        findings.notes.append(Note(key="array_labels_empty", values=told, level="warning"))


def _numbered(values: np.ndarray, key: str, names: Sequence[str], findings: Findings) -> Texts:
    is_minus_one = (values == -1) & bool(names)
    has_label = ~is_minus_one & ~np.isnan(values)
    known = values[has_label]
    # Not all whole numbers are floats: of large ones, rounding makes others.
    if known.dtype.kind == "f" and (is_odd := ~np.isfinite(known) | (np.rint(known) != known)).any():
        findings.problems.append(f"{key} holds {known[is_odd][0]:g}, expected whole numbers or texts")
        return Texts([None] * len(values), [])
    distinct = [int(value) for value in np.unique(known).tolist()]
    if names and distinct and (distinct[0] < 0 or distinct[-1] >= len(names)):
        wrong = distinct[0] if distinct[0] < 0 else distinct[-1]
        findings.problems.append(
            f"{key} holds label {wrong}, but {len(names)} classes are named (0 to {len(names) - 1})"
        )
        return Texts([None] * len(values), [])
    spelled = {number: names[number] if names else str(number) for number in distinct}
    result: list[str | None] = [None] * len(values)
    for row, value in zip(np.flatnonzero(has_label).tolist(), known.tolist(), strict=True):
        result[row] = spelled[int(value)] or None
    if is_minus_one.any():
        findings.notes.append(minus_one_note(key, int(is_minus_one.sum())))
    _tell_empty([row for row, text in enumerate(result) if text is None and not is_minus_one[row]], key, findings)
    return Texts(result, list(spelled.values()), "" if names else key)


def without_minus_one(found: Sequence[Texts], findings: Findings) -> list[Texts]:
    """Takes -1 for no label where ``is_minus_one_none`` says so.

    Args:
        found: The labels of all parts: one rule for all.
        findings: Notes are added here.
    """
    numbers = {name for texts in found if texts.numbered_in for name in texts.order}
    if not is_minus_one_none(numbers):
        return list(found)
    result = []
    for texts in found:
        num = texts.labels.count(MINUS_ONE) if texts.numbered_in else 0
        if num:
            findings.notes.append(minus_one_note(texts.numbered_in, num))
            labels = [None if label == MINUS_ONE else label for label in texts.labels]
            result.append(Texts(labels, [name for name in texts.order if name != MINUS_ONE], texts.numbered_in))
        else:
            result.append(texts)
    return result


def _text(value: object) -> str:
    return value.decode("utf-8", "backslashreplace").strip() if isinstance(value, bytes) else str(value).strip()
