"""Records -> lines of text for a terminal, at most 80 columns where the names in them allow it.

Nothing is printed here: every function returns lines. Names of files and classes come from anywhere, so
every one goes through ``printable``.
"""

from whyconv.show.atlas import atlas_lines
from whyconv.show.data import check_lines
from whyconv.show.runs import epoch_line, evaluation_lines, prediction_line, run_lines, run_values, scored_lines
from whyconv.show.square import brief_square_lines, square_lines
from whyconv.show.text import PART_NAMES, WIDTH, clock, interval, note_lines, printable, sentence, table, wrap
from whyconv.show.theory import theory_lines
from whyconv.show.translation import equivariance_lines, surgery_lines, translation_lines
from whyconv.show.why import detail_lines, why_lines

__all__ = [
    "PART_NAMES",
    "WIDTH",
    "atlas_lines",
    "brief_square_lines",
    "check_lines",
    "clock",
    "detail_lines",
    "epoch_line",
    "equivariance_lines",
    "evaluation_lines",
    "interval",
    "note_lines",
    "prediction_line",
    "printable",
    "run_lines",
    "run_values",
    "scored_lines",
    "sentence",
    "square_lines",
    "surgery_lines",
    "table",
    "theory_lines",
    "translation_lines",
    "why_lines",
    "wrap",
]
