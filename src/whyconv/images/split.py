"""Virtual splits: which picture is for training, validation or test, decided by content alone."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whyconv.errors import DataError, SettingsError
from whyconv.results import Note

LEFT_OUT, TRAIN, VALIDATION, TEST = 0, 1, 2, 3

# A class with too few independent groups for every part fills the parts in this order.
_PRIORITY = (TRAIN, TEST, VALIDATION)
_MOST_NAMED = 5

# A group of several classes goes to a held-out part only if this fraction of it is wanted there: classes are
# never mixed in a group as in the whole, so all of it seldom is.
_LEAST_WANTED = 0.75


@dataclass
class _Group:
    """Pictures that must stay together.

    Attributes:
        key: Place in the order of drawing: the least keyed digest of its pictures.
        counts: Pictures of each class.
        part: Where it goes.
    """

    key: int
    counts: dict[int, int]
    part: int = LEFT_OUT

    @property
    def size(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, eq=False)
class Material:
    """What a split depends on, picture by picture.

    Attributes:
        labels: Class of each picture, int (n,), -1 for none.
        digests: Digest of each file's content, uint8 (n, 16); equal digests always stay together.
        classes: Names of the classes, for messages.
        readable: Whether each picture can be decoded, bool (n,); all if None.
        parts: The user's own parts, int (n,): 0 none, 1 training, 2 validation, 3 test; all 0 if None.
        groups: Any number of integer arrays (n,): pictures that share a number in one of them stay
            together. None is passed over.
    """

    labels: np.ndarray
    digests: np.ndarray
    classes: Sequence[str]
    readable: np.ndarray | None = None
    parts: np.ndarray | None = None
    groups: Sequence[np.ndarray | None] = ()


def assign_parts(
    material: Material, *, seed: int = 0, validation_fraction: float = 0.15, test_fraction: float = 0.15
) -> tuple[np.ndarray, list[Note]]:
    """Assigns every usable picture to training, validation or test; moves no file.

    The user's own parts are kept, and only what is missing is carved out of training: validation, test,
    or both. The result is a function of the seed and of the content digests: neither the order of the
    pictures, nor paths, nor the machine enters, and a class that is added moves no picture of another,
    as long as no group holds pictures of both.

    Within a class, groups are drawn in the order of BLAKE2b(seed, digest); a group goes to the first of
    test, validation, training whose quota (fraction x pictures, rounded, at least 1) still holds it. A group that is
    more than half of a class, and more than any quota, is not counted: of the other pictures, too few to make up for
    it, most would be taken out of training.
    Groups that span classes are placed before, the largest first, where most is missing. A class with
    at least three groups of its own is in all three parts; with two it is in training and test, with one
    in training. Copies that lie across the user's own parts are not moved.

    Args:
        material: Labels, digests and what must stay together.
        seed: Any integer of 64 bits; another seed, another split.
        validation_fraction: Wanted part of the pictures that are split, in [0, 1).
        test_fraction: Likewise; both together less than 1.

    Returns:
        Part of each picture, int8 (n,): 1 training, 2 validation, 3 test, 0 left out (no label, not
        readable); and notes on the rule that was applied and on classes with too few groups.

    Raises:
        SettingsError: The fractions are out of range.
        DataError: No usable picture is left for training.
    """
    _check_fractions(validation_fraction, test_fraction)
    labels, digests = np.asarray(material.labels), material.digests
    own = np.zeros(len(labels), np.int8) if material.parts is None else np.asarray(material.parts, np.int8)
    usable = labels >= 0 if material.readable is None else (labels >= 0) & material.readable
    pool = usable & (own <= TRAIN)
    if not pool.any():
        raise DataError(_nothing_to_train_on(usable, own))
    wanted = {VALIDATION: validation_fraction, TEST: test_fraction}
    fractions = {part: share for part, share in wanted.items() if share > 0 and not (usable & (own == part)).any()}
    component = components([*material.groups, digest_numbers(digests)], usable)
    # What is a copy of something in the user's own validation or test part stays in training, as the
    # user laid it out; drawing it into another held-out part would carry the leak there too.
    rows = np.flatnonzero(pool & ~np.isin(component, component[usable & ~pool]))
    members, of_row = np.unique(component[rows], return_inverse=True)
    drawn = _make_groups(labels[rows], digests[rows], of_row, len(members), seed)
    _draw(drawn, fractions)
    result = np.where(pool, TRAIN, np.where(usable, own, LEFT_OUT)).astype(np.int8)
    result[rows] = np.array([group.part for group in drawn], np.int8)[of_row]
    return result, [_rule_note(result, own[usable], fractions), *_few_notes(drawn, fractions, material.classes)]


def components(groupings: Sequence[np.ndarray | None], usable: np.ndarray) -> np.ndarray:
    """Joins all groupings: pictures linked by any of them, also in steps, get one number.

    Args:
        groupings: Integer arrays (n,); equal numbers mean together. None is passed over.
        usable: bool (n,); the other pictures link nothing.

    Returns:
        int64 (n,), the least index of the pictures joined; -1 where not usable.
    """
    rows = np.flatnonzero(usable)
    joined = np.arange(len(rows))
    inverses = [np.unique(grouping[rows], return_inverse=True)[1] for grouping in groupings if grouping is not None]
    is_settled = False
    while not is_settled:
        before = joined
        for inverse in inverses:
            least = np.full(len(rows), len(rows))
            np.minimum.at(least, inverse, joined)
            joined = least[inverse]
        is_settled = bool(np.array_equal(before, joined))
    result = np.full(len(usable), -1, np.int64)
    result[rows] = rows[joined]
    return result


def digest_numbers(digests: np.ndarray) -> np.ndarray:
    """Numbers equal digests equally: uint8 (n, 16) to int64 (n,)."""
    rows = np.ascontiguousarray(digests, np.uint8)
    if not len(rows):
        return np.zeros(0, np.int64)
    return np.unique(rows.view(np.dtype((np.void, rows.shape[1]))).ravel(), return_inverse=True)[1].astype(np.int64)


def _make_groups(labels: np.ndarray, digests: np.ndarray, of_row: np.ndarray, num: int, seed: int) -> list[_Group]:
    made = [_Group(1 << 64, {}) for _ in range(num)]
    salt = (seed % (1 << 64)).to_bytes(8, "little")
    for label, digest, number in zip(labels.tolist(), digests, of_row.tolist(), strict=True):
        group = made[number]
        hashed = hashlib.blake2b(salt + digest.tobytes(), digest_size=8).digest()
        group.key = min(group.key, int.from_bytes(hashed, "little"))
        group.counts[label] = group.counts.get(label, 0) + 1
    return made


def _draw(groups: list[_Group], fractions: dict[int, float]) -> None:
    """Gives every group its part; ``fractions`` holds the parts that are carved out of training."""
    # Classes in the order of their numbers, never in that of the listing.
    by_class: dict[int, list[_Group]] = {
        label: [] for label in sorted({each for group in groups for each in group.counts})
    }
    for group in sorted(groups, key=lambda group: group.key):
        for label in group.counts:
            by_class[label].append(group)
    targets = {label: _targets(label, own, fractions) for label, own in by_class.items()}
    mixed = [group for group in groups if len(group.counts) > 1]
    for group in sorted(mixed, key=lambda group: (-group.size, group.key)):
        _place_mixed(group, targets)
    for label, own in by_class.items():
        for group in own:
            if group.part == LEFT_OUT:
                size, need = group.counts[label], targets[label]
                group.part = next((part for part in (TEST, VALIDATION) if 0 < size <= need.get(part, 0)), TRAIN)
                need[group.part] = need.get(group.part, 0) - size
    _repair(by_class, fractions)


def _targets(label: int, groups: list[_Group], fractions: dict[int, float]) -> dict[int, float]:
    """Pictures of a class wanted in each part."""
    sizes = [group.counts[label] for group in groups]
    total, largest = sum(sizes), max(sizes)
    carved = {part: fraction for part, fraction in fractions.items() if part in _wanted(groups, fractions)}
    targets = _quotas(total, carved)
    if 2 * largest > total and all(largest > quota for quota in targets.values()):
        targets = _quotas(total - largest, carved)
    return targets | {TRAIN: total - sum(targets.values())}


def _quotas(num: int, fractions: dict[int, float]) -> dict[int, float]:
    return {part: max(1, math.floor(fraction * num + 0.5)) for part, fraction in fractions.items()}


def _wanted(groups: list[_Group], fractions: dict[int, float]) -> list[int]:
    """Parts that a class with these groups can be in."""
    return [part for part in _PRIORITY if part == TRAIN or part in fractions][: len(groups)]


def _place_mixed(group: _Group, targets: dict[int, dict[int, float]]) -> None:
    """Puts a group of several classes where, relative to what is wanted, most of them is missing."""
    totals = {label: sum(max(0.0, need) for need in targets[label].values()) or 1.0 for label in group.counts}

    def missing(part: int) -> float:
        # fsum rounds once, so that the sum is the same in every order and on every machine.
        return math.fsum(num * targets[label].get(part, 0) / totals[label] for label, num in group.counts.items())

    held_out = [part for part in (TEST, VALIDATION) if any(part in targets[label] for label in group.counts)]
    fitting = [part for part in held_out if _fits(group, part, targets)]
    group.part = max([TRAIN, *fitting], key=missing)
    for label, num in group.counts.items():
        targets[label][group.part] = targets[label].get(group.part, 0) - num


def _fits(group: _Group, part: int, targets: dict[int, dict[int, float]]) -> bool:
    """Whether most pictures of the group are still wanted in the part."""
    wanted = math.fsum(max(0, min(num, targets[label].get(part, 0))) for label, num in group.counts.items())
    return wanted >= _LEAST_WANTED * group.size


def _repair(by_class: dict[int, list[_Group]], fractions: dict[int, float]) -> None:
    """Moves single groups until no class lacks a part it can be in, as far as other classes allow it."""
    for _ in range(len(_PRIORITY)):
        moves = [
            _move_one_to(part, label, by_class)
            for label, groups in by_class.items()
            for part in _wanted(groups, fractions)
            if all(group.part != part for group in groups)
        ]
        if not any(moves):
            return


def _move_one_to(part: int, label: int, by_class: dict[int, list[_Group]]) -> bool:
    """Moves the smallest group of a class to ``part`` that leaves no class without its last group there."""
    touched = {each for group in by_class[label] for each in group.counts}
    tally = {each: Counter(group.part for group in by_class[each]) for each in touched}
    spare = [group for group in by_class[label] if all(tally[each][group.part] > 1 for each in group.counts)]
    if not spare:
        return False
    min(spare, key=lambda group: (group.part != TRAIN, group.size, group.key)).part = part
    return True


def _check_fractions(validation: float, test: float) -> None:
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise SettingsError(
            f"validation_fraction is {validation} and test_fraction {test}; "
            "expected numbers from 0 to below 1, less than 1 together."
        )


def _nothing_to_train_on(usable: np.ndarray, own: np.ndarray) -> str:
    held_out = int((usable & (own > TRAIN)).sum())
    if not held_out:
        return "There is no picture to train on: none is both readable and labeled. whyconv check names the reasons."
    return (
        f"There is no picture to train on: all {held_out:,} usable pictures lie in the validation or test part. "
        "Add a train folder, or name one part itself to have it split."
    )


def _rule_note(result: np.ndarray, own: np.ndarray, carved: dict[int, float]) -> Note:
    """Says which parts are the user's and which were carved out."""
    if not (own > 0).any():
        rule = "split_made"
    elif not carved:
        rule = "split_kept"
    elif len(carved) > 1:
        rule = "split_both_carved"
    else:
        rule = "split_validation_carved" if VALIDATION in carved else "split_test_carved"
    counts = np.bincount(result, minlength=4).tolist()
    names = {"num_train": TRAIN, "num_validation": VALIDATION, "num_test": TEST}
    return Note(key=rule, values={name: f"{counts[part]:,}" for name, part in names.items()})


def _few_notes(groups: list[_Group], fractions: dict[int, float], classes: Sequence[str]) -> list[Note]:
    """Names the classes that are not in every part that was carved."""
    found: dict[int, set[int]] = {}
    for group in groups:
        for label in group.counts:
            found.setdefault(label, set()).add(group.part)
    lacking = sorted(label for label, parts in found.items() if not {TRAIN, *fractions} <= parts)
    if not lacking:
        return []
    names = ", ".join(classes[label] for label in lacking[:_MOST_NAMED]) + ", ..." * (len(lacking) > _MOST_NAMED)
    values = {"num": len(lacking), "classes": names}
    return [Note(key="split_classes_not_in_every_part", values=values, level="warning")]
