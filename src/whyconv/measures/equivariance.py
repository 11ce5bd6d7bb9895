"""Which layer, and which cause, keeps a network's maps from moving along with the picture.

For each layer the map of the moved picture is compared with the moved map. Inside, where no border is seen, and for
shifts by whole places, both are equal in every network that treats all places alike. What differs for a shift of one
pixel is due to sampling, what differs in the whole map besides is due to the border, and what the answer makes of it
is due to the head, on a ring; elsewhere it may be due to the pixels that come in.

References:
    Azulay, Weiss, *Why do deep convolutional networks generalize so poorly to small image transformations?* (2019),
    arXiv 1805.12177, for stride as a cause. Kayhan, van Gemert, *On translation invariance in CNNs* (2020),
    arXiv 2003.07064, for the border. Alsallakh et al., *Mind the Pad* (2021), arXiv 2010.02178, for odd sizes. Gruver
    et al., *The Lie derivative for measuring learned equivariance* (2023), arXiv 2210.02984, for asking layer by layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv.errors import UsageError
from whyconv.measures.blame import Measured, shares
from whyconv.measures.listening import listen
from whyconv.measures.moved_maps import MovedMap, Shift, follow, moved
from whyconv.measures.recorder import Made
from whyconv.measures.shifting import mover, require_reach, require_tensor, window_side
from whyconv.measures.trace import trace_made
from whyconv.results import Estimate
from whyconv.results.equivariance import Equivariance, EquivarianceProtocol, LayerEquivariance, Resampling
from whyconv.training.intervals import bootstrap_ends

_NUM_DRAWS = 2000
_MOST_NUMBERS = 1_000_000  # of moved pictures that are asked about at a time: every layer's map is held for them
_ONE: tuple[Shift, Shift] = ((1, 0), (0, 1))
_ALONE = 2  # copies of each picture whose last map alone is moved, one along each axis

Floats = NDArray[np.float64]


@torch.inference_mode(False)
def equivariance(
    network: nn.Module,
    pictures: Tensor,
    kind: Literal["crop", "circular"] = "crop",
    *,
    reach: int | None = None,
    resampling: Resampling = "linear",
    seed: int = 0,
) -> Equivariance:
    """Measures for every layer with maps how far they move along with the picture, and splits the rest by cause.

    With phi the layer's map, T_t the shift by t pixels, j the layer's jump and u its places::

        error(t) = rms over u of [phi(T_t x)(u) - phi(x)(u - t / j)] / spread

    where the spread is the root mean square of phi(x) around each channel's mean, over all pictures and places. Each
    error is the mean over a shift down and one to the right, and over pictures.

    Args:
        network: Maps (n, c, h, w) to logits (n, classes); asked in evaluation mode, and afterwards as it was.
        pictures: As the network takes them (n, c, h, w), n >= 2; for "crop" larger by ``reach`` pixels on every side.
        kind: What comes in where they have moved away: real pixels from around, or what went out.
        reach: Farthest shift there is room for; for "crop" it has to be given. Layers whose places are farther apart
            cannot be asked about whole places.
        resampling: What a map moved by a part of a place is taken to be, see ``EquivarianceProtocol``. "fourier" needs
            "circular": it is 0 for a map that samples finely enough, where "linear" is only small.
        seed: Of the draws of pictures that make the intervals.

    Returns:
        Errors with 95 % intervals over pictures (bootstrap, expanded percentiles; the spread is held fixed).

    Raises:
        UsageError: There are fewer than 2 pictures, or no room for the shifts; the network gives no finite logits
            (n, classes), or does other operations for other pictures; "fourier" is asked for without a ring.
    """
    require_tensor(pictures)
    if pictures.ndim != 4 or len(pictures) < 2:
        raise UsageError(
            f"Equivariance needs at least 2 pictures (n, c, h, w), for its intervals are over pictures; got an array "
            f"of shape {tuple(pictures.shape)}."
        )
    size = (pictures.shape[2], pictures.shape[3])
    reach = _room(kind, size, reach, resampling)
    side = window_side(kind, size, reach)
    network = getattr(network, "_orig_mod", network)  # what torch.compile was given
    graph, made = trace_made(network, (pictures.shape[1], *side))
    maps, unknown = follow(graph, made, is_ring=kind == "circular")
    session = _Session(network, maps, made, side, kind, reach, resampling)
    measured = session.measure(pictures)
    protocol = EquivarianceProtocol(
        kind=kind,
        reach=reach,
        side=side,
        n=len(pictures),
        dtype=str(pictures.dtype).removeprefix("torch."),
        resampling=resampling,
        seed=seed,
        num_draws=_NUM_DRAWS,
    )
    n = len(pictures)
    intervals = _Intervals(np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), _NUM_DRAWS))
    head = next((node.name for node in graph.nodes if maps and maps[-1].output in node.inputs), "")
    told_by, causes = shares(maps, measured, head, intervals.of, has_new_pixels=kind == "crop")
    assert measured[-1].whole is not None
    return Equivariance(
        protocol=protocol,
        layers=[_layer(one, found, protocol, intervals) for one, found in zip(maps, measured, strict=False)],
        last_map=maps[-1].node.name if maps else "",
        logits=intervals.of(measured[-1].whole),
        causes=causes,
        told_by=told_by,
        not_analyzed=unknown,
    )


def _room(kind: str, size: tuple[int, int], reach: int | None, resampling: Resampling) -> int:
    if kind not in ("crop", "circular"):
        raise UsageError(f"Equivariance cannot be asked for '{kind}'. Expected 'crop' or 'circular'.")
    require_reach(reach)
    if resampling not in get_args(Resampling):
        raise UsageError(f"resampling = {resampling!r}: expected one of {', '.join(get_args(Resampling))}.")
    if resampling == "fourier" and kind != "circular":
        raise UsageError("'fourier' moves a map around a ring. Ask for kind 'circular', or for 'linear'.")
    if reach is None and kind == "crop":
        raise UsageError("'crop' needs reach: how many pixels there are on every side of what the network looks at.")
    return min(size) - 1 if reach is None else reach


@dataclass
class _Sums:
    """What is kept of one layer: for each question the mean squares (n,) of each of two shifts, and its spread."""

    squares: dict[tuple[str, Shift], list[Floats]] = field(default_factory=dict)
    count: int = 0
    total: Floats | float = 0.0
    total_squares: Floats | float = 0.0

    def add_spread(self, x: Tensor) -> None:
        """Adds a batch (n, c, ...) to the sums of each channel."""
        flat = x.double().transpose(0, 1).flatten(1)
        self.count += flat.shape[1]
        self.total = self.total + flat.sum(dim=1).numpy()
        self.total_squares = self.total_squares + (flat**2).sum(dim=1).numpy()

    @property
    def spread(self) -> float:
        """Root mean square around the mean of each channel."""
        variances = self.total_squares / self.count - (self.total / self.count) ** 2
        return float(np.sqrt(max(0.0, float(np.mean(variances)))))

    def errors(self, question: str, shifts: Sequence[Shift]) -> Floats | None:
        """For each picture the mean error over the shifts (n,); None where it was not asked at each of them."""
        asked = [self.squares.get((question, shift)) for shift in shifts]
        found = [np.sqrt(np.concatenate(parts)) for parts in asked if parts]
        if len(found) < len(shifts):
            return None
        # A map that is the same for all pictures and places cannot differ either, but by rounding.
        return np.asarray(np.mean(found, axis=0) / (self.spread or 1.0))


@dataclass(frozen=True, eq=False)
class _Session:
    """One network asked about one set of pictures."""

    network: nn.Module
    maps: list[MovedMap]
    made: dict[str, Made]
    side: tuple[int, int]
    kind: Literal["crop", "circular"]
    reach: int
    resampling: Resampling

    @property
    def shifts(self) -> list[Shift]:
        """All that are tried: by one pixel, and by the periods there is room for."""
        found = dict.fromkeys(_ONE)
        for one in self.maps:
            found.update(dict.fromkeys(shift for shift in self._whole_places(one) if max(shift) <= self.reach))
        return list(found)

    def _whole_places(self, one: MovedMap) -> tuple[Shift, Shift]:
        return (one.period[0], 0), (0, one.period[1])

    def measure(self, pictures: Tensor) -> list[Measured]:
        """Returns what was measured at each map and, last, at the logits."""
        sums = [_Sums() for _ in range(len(self.maps) + 1)]
        versions = 1 + len(self.shifts) + (_ALONE if self.maps else 0)
        step = max(1, _MOST_NUMBERS // (pictures[0].numel() * versions))
        for start in range(0, len(pictures), step):
            self._ask(pictures[start : start + step], sums)
        found = []
        for one, kept in zip(self.maps, sums, strict=False):
            whole_places = self._whole_places(one)
            found.append(
                Measured(
                    at_jump=kept.errors("inside", whole_places),
                    within=kept.errors("inside", _ONE),
                    whole=kept.errors("all", _ONE),
                    whole_at_jump=kept.errors("all", whole_places),
                )
            )
        logits = sums[-1]
        return [*found, Measured(whole=logits.errors("all", _ONE), head_alone=logits.errors("alone", _ONE))]

    def _ask(self, pictures: Tensor, sums: list[_Sums]) -> None:
        """Asks about the unmoved and all moved versions of some pictures at once."""
        move, n = mover(pictures, self.kind, self.reach), len(pictures)
        unmoved = move((0.0, 0.0))
        alone = [unmoved] * (_ALONE if self.maps else 0)
        x = torch.cat([unmoved, *(move((float(down), float(right))) for down, right in self.shifts), *alone])
        place = {one.output: index for index, one in enumerate(self.maps)}

        def hear(name: str, value: Tensor) -> None:
            self._compare(self.maps[place[name]], value, n, sums[place[name]])
            if place[name] == len(self.maps) - 1:
                for axis in range(_ALONE):
                    rows = slice((axis - _ALONE) * n, (axis - _ALONE + 1) * n or None)
                    value[rows] = torch.roll(value[:n], 1, dims=2 + axis)

        heard = {name: one for name, one in self.made.items() if name in place}
        logits = _finite(listen(self.network, x, heard, hear), len(x))
        self._compare_logits(logits, n, sums[-1])

    def _compare(self, one: MovedMap, value: Tensor, n: int, kept: _Sums) -> None:
        unmoved = value[:n]
        kept.add_spread(unmoved)
        wanted = {*_ONE, *self._whole_places(one)}
        for index, shift in enumerate(self.shifts):
            if shift not in wanted:
                continue
            expected = moved(unmoved, one.offsets(shift), self.resampling)
            difference = value[(index + 1) * n : (index + 2) * n].double() - expected
            for question, is_inside in (("inside", True), ("all", False)):
                is_ring = self.kind == "circular"
                region = one.region(shift, self.side, is_ring=is_ring, is_inside=is_inside)
                if region is None or (is_inside and one.is_whole):
                    continue
                squares = (difference[:, :, region[0], region[1]] ** 2).mean(dim=(1, 2, 3))
                kept.squares.setdefault((question, shift), []).append(squares.numpy())

    def _compare_logits(self, logits: Tensor, n: int, kept: _Sums) -> None:
        kept.add_spread(logits[:n])
        starts = [("all", shift, (self.shifts.index(shift) + 1) * n) for shift in _ONE]
        starts += [("alone", shift, len(logits) - (_ALONE - axis) * n) for axis, shift in enumerate(_ONE) if self.maps]
        for question, shift, start in starts:
            squares = ((logits[start : start + n] - logits[:n]).double() ** 2).mean(dim=1)
            kept.squares.setdefault((question, shift), []).append(squares.numpy())


def _finite(logits: Tensor, n: int) -> Tensor:
    if logits.ndim != 2 or len(logits) != n or not logits.isfinite().all():
        raise UsageError(
            f"The network gives an array of shape {tuple(logits.shape)} for {n} pictures, or numbers that are not "
            "finite. Expected finite logits (n, classes)."
        )
    return logits


@dataclass(frozen=True, eq=False)
class _Intervals:
    """How often each picture is drawn in each draw of n pictures (draws, n)."""

    weights: NDArray[np.int64]

    def of(self, errors: Floats) -> Estimate:
        """The mean of errors (n,), with what the draws give as its interval."""
        low, high = np.quantile(self.weights @ errors / len(errors), bootstrap_ends(len(errors)))
        return Estimate(value=float(errors.mean()), low=float(low), high=float(high), n=len(errors))

    def known(self, errors: Floats | None) -> Estimate | None:
        """The same; None where nothing was measured."""
        return None if errors is None else self.of(errors)


def _layer(one: MovedMap, found: Measured, protocol: EquivarianceProtocol, intervals: _Intervals) -> LayerEquivariance:
    shifts = (one.period[0], 0), (0, one.period[1])
    is_ring = protocol.kind == "circular"
    inside = [0 if one.is_whole else _num_places(one, shift, protocol.side, is_ring=is_ring) for shift in shifts]
    return LayerEquivariance(
        name=one.node.name,
        kind=one.node.kind,
        jump=one.jumps,
        period=one.period,
        places=one.places,
        field=(one.axes[0].size, one.axes[1].size),
        num_inside=min(inside),
        at_jump=intervals.known(found.at_jump),
        within=intervals.known(found.within),
        whole=intervals.known(found.whole),
        whole_at_jump=intervals.known(found.whole_at_jump),
        brings=list(one.brings),
        reason=_reason(one, found, protocol.reach),
    )


def _num_places(one: MovedMap, shift: Shift, side: tuple[int, int], *, is_ring: bool) -> int:
    region = one.region(shift, side, is_ring=is_ring, is_inside=True)
    return 0 if region is None else (region[0].stop - region[0].start) * (region[1].stop - region[1].start)


def _reason(one: MovedMap, found: Measured, reach: int) -> Literal["", "field", "summary", "reach"]:
    if one.is_whole:
        return "summary"
    if max(one.period) > reach:
        return "reach"
    return "field" if found.at_jump is None or found.within is None else ""
