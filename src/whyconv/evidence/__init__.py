"""What one answer rests on: a map over the picture, what its places see, the nearest training pictures. No torch."""

from whyconv.evidence.explaining import evidence_map, explain, read_pixels
from whyconv.evidence.message import as_message
from whyconv.evidence.opening import Explainer, open_explainer
from whyconv.evidence.randomizing import randomization_test, randomized

__all__ = [
    "Explainer",
    "as_message",
    "evidence_map",
    "explain",
    "open_explainer",
    "randomization_test",
    "randomized",
    "read_pixels",
]
