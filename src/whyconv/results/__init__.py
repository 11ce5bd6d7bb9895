"""Records of every number that is shown: plain pydantic models, whose ``repr`` is the table.

Fractions are in [0, 1]. An estimate never stands alone: it carries its 95 % interval, n, and what the
interval is over.
"""

from whyconv.results.corners import (
    CHANGES,
    CONTROLS,
    CORNERS,
    PLACES,
    ArmName,
    Change,
    ControlName,
    Corner,
    Place,
    Readout,
)
from whyconv.results.curves import Crossing, CurveExponent, DataRatio, Memorized, PicturesNeeded, TrainTestGap
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
from whyconv.results.search import Search, SearchTrial, Setting
from whyconv.results.square import (
    ControlLoss,
    CornerScore,
    GainSplit,
    Square,
    SquareProtocol,
    UnmovedCheck,
)

__all__ = [
    "CHANGES",
    "CONTROLS",
    "CORNERS",
    "PLACES",
    "SURE",
    "ArmName",
    "Calibration",
    "Change",
    "CheckReport",
    "ClassCount",
    "ClassScore",
    "Confusion",
    "ControlLoss",
    "ControlName",
    "Corner",
    "CornerScore",
    "Crossing",
    "CurveExponent",
    "DataRatio",
    "DuplicateGroup",
    "EpochRecord",
    "Estimate",
    "Evaluation",
    "Event",
    "GainSplit",
    "Memorized",
    "Note",
    "Notify",
    "Parity",
    "PicturesNeeded",
    "Place",
    "Prediction",
    "Progress",
    "RankedLabel",
    "Readout",
    "Record",
    "RunSummary",
    "Search",
    "SearchTrial",
    "Setting",
    "SizeRange",
    "Square",
    "SquareProtocol",
    "TrainTestGap",
    "UnmovedCheck",
    "Unreadable",
    "WrongAnswer",
    "ignore",
]
