"""A certificate that circular moves of the picture change no answer: conditions on the graph, then every shift.

That all answers stay under circular shifts can be had by construction, and has been known since 2021; it is a
control, not a gain. Real moves bring in new pixels at the border, and the phase may be picked otherwise:
``translation`` says how answers fare then.

References:
    Chaman, Dokmanic, *Truly shift-invariant convolutional neural networks* (2021), arXiv 2011.14214, for the pooling.
    Shifman, Weiss, *Lost in translation: modern neural networks still struggle with small realistic image
    transformations* (2024), arXiv 2404.07153, for what it does not promise.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv.errors import ParityError, UsageError
from whyconv.measures.conditions import Conditions, conditions
from whyconv.measures.modules import evaluating
from whyconv.measures.shifting import require_labels, require_tensor
from whyconv.nets.layers import PhaseChoice
from whyconv.results.certificate import Certificate, CertificateProtocol
from whyconv.texts import say
from whyconv.training.intervals import fraction

TOLERANCE = 1e-5
DELTA = 2e-6
LEAST_PICTURES = 20
# So many times the seconds asked for may be taken, to ask about the least number of pictures under every shift.
_MOST_TIMES = 2.0
_MOST_NUMBERS = 400_000  # of moved pictures that are asked about at a time


def certify(  # noqa: PLR0913
    network: nn.Module,
    pictures: Tensor,
    labels: Sequence[int] | NDArray[np.int64] | None = None,
    *,
    seconds: float = 120,
    delta: float = DELTA,
    seed: int = 0,
    temperature: float = 1.0,
) -> Certificate:
    """Shows on a network's graph that circular moves of the picture change no answer, and tries them.

    Args:
        network: Maps (n, c, h, w) to logits (n, classes); asked in evaluation mode, and afterwards as it was.
        pictures: As the network takes them (n, c, h, w), in the type of number it is used with.
        labels: Their classes (n,), for the accuracy beside.
        seconds: So long, pictures are asked about under all h w - 1 shifts; 20 of them at least, or all there are,
            where 20 take no more than twice as long. The others are asked about under one shift each.
        delta: What a picture's phases must be clear by to be certified, as a part of the best score; well above what
            rounding does to a sum of many squares, a few 1e-7 in single precision.
        seed: Of which pictures are asked about under every shift, and of the single shifts.
        temperature: What logits are divided by before the probabilities are taken.

    Returns:
        What was seen. Pictures nearer to a tie than ``delta`` are counted, not certified.

    Raises:
        UsageError: A condition fails: every reason with its layer. Or pictures and labels do not fit.
        ParityError: The conditions hold, and yet a probability of a certified picture has changed by more than 1e-5.
    """
    _require(pictures, labels)
    found = require_conditions(network, pictures.shape[1:])
    certificate = try_shifts(
        network, pictures, labels, found, seconds=seconds, delta=delta, seed=seed, temperature=temperature
    )
    require_held(certificate)
    return certificate


def require_conditions(network: nn.Module, input_shape: Sequence[int]) -> Conditions:
    """Makes sure that a network's graph allows no change of an answer.

    Raises:
        UsageError: It does; every reason with its layer.
    """
    found = conditions(network, input_shape)
    if found.reasons:
        lines = [f"  {say(each.key, 'en', **each.values)}" for each in found.reasons]
        raise UsageError("\n".join(["Circular moves of the picture may change the answers of this network:", *lines]))
    return found


def require_held(certificate: Certificate) -> None:
    """Makes sure that what the graph promises was seen.

    Raises:
        ParityError: A probability of a certified picture has changed.
    """
    if not certificate.is_held:
        raise ParityError(
            f"By its graph this network cannot notice circular moves, and yet a probability of a certified picture "
            f"changed by {certificate.largest_change:.2g} (allowed {certificate.protocol.tolerance:g}). Its arithmetic "
            "may be coarser than single precision, or its code may look at the numbers; do not rely on the certificate."
        )


def try_shifts(  # noqa: PLR0913
    network: nn.Module,
    pictures: Tensor,
    labels: Sequence[int] | NDArray[np.int64] | None,
    found: Conditions,
    *,
    seconds: float,
    delta: float = DELTA,
    seed: int = 0,
    temperature: float = 1.0,
) -> Certificate:
    """The second half of ``certify``: what is seen of the answers, whatever the graph says; nothing is refused."""
    asking, (high, wide) = _Asking(network, pictures, temperature), pictures.shape[2:]
    with evaluating(network), torch.inference_mode():
        began = time.perf_counter()
        unmoved, margins = asking.unmoved()
        each = (time.perf_counter() - began) / len(pictures) * (high * wide - 1)
        seen = _Seen(unmoved, np.zeros(len(pictures)), np.zeros(len(pictures), np.bool_))
        n_every = _move(asking, seen, each, seconds=seconds, seed=seed)
    is_certified = margins > delta
    changes, is_changed = seen.changes, seen.is_changed
    protocol = CertificateProtocol(
        side=(high, wide),
        num_shifts=high * wide - 1,
        n=len(pictures),
        n_every=n_every,
        n_one=len(pictures) - n_every,
        dtype=str(pictures.dtype).removeprefix("torch."),
        temperature=temperature,
        delta=delta,
        tolerance=TOLERANCE,
        seed=seed,
        seconds=seconds,
    )
    right = None if labels is None else int((unmoved.argmax(dim=1).numpy() == np.asarray(labels)).sum())
    smallest = float(margins.min())
    return Certificate(
        protocol=protocol,
        stride=found.stride,
        num_choices=found.num_choices,
        n_certified=int(is_certified.sum()),
        smallest_margin=smallest if np.isfinite(smallest) else None,
        largest_change=_largest(changes[is_certified]),
        num_changed=int(is_changed[is_certified].sum()),
        n_counted=int((~is_certified).sum()),
        largest_change_counted=_largest(changes[~is_certified]),
        num_changed_counted=int(is_changed[~is_certified].sum()),
        accuracy=None if right is None else fraction(right, len(pictures)),
    )


def _largest(changes: NDArray[np.float64]) -> float | None:
    return float(changes.max()) if len(changes) else None


def _require(pictures: Tensor, labels: Sequence[int] | NDArray[np.int64] | None) -> None:
    require_tensor(pictures)
    shape = tuple(pictures.shape)
    if pictures.ndim != 4 or not len(pictures):
        raise UsageError(f"A certificate needs pictures (n, c, h, w), 1 at least; got an array of shape {shape}.")
    if shape[2] * shape[3] < 2:
        raise UsageError(f"Pictures are of {shape[2]} x {shape[3]} pixels: to move them takes at least 2 pixels.")
    if labels is not None:
        require_labels(labels, len(pictures))


@dataclass(frozen=True, eq=False)
class _Asking:
    """A network and the pictures it is asked about."""

    network: nn.Module
    pictures: Tensor
    temperature: float

    @property
    def at_a_time(self) -> int:
        return max(1, _MOST_NUMBERS // self.pictures[0].numel())

    def probabilities(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network(x)
        if logits.ndim != 2 or len(logits) != len(x) or not logits.isfinite().all():
            raise UsageError(
                f"The network gives an array of shape {tuple(logits.shape)} for {len(x)} pictures, or numbers that are "
                "not finite. Expected finite logits (n, classes)."
            )
        return (logits.double() / self.temperature).softmax(dim=1)

    def unmoved(self) -> tuple[Tensor, NDArray[np.float64]]:
        """Probabilities (n, classes), and the smallest margin of each picture's choices (n,)."""
        found, margins = [], []
        for start in range(0, len(self.pictures), self.at_a_time):
            part = self.pictures[start : start + self.at_a_time]
            with _margins(self.network) as noted:
                found.append(self.probabilities(part))
            far = torch.full((len(part),), torch.inf, dtype=torch.float64)
            margins.append(torch.stack([far, *noted]).amin(dim=0).numpy())
        return torch.cat(found), np.concatenate(margins)


