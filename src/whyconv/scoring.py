"""Scores of an exported file on labelled pictures: the file as it is used, not the network it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyconv.errors import DataError
from whyconv.images.array_levels import to_levels
from whyconv.images.sources import PART_NAMES, numbers_among
from whyconv.images.sources.arrays import ArrayContents
from whyconv.images.split import LEFT_OUT, TEST, TRAIN
from whyconv.inspection import Inspection, inspect
from whyconv.machine import threads_here
from whyconv.promises import judged
from whyconv.recognizer import Answers, Recognizer, open_recognizer
from whyconv.results import Evaluation, Note, Notify, RunSummary, Suspects, Unreadable
from whyconv.settings import Plan
from whyconv.suspecting import Judged, suspects_among
from whyconv.texts import as_typed
from whyconv.training.evaluate import score
from whyconv.training.pictures import Division, groups_of, not_scored
from whyconv.training.seen import seen_parts

_FEW = 5


def score_own_test(run: Path, plan: Plan, division: Division, summary: RunSummary) -> Evaluation:
    """Scores a run on the test part of its own pictures.

    Raises:
        DataError: The run has no test part, or its file does not know the classes of its plan.
    """
    rows = division.indices(TEST)
    if not len(rows):
        raise DataError(f"{run} has no test part. Name labelled pictures:  whyconv evaluate {as_typed(run)} PICTURES")
    recognizer = open_recognizer(run, num_threads=threads_here(plan.threads))
    labels = numbers_among(division.inspection.pictures.classes, recognizer.classes)[division.labels[rows]]
    if (labels < 0).any():
        raise DataError(f"The file of {run} does not know all classes of its plan, which must have been changed since.")
    answers = _ask(recognizer, division.inspection, rows)
    evaluation = score(
        answers.probabilities,
        labels,
        classes=recognizer.classes,
        names=[division.inspection.pictures.names[row] for row in rows.tolist()],
        part="test",
        calibration=summary.test.calibration if summary.test else None,
        left_out=division.left_out,
        groups=division.groups[rows],
    )
    return judged(evaluation, answers, labels, recognizer.metadata, division.groups[rows])


def score_pictures(
    run: Path, where: str, *, layout: str, label_from: str | None, notify: Notify
) -> tuple[Evaluation, Suspects]:
    """Scores a run on other labelled pictures: their test part if they have one, else all of them.

    Classes are matched by name. Pictures that cannot be read, have no label, are of a class that the recognizer
    does not know, or that it was made from, are left out, each with its reason. The network has not learned from the
    labels of the others, so its answers tell which of them are worth a look.

    Raises:
        DataError: No picture is left to score.
    """
    recognizer = open_recognizer(run)
    inspection = inspect(where, layout=layout, label_from=label_from, notify=notify, keep_all_classes=True)
    pictures, survey = inspection.pictures, inspection.survey
    labels = numbers_among(pictures.classes, recognizer.classes)[pictures.labels]
    wanted = np.ones(len(pictures), bool)
    if (pictures.parts == PART_NAMES.index("test")).any() and len(set(pictures.parts.tolist())) > 1:
        wanted = pictures.parts == PART_NAMES.index("test")
        notify(Note(key="evaluate_own_split"))
    foreign = sorted({pictures.classes[label] for label in pictures.labels[wanted & (labels < 0)] if label >= 0})
    if foreign:
        count = int((wanted & (labels < 0) & (pictures.labels >= 0)).sum())
        notify(Note(key="evaluate_foreign", values={"n": count, "names": ", ".join(foreign[:_FEW])}, level="warning"))
    usable = wanted & (labels >= 0) & survey.readable
    seen = np.where(usable, seen_parts(run, survey), LEFT_OUT)
    if seen.any():
        notify(Note(key="evaluate_seen", values={"n": int((seen > 0).sum())}, level="warning"))
    rows = np.flatnonzero(usable & (seen == LEFT_OUT))
    if not len(rows):
        known_names = ", ".join(recognizer.classes[:_FEW])
        others = " that it was not made from" if seen.any() else ""
        raise DataError(f"{where} has no readable picture of a class that {run} knows (such as {known_names}){others}.")
    answers, truth = _ask(recognizer, inspection, rows), labels[rows].astype(np.int32)
    groups = groups_of(inspection)[rows]
    names = [pictures.names[row] for row in rows.tolist()]
    evaluation = score(
        answers.probabilities,
        truth,
        classes=recognizer.classes,
        names=names,
        part="pictures",
        left_out=_left_out(inspection, wanted, labels, seen),
        groups=groups,
    )
    labels_judged = [Judged("pictures", names, truth, answers.probabilities)]
    suspects, _ = suspects_among(labels_judged, recognizer.classes, num_pictures=len(rows))
    return judged(evaluation, answers, truth, recognizer.metadata, groups), suspects


def _ask(recognizer: Recognizer, inspection: Inspection, rows: NDArray[np.int64]) -> Answers:
    """What the file says about the pictures in ``rows``, read one batch at a time."""
    pictures = inspection.pictures
    white = pictures.contents.white if isinstance(pictures.contents, ArrayContents) else None

    def read(row: int) -> bytes | NDArray[Any]:
        content = pictures.read(row)
        # The range of these arrays decides what their numbers mean, not that of the training arrays.
        return content if white is None or isinstance(content, bytes) else to_levels(content, white)

    return recognizer.ask(read(row) for row in rows.tolist())


def _left_out(
    inspection: Inspection, wanted: NDArray[np.bool_], labels: NDArray[np.int32], seen: NDArray[np.int8]
) -> list[Unreadable]:
    pictures, reasons = inspection.pictures, inspection.survey.reasons
    left_out = []
    for row in np.flatnonzero(wanted & ((labels < 0) | ~inspection.survey.readable | (seen > 0))).tolist():
        name, label = pictures.names[row], int(pictures.labels[row])
        if row in reasons:
            left_out.append(Unreadable(name=name, reason=reasons[row]))
        elif seen[row]:
            key = "not_scored_trained_on" if seen[row] == TRAIN else "not_scored_validated_on"
            left_out.append(not_scored(name, key))
        elif label < 0:
            left_out.append(not_scored(name, "not_scored_unlabelled"))
        else:
            left_out.append(not_scored(name, "not_scored_unknown_class", label=pictures.classes[label]))
    return left_out
