"""A --label-from for file names that carry their label: cat.0.jpg, 001_dog.png."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice

# From the most to the least specific, each with the least mean number of pictures for a label to be
# believed; the label is the first group.
_PATTERNS = (
    (r"([^/]*?[^/0-9._ -])[._ -]?\(?[0-9]+\)?\.[^./]+$", 2),
    (r"[0-9][._ -]([^/0-9._ -][^/0-9]*)\.[^./]+$", 2),
    (r"([^/._ -]+)[._ -][^/]*$", 10),
)
_NUM_LOOKED_AT = 2_000
_LEAST_FRACTION = 0.95


def suggest_pattern(names: Sequence[str]) -> str:
    """Returns a sentence proposing ``--label-from`` with what it would give, or a general example.

    A pattern is proposed where it fits at least 95 % of (at most 2,000) names and gives two to 200
    labels of, on average, enough pictures.
    """
    step = max(1, len(names) // _NUM_LOOKED_AT)
    looked_at = list(islice(names, 0, None, step))
    for pattern, least_mean in _PATTERNS:
        found = [match[1] for name in looked_at if (match := re.search(pattern, name))]
        counts = Counter(found)
        if len(found) >= _LEAST_FRACTION * len(looked_at) and 2 <= len(counts) <= min(200, len(found) / least_mean):
            labels = ", ".join(name for name, _ in counts.most_common(4)) + ", ..." * (len(counts) > 4)
            return f" If the names carry the labels, try --label-from '{pattern}' (labels here: {labels})."
    return r" If the names carry the labels, mark them: --label-from '([a-z]+)_[0-9]+' takes cat from cat_001.jpg."