@contextmanager
def _margins(network: nn.Module) -> Iterator[list[Tensor]]:
    """Collects, while the block runs, how clear every choice was (n,)."""
    noted: list[Tensor] = []

    def note(choice: nn.Module, args: tuple[Tensor, ...]) -> None:
        assert isinstance(choice, PhaseChoice)
        noted.append(choice.margin(args[0]).double())

    choices = [each for each in network.modules() if isinstance(each, PhaseChoice)]
    hooks = [each.register_forward_pre_hook(note) for each in choices]
    try:
        yield noted
    finally:
        for hook in hooks:
            hook.remove()


@dataclass(eq=False)
class _Seen:
    """What moves have done to each picture (n,)."""

    unmoved: Tensor
    changes: NDArray[np.float64]
    is_changed: NDArray[np.bool_]

    def note(self, pictures: NDArray[np.int64], found: Tensor) -> None:
        """Enters probabilities (m, classes) of moved pictures; ``pictures`` (m,) says which."""
        before = self.unmoved[torch.from_numpy(pictures)]
        change = (found - before).abs().amax(dim=1).numpy()
        np.maximum.at(self.changes, pictures, change)
        np.logical_or.at(self.is_changed, pictures, (found.argmax(dim=1) != before.argmax(dim=1)).numpy())


def _move(asking: _Asking, seen: _Seen, each: float, *, seconds: float, seed: int) -> int:
    """Asks about moved pictures; returns how many were asked about under every shift.

    Args:
        asking: The network and the pictures.
        seen: Where answers are entered.
        each: Seconds that all shifts of one picture take, about.
        seconds: Asked for.
        seed: Of the order, and of the single shifts.
    """
    high, wide = asking.pictures.shape[2:]
    shifts = np.array([(down, right) for down in range(high) for right in range(wide)][1:])
    random = np.random.default_rng(seed)
    order = random.permutation(len(asking.pictures))
    began, num_every = time.perf_counter(), 0
    while num_every < len(order) and _goes_on(num_every, time.perf_counter() - began, each, seconds):
        _ask(asking, seen, order[num_every].repeat(len(shifts)), shifts)
        num_every += 1
    rest = order[num_every:]
    _ask(asking, seen, rest, shifts[random.integers(len(shifts), size=len(rest))])
    return num_every


def _goes_on(done: int, spent: float, each: float, seconds: float) -> bool:
    """Whether all shifts of one picture more are tried; of the first 20, where there is time for all 20."""
    each = spent / done if done else each
    if done < LEAST_PICTURES and LEAST_PICTURES * each <= seconds * _MOST_TIMES:
        return True
    return spent + each <= seconds


def _ask(asking: _Asking, seen: _Seen, pictures: NDArray[np.int64], shifts: NDArray[np.int64]) -> None:
    """Asks about pictures, each under the shift (down, right) beside it."""
    for start in range(0, len(pictures), asking.at_a_time):
        some = slice(start, start + asking.at_a_time)
        moved = [
            torch.roll(asking.pictures[int(picture)], (int(down), int(right)), dims=(1, 2))
            for picture, (down, right) in zip(pictures[some], shifts[some], strict=True)
        ]
        seen.note(pictures[some], asking.probabilities(torch.stack(moved)))
