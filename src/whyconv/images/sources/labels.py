"""Names of parts and classes: aliases, one spelling, one order, the same number in every part."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from whyconv.errors import UsageError
from whyconv.images.sources.listing import PART_NAMES, few
from whyconv.results import Note

TRAIN, VALIDATION, TEST = 1, 2, 3
MINUS_ONE = "-1"

_ALIASES = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
    "testing": TEST,
    "eval": TEST,
    "evaluation": TEST,
}
PART_ALIASES = tuple(_ALIASES)
# What people add to the name of a part without meaning anything else: training_set, trainimages, test_data.
_ADDITION = r"(?:sets?|data|datasets?|images?|imgs?|pictures?|photos?|files?|folders?|splits?|part)"
_PART_WORD = re.compile(rf"{_ADDITION}?({'|'.join(sorted(PART_ALIASES, key=len, reverse=True))}){_ADDITION}?")

_NO_LABEL = frozenset(("nan", "na", "n/a", "#n/a", "<na>", "null", "none"))
_MINUS_ONE, _ZERO, _WHOLE = (re.compile(rf"{digits}(?:\.0*)?") for digits in ("-1", "0+", "[0-9]+"))
_NUMBER = re.compile(r"([0-9]+)(?:\.([0-9]*))?")


def part_of(name: str) -> int:
    """Returns the index into PART_NAMES that a whole name stands for, in any case; 0 where it is no part."""
    return _ALIASES.get(name.strip().casefold(), 0)


def part_words(name: str) -> tuple[frozenset[int], tuple[str, ...]]:
    """Returns the parts that words of a name stand for, and its other words; numbers and usual additions are none.

    ``train2017`` and ``training_set`` stand for a part and nothing else, ``seg_train`` has another word.
    """
    parts, rest = set[int](), list[str]()
    for word in re.split(r"[\W\d_]+", name.casefold()):
        if found := _PART_WORD.fullmatch(word):
            parts.add(_ALIASES[found[1]])
        elif word and not re.fullmatch(_ADDITION, word):
            rest.append(word)
    return frozenset(parts), tuple(rest)


def class_name(label: str) -> str:
    """Returns a label in its one spelling: NFC (macOS writes NFD), no blanks around it."""
    return unicodedata.normalize("NFC", label).strip()


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Returns a sort key under which "2" comes before "10"; names that differ never compare equal."""
    pieces = re.split(r"([0-9]+)", name)
    return (*(_piece_key(piece) for piece in pieces if piece), (2, 0, name))


def _piece_key(piece: str) -> tuple[int, int, str]:
    if not (piece.isascii() and piece.isdigit()):
        return 1, 0, piece.casefold()
    # Of two numbers the one with more digits is larger: any number of digits can be compared so.
    digits = piece.lstrip("0")
    return 0, len(digits), digits


def number_classes(
    texts: Sequence[str | None],
    parts: np.ndarray,
    order: Sequence[str] = (),
    *,
    keep_all_classes: bool = False,
    times: np.ndarray | None = None,
) -> tuple[np.ndarray, tuple[str, ...], list[Note]]:
    """Numbers the classes by name, so that one name has one number in every part.

    Where there is a training part, its classes are the classes: a class met only in another part cannot
    be learned, so its pictures lose their label (-1) and a note says so. ``keep_all_classes`` leaves them theirs.

    Args:
        texts: Label of each picture as written, None where it has none; (n,).
        parts: int8 (n,), index into PART_NAMES.
        order: The source's own order of the classes; natural order where empty.
        keep_all_classes: Whether classes met only outside the training part are classes too.
        times: int64 (n,), pictures of each text and part; None: one.

    Returns:
        Labels int32 (n,), the classes, and notes on foreign, missing and confusable names.
    """
    # The same string object is met again and again: each spelling is normalized once.
    spellings = {text: class_name(text) for text in set(texts) if text is not None}
    names = sorted(set(spellings.values()) - {""}, key=natural_key)
    if order:
        place = {class_name(name): i for i, name in enumerate(order)}
        names.sort(key=lambda name: place.get(name, len(place)))
    number = {name: i for i, name in enumerate(names)}
    of_text = {text: number.get(name, -1) for text, name in spellings.items()}
    raw = np.fromiter((-1 if text is None else of_text[text] for text in texts), np.int32, len(texts))
    notes = [*_spelling_notes(spellings, names)]
    counts = np.zeros((len(PART_NAMES), len(names)), np.int64)
    np.add.at(counts, (parts[raw >= 0], raw[raw >= 0]), 1 if times is None else times[raw >= 0])
    kept = np.arange(len(names))
    if counts[TRAIN].any() and not keep_all_classes:
        # Pictures outside every part are trained on too.
        kept = np.flatnonzero(counts[TRAIN] + counts[0])
        notes += _part_notes(counts, names)
    renumber = np.full(len(names) + 1, -1, np.int32)
    renumber[kept] = np.arange(len(kept))
    return renumber[raw], tuple(names[i] for i in kept), notes


