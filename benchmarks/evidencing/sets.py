"""The sets of the evidence: those of ``whyconv demo``, class folders, and 2,000 pictures of CIFAR-10."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from racing.raw_cifar import CLASSES, read_cifar

from whyconv.files import writing

# A seventh of the training pictures is kept apart for validation: 2,010 are left to learn from.
_EACH_CLASS, _NUM_TEST = 236, 2_000


def ready(place: Path, name: str, raw: Path | None) -> Path | None:
    """Returns what ``whyconv train`` is given: None for the digits, which ``whyconv demo`` brings along.

    Args:
        place: Where the pictures of CIFAR-10 are written.
        name: ``digits``, ``cifar10_2000``, or any other: then ``raw`` is a folder of class folders.
        raw: The folder; of CIFAR-10 the unpacked package, see ``racing.raw_cifar``.

    Raises:
        FileNotFoundError: The folder is needed and missing.
    """
    if name == "digits":
        return None
    made = place / f"{name}.npz"
    if name == "cifar10_2000" and made.exists():
        return made
    if raw is None or not raw.is_dir():
        raise FileNotFoundError(f"The pictures of {name} are not in {raw}. Say where they are: {name} FOLDER.")
    if name == "cifar10_2000":
        arrays = few_of(read_cifar(raw))
        with writing(made) as file:
            np.savez(file, classes=np.array(CLASSES), **arrays)
        return made
    return raw


def few_of(arrays: dict[str, np.ndarray], seed: int = 0) -> dict[str, np.ndarray]:
    """236 training pictures of each class drawn at random, in their old order, and the first 2,000 test pictures."""
    rng, labels = np.random.default_rng(seed), arrays["y_train"]
    drawn = [rng.choice(np.flatnonzero(labels == label), _EACH_CLASS, replace=False) for label in np.unique(labels)]
    rows = np.sort(np.concatenate(drawn))
    test = {name: arrays[name][:_NUM_TEST] for name in ("x_test", "y_test")}
    return {"x_train": arrays["x_train"][rows], "y_train": labels[rows], **test}
