"""Labels that are worth a look."""

from __future__ import annotations

from whyconv.results.record import Record

# Of published sets, people found 0.2 to 10 % of the labels wrong: who disagrees with more is mostly wrong itself.
# Northcutt, Athalye, Mueller, *Pervasive label errors in test sets* (2021), arXiv 2103.14749.
_MOST_WRONG = 0.2


class Suspect(Record):
    """A picture whose label another class beats, by what was not learned from that label.

    Attributes:
        name: Of the picture.
        part: "train", "validation", "test", or "pictures".
        label: As given.
        likely: The most probable other class.
        probability_label: Of the label, in [0, 1].
        probability_likely: Of the other class.
        is_sure: Whether it counts as a picture of another class by the confident joint.
    """

    name: str
    part: str
    label: str
    likely: str
    probability_label: float
    probability_likely: float
    is_sure: bool


class Suspects(Record):
    """How many labels are worth a look, and the first of them. The counts are exact; about half may well be right.

    Attributes:
        n: Labels that were judged.
        num_pictures: Labelled pictures there are; training pictures are judged as far as that takes little time.
        num_doubted: Those that another class beats: the rows of ``suspects.csv``.
        num_sure: Those of them that count as another class.
        first: At most 24, the most doubtful first.
    """

    n: int
    num_pictures: int
    num_doubted: int
    num_sure: int
    first: list[Suspect]

    @property
    def judge_errs(self) -> bool:
        """Whether more than a fifth of the labels are beaten: then most of them are mistakes of the judge."""
        return self.num_doubted > _MOST_WRONG * self.n