def group_key(text: str | None) -> str | None:
    """Returns what stays together in the one spelling that labels have; None where nothing is said."""
    return None if text is None else class_name(text) or None


def group_numbers(keys: Sequence[str | None]) -> np.ndarray:
    """Numbers the groups: equal keys, equal numbers; a picture without a key is a group of its own.

    Returns:
        int64 (n,), numbers from 0 in order of first appearance.
    """
    numbers: dict[object, int] = {}
    found = (numbers.setdefault(key if key is not None else (row,), len(numbers)) for row, key in enumerate(keys))
    return np.fromiter(found, np.int64, len(keys))


def compile_pattern(pattern: str, option: str, group: str) -> re.Pattern[str]:
    """Compiles a regular expression that marks one group; raises UsageError naming ``option``."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{option} {pattern!r} is not a regular expression: {error}.") from None
    if not compiled.groups:
        raise UsageError(
            f"{option} {pattern!r} marks nothing. Put parentheses around the {group}, for example '([a-z]+)_[0-9]+'."
        )
    return compiled


def match_names(pattern: re.Pattern[str], names: Iterable[str], group: str) -> list[str | None]:
    """Returns what the group called ``group``, else the first group, takes from each name; None for no match."""
    key: str | int = group if group in pattern.groupindex else 1
    return [(found[key] or None) if (found := pattern.search(name)) else None for name in names]


def is_minus_one(label: str) -> bool:
    """Whether a label is -1, also as pandas writes it beside labels that are missing: ``-1.0``."""
    return _MINUS_ONE.fullmatch(label) is not None


def is_minus_one_none(numbers: Iterable[str]) -> bool:
    """Whether -1 is no label among classes that are numbers: beside those from 0 up, as scikit-learn and torch have it.

    Beside 1 alone it is the other class of two, beside other negative numbers one of them.
    """
    names = set(numbers)
    others = {name for name in names if not is_minus_one(name)}
    has_zero = any(_ZERO.fullmatch(name) for name in others)
    return len(others) < len(names) and has_zero and all(map(_WHOLE.fullmatch, others))


def minus_one_note(source: str, num: int) -> Note:
    """Returns the warning that -1 is taken for no label; ``source`` is the array or the file."""
    return Note(key="labels_minus_one", values={"array": source, "num": f"{num:,}"}, level="warning")


def none_notes(classes: Sequence[str]) -> list[Note]:
    """Returns a warning of classes that are called as no label is written; some classes really are."""
    found = [name for name in classes if name.casefold() in _NO_LABEL]
    return [Note(key="classes_called_none", values={"classes": few(found)}, level="warning")] if found else []


def _number_key(name: str) -> str | None:
    """The same text for every way to write a number; None where a name is none."""
    found = _NUMBER.fullmatch(name)
    return None if found is None else f"{found[1].lstrip('0')}.{(found[2] or '').rstrip('0')}"


def _spelling_notes(spellings: dict[str, str], names: Sequence[str]) -> Iterable[Note]:
    for key, key_of in (("classes_differ_by_case", str.casefold), ("classes_one_number", _number_key)):
        alike: dict[str | None, list[str]] = {}
        for name in names:
            alike.setdefault(key_of(name), []).append(name)
        for each, found in alike.items():
            if each is not None and len(found) > 1:
                yield Note(key=key, values={"classes": few(found)}, level="warning")
    merged = sorted({name for text, name in spellings.items() if name and text.strip() != name})
    if merged:
        yield Note(key="classes_normalized", values={"classes": few(merged)})


def _part_notes(counts: np.ndarray, names: Sequence[str]) -> Iterable[Note]:
    in_train = counts[TRAIN] + counts[0] > 0
    for part in (VALIDATION, TEST):
        if not counts[part].any():
            continue
        missing = [names[i] for i in np.flatnonzero(in_train & (counts[part] == 0)).tolist()]
        foreign = [names[i] for i in np.flatnonzero(~in_train & (counts[part] > 0)).tolist()]
        values = {"part": PART_NAMES[part]}
        if missing:
            values |= {"num": str(len(missing)), "classes": few(missing)}
            yield Note(key="classes_missing_in_part", values=values, level="warning")
        if foreign:
            num = int(counts[part][~in_train].sum())
            values |= {"num_pictures": f"{num:,}", "classes": few(foreign)}
            yield Note(key="classes_foreign_in_part", values=values, level="warning")
