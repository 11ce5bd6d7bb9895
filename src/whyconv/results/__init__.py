"""Records of every number that is shown: plain pydantic models, whose ``repr`` is the table.

Fractions are in [0, 1]. An estimate never stands alone: it carries its 95 % interval, n, and what the
interval is over.
"""

from whyconv.results.data import CheckReport, ClassCount, DuplicateGroup, SizeRange, Unreadable
from whyconv.results.record import EpochRecord, Estimate, Event, Note, Notify, Progress, Record, ignore
from whyconv.results.runs import (
    SURE,
    Calibration,
    ClassScore,
    Confusion,
    Evaluation,
    Parity,
    Prediction,
    RankedLabel,
    RunSummary,
    WrongAnswer,
)

__all__ = [
    "SURE",
    "Calibration",
    "CheckReport",
    "ClassCount",
    "ClassScore",
    "Confusion",
    "DuplicateGroup",
    "EpochRecord",
    "Estimate",
    "Evaluation",
    "Event",
    "Note",
    "Notify",
    "Parity",
    "Prediction",
    "Progress",
    "RankedLabel",
    "Record",
    "RunSummary",
    "SizeRange",
    "Unreadable",
    "WrongAnswer",
    "ignore",
]
