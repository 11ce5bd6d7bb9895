"""What has to be trained to be known: the control square, the price of sharing, detectors, hyperparameters."""

from whyconv.study.bill import predict_seconds, tell_bill, tell_left_out
from whyconv.study.control_square import make_study, measure_square
from whyconv.study.controls import Control, make_controls, match_weights
from whyconv.study.corners import OneHiddenLayer, Sizes
from whyconv.study.detectors import study_detectors
from whyconv.study.draws import SquarePictures, scored_rows
from whyconv.study.even_split import atlas_scores, even_split, even_splits
from whyconv.study.hyperparameters import study_hyperparameters
from whyconv.study.kept_trials import KeptTrials
from whyconv.study.one_corner import train_corner
from whyconv.study.patches import patch_pixels
from whyconv.study.price_of_sharing import price_of_sharing
from whyconv.study.protocol import (
    AT_LARGEST_SIZE,
    QUICK,
    Extent,
    fitting_extent,
    largest_fitting,
    make_protocol,
    missing_parts,
    rescale,
    whole,
)
from whyconv.study.trials import Study
from whyconv.study.unit_fields import unit_fields

__all__ = [
    "AT_LARGEST_SIZE",
    "QUICK",
    "Control",
    "Extent",
    "KeptTrials",
    "OneHiddenLayer",
    "Sizes",
    "SquarePictures",
    "Study",
    "atlas_scores",
    "even_split",
    "even_splits",
    "fitting_extent",
    "largest_fitting",
    "make_controls",
    "make_protocol",
    "make_study",
    "match_weights",
    "measure_square",
    "missing_parts",
    "patch_pixels",
    "predict_seconds",
    "price_of_sharing",
    "rescale",
    "scored_rows",
    "study_detectors",
    "study_hyperparameters",
    "tell_bill",
    "tell_left_out",
    "train_corner",
    "unit_fields",
    "whole",
]
