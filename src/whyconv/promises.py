"""What an exported file promises besides its answers: sets that hold the truth, and to say when it does not know.

Both follow from the validation part, after the temperature: those pictures chose the epoch and the temperature as well,
so that what is promised holds a little less exactly than for pictures that chose nothing. The test part judges it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyconv import files
from whyconv.answer_sets import MOST_TRUTHS
from whyconv.model_file import AnswerSets, Metadata, Unsure
from whyconv.novelty import KnownPictures, Novelty, add_novelty, fit_novelty
from whyconv.novelty.fitting import ACCEPTED
from whyconv.onnx_file.seal import sealed, without_seal
from whyconv.recognizer import Answers
from whyconv.results import Evaluation
from whyconv.training.evaluate import softmax
from whyconv.training.pixel_rows import Pixels, evenly_chosen
from whyconv.training.reliability import score_acceptance, score_sets

_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Examples:
    """Training pictures that answers can be likened to.

    Attributes:
        rows: Which of the training part (n,).
        pixels: uint8 (n, side, side, channels).
        labels: Classes (n,).
        features: What the last layer decides from (n, d).
    """

    rows: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int32]
    features: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ValidationAnswers:
    """What is known of independent pictures of the validation part, row for row.

    Attributes:
        pixels: uint8 (n, side, side, channels); on disk where memory is short.
        labels: The truth (n,).
        logits: Before the temperature (n, classes).
        features: What the last layer decides from (n, d); None where they were not asked for.
    """

    pixels: Pixels
    labels: NDArray[np.int32]
    logits: NDArray[np.float32]
    features: NDArray[np.float32] | None


def add_promises(path: Path, metadata: Metadata, validation: ValidationAnswers, examples: Examples | None) -> Metadata:
    """Writes an exported file anew with what it can promise; leaves it as it is where that is nothing.

    Args:
        path: Of the file.
        metadata: As it carries them.
        validation: What everything follows from.
        examples: Training pictures; None: it will not be able to say when it does not know.

    Returns:
        The metadata that the file now carries.
    """
    if not len(validation.labels):
        return metadata
    logits = validation.logits / metadata.temperature
    novelty = None
    if examples is not None and validation.features is not None:
        train = KnownPictures(examples.pixels, examples.labels, examples.features)
        known = KnownPictures(validation.pixels, validation.labels, validation.features, logits)
        novelty = fit_novelty(train, known)
    found = metadata.model_copy(
        update={"sets": AnswerSets(truths=_truths(logits, validation.labels)), "unsure": _unsure(novelty)}
    )
    content = add_novelty(without_seal(path.read_bytes()), novelty, found.model_dump_json())
    files.write_bytes(path, sealed(content))
    return found


def judged(
    evaluation: Evaluation,
    answers: Answers,
    labels: NDArray[np.int32],
    metadata: Metadata,
    groups: NDArray[np.int64] | None = None,
) -> Evaluation:
    """The evaluation with what became of a file's promises on the pictures that were scored.

    Args:
        evaluation: Of these pictures.
        answers: The file's.
        labels: The truth (n,).
        metadata: The file's.
        groups: Pictures with equal numbers (n,) are not independent, such as copies; None: all are.
    """
    sets, acceptance = None, None
    if metadata.sets is not None:
        sets = score_sets(answers.probabilities, labels, metadata.sets.truths, groups=groups)
    if metadata.unsure is not None and answers.novelty is not None:
        is_right = answers.probabilities.argmax(axis=1) == labels
        unsure = metadata.unsure
        acceptance = score_acceptance(
            answers.novelty, unsure.threshold, is_right, unsure.n, unsure.accepted_fraction, groups
        )
    return evaluation.model_copy(update={"sets": sets, "acceptance": acceptance})


def _truths(logits: NDArray[np.floating], labels: NDArray[np.int32]) -> tuple[float, ...]:
    """Probability of the true class of evenly chosen pictures, ascending, rounded down."""
    rows = evenly_chosen(len(labels), MOST_TRUTHS if len(labels) > MOST_TRUTHS else 0)
    own = softmax(logits[rows]).astype(np.float32)[np.arange(len(rows)), labels[rows]]
    scale = 10**_DIGITS
    return tuple(math.floor(value * scale) / scale for value in np.sort(own).tolist())


def _unsure(novelty: Novelty | None) -> Unsure | None:
    if novelty is None:
        return None
    return Unsure(
        # The number is made so that this is where known pictures end.
        threshold=1.0,
        accepted_fraction=ACCEPTED,
        n=novelty.n,
        measure=novelty.measure,
        neighbors=novelty.num_neighbors,
        known=len(novelty.known),
        judged={name: round(value, 4) for name, value in novelty.judged.items()},
    )
