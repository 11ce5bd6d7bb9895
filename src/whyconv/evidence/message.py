"""Evidence as one JSON object, for pages and other programs."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from whyconv.results.evidence import Evidence, EvidenceMap


def as_message(evidence: Evidence) -> dict[str, Any]:
    """Returns everything that a page draws, numbers and texts only.

    The map comes twice: as ``values``, and as bytes: ``map`` is base64 of uint8 (h, w), row by row, where 0 means
    ``low`` and 255 means ``high``. Pictures are base64 of PNG files. ``box`` says where over the picture the map lies.
    """
    found = evidence.map
    rest = evidence.model_dump(mode="json", exclude={"map"})
    return rest | {
        "kind": found.kind,
        "map": base64.b64encode(levels(found).tobytes()).decode("ascii"),
        "shape": list(found.shape),
        "low": found.low,
        "high": found.high,
        **found.model_dump(mode="json", exclude={"kind"}),
    }


def levels(found: EvidenceMap) -> np.ndarray:
    """Returns a map as uint8 (h, w): 0 is its least value, 255 its greatest; all 0 where they are the same."""
    values = np.asarray(found.values, np.float64)
    span = found.high - found.low
    return np.rint(255 * (values - found.low) / (span if span > 0 else 1.0)).astype(np.uint8)
