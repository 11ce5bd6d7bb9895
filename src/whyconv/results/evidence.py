"""What one answer rests on: a map over the picture, what its places see, and the nearest training pictures."""

from __future__ import annotations

from typing import Literal

from whyconv.results.fields import Exact
from whyconv.results.record import Estimate, Record

MapKind = Literal["class activation", "occlusion"]
Pooling = Literal["mean", "largest"]
# Why there is no class activation map; "": there is one.
WhyOcclusion = Literal["", "dense", "several", "unlike", "unknown"]
# Why there are no nearest pictures; "": there are.
WhyNoNearest = Literal["", "no_run", "no_files", "unlike", "no_features"]
Bounds = tuple[tuple[int, int], ...]


class EvidenceMap(Record):
    """How much each place of a picture speaks for one class.

    Attributes:
        kind: "class activation": exact parts of the logit. "occlusion": how far the probability falls where the
            picture is hidden.
        values: (h, w). Of a class activation map in units of the logit: all together and the bias are the logit. Of
            an occlusion map the probability with nothing hidden less that with a patch hidden, in [-1, 1]; above 0:
            what is hidden speaks for the class.
        box: Top, left, height and width, in pixels of the picture, of the rectangle that the map is drawn over; may
            reach over its borders. Every value has an equal part of it.
        views: Of the picture, whose answers are averaged inside the file; the map is of the averaged answer.
        why_occlusion: Why it is no class activation map: "dense", fully connected layers take each place by itself;
            "several", networks of a committee answer together; "unlike", the parts did not sum to the logit;
            "unknown", the head is another.
        pooling: Of the last map; None for an occlusion map.
        logit: Of the class, before the temperature; the mean over views. None for an occlusion map.
        bias: Of the class; None for an occlusion map.
        difference: How far ``values`` and the bias together are from the logit; rounding alone. None for an occlusion
            map.
        patch: Pixels a side of what is hidden; None for a class activation map.
        step: Pixels from patch to patch; None for a class activation map.
        level: Gray level or color of the patches, 0-255; None for a class activation map.
    """

    kind: MapKind
    values: list[list[float]]
    box: tuple[float, float, float, float]
    views: list[str]
    why_occlusion: WhyOcclusion = ""
    pooling: Pooling | None = None
    logit: float | None = None
    bias: float | None = None
    difference: float | None = None
    patch: int | None = None
    step: int | None = None
    level: list[int] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Places down and across."""
        return len(self.values), len(self.values[0])

    @property
    def low(self) -> float:
        """The least value."""
        return min(map(min, self.values))

    @property
    def high(self) -> float:
        """The greatest value."""
        return max(map(max, self.values))

    @property
    def strongest(self) -> tuple[int, int]:
        """Row and column of the greatest value."""
        places = ((row, column) for row in range(self.shape[0]) for column in range(self.shape[1]))
        return max(places, key=lambda place: self.values[place[0]][place[1]])


class PlaceField(Record):
    """What one place of a map can see of the picture. Exact.

    Attributes:
        place: Row and column in the map.
        size: Of the receptive field (high, wide) in pixels; borders do not clip it. () where it is the whole picture.
        start: First pixel, down and across, of the field of place (0, 0); negative where it begins in the padding.
        jump: Pixels from place to place, down and across.
        bounds: First and last pixel that the place can see, down and across. Where the mean of the picture and its
            mirror image is mapped, what is seen in either.
        num_pixels: How many it can see.
        fraction: Of the picture, in [0, 1].
        is_whole: Some path brings a number of the whole picture, so that the place sees all of it.
        is_closer: Views from closer are averaged too; what is seen in these is not counted.
        reason: Why it is not known, else "".
    """

    place: tuple[int, int]
    size: tuple[int, ...] = ()
    start: tuple[int, ...] = ()
    jump: tuple[Exact, ...] = ()
    bounds: Bounds = ()
    num_pixels: int = 0
    fraction: float = 0.0
    is_whole: bool = False
    is_closer: bool = False
    reason: str = ""


class NearPicture(Record):
    """A training picture that the network takes for alike.

    Attributes:
        path: As it was called when the run was made; None where the run does not say.
        label: What it shows; None where the run does not say.
        part: Of the data.
        distance: Cosine distance of the features, in [0, 2], smaller is nearer.
        png: A small copy, base64 of a PNG file.
    """

    path: str | None
    label: str | None
    part: str
    distance: float
    png: str


class Evidence(Record):
    """What an answer rests on.

    Attributes:
        picture: Its name.
        label: The class that is asked about.
        probability: Of this class, in [0, 1].
        answer: The class that is most probable.
        answer_probability: Of that class, in [0, 1].
        side: Of what the network sees, in pixels.
        png: What the network sees, base64 of a PNG file.
        map: Over the picture.
        field: What the strongest place of the map can see; None for an occlusion map, which hides what it says.
        nearest: Training pictures, nearest first; none where none were asked for.
        num_known: How many training pictures were looked through.
        why_no_nearest: "no_run": a lone file; "no_files": the run has no features or thumbnails; "unlike": they are
            not of this network; "no_features": the file gives no feature vector.
    """

    picture: str
    label: str
    probability: float
    answer: str
    answer_probability: float
    side: int
    png: str
    map: EvidenceMap
    field: PlaceField | None
    nearest: list[NearPicture]
    num_known: int = 0
    why_no_nearest: WhyNoNearest = ""

    @property
    def tells_nearest(self) -> bool:
        """Whether something is said about the nearest pictures: they were asked for."""
        return bool(self.nearest or self.why_no_nearest)

    def __repr__(self) -> str:
        nearest = ", ".join(f"{one.label or '?'} {one.distance:.3f}" for one in self.nearest)
        rows, columns = self.map.shape
        return f"{self.picture}   {self.label} {self.probability:.2f}   {self.map.kind} map {rows} x {columns}" + (
            f"   nearest: {nearest}" if nearest else ""
        )

    __str__ = __repr__


class RandomizationTest(Record):
    """Whether maps follow what the network has learned: with random weights they have to become others.

    Attributes:
        kind: Of the maps.
        weights: Which are drawn anew: of the linear layer at the end, or of all layers.
        n: Pictures.
        num_draws: Of random weights.
        correlation: Mean rank correlation of the maps before and after, in [-1, 1]; near 0: they follow the weights; 1:
            they would be the same whatever was learned.
    """

    kind: MapKind
    weights: Literal["head", "all"]
    n: int
    num_draws: int
    correlation: Estimate
