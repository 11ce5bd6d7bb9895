"""The pictures of a study: their parts, the draws that networks learn from, and the batches of every step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyconv.results import SquareProtocol
from whyconv.study.protocol import Training
from whyconv.study.rings import move, random_shifts, slide
from whyconv.study.sizes import nested_order
from whyconv.training.pixel_rows import LabelledPixels, evenly_chosen

# Of the pictures of a draw one in so many is kept apart: it chooses settings and stops.
KEPT_APART = 5
MOST_KEPT = 1000
# What random numbers are for: no two streams are alike.
_ORDER, _MOVES, _TEST_MOVES, _LABELS = 1, 2, 3, 4


@dataclass(frozen=True, eq=False)
class SquarePictures:
    """The pictures of a study, each part with its labels, and how pixels become numbers.

    Attributes:
        train: What draws are taken from.
        validation: Chooses settings where networks are trained on all of the training part.
        test: What accuracies are over.
        num_classes: Of the labels.
        mean: Of each channel, in gray levels: taken off every pixel.
        std: Of each channel, in gray levels: pixels are divided by it.
    """

    train: LabelledPixels
    validation: LabelledPixels
    test: LabelledPixels
    num_classes: int
    mean: list[float]
    std: list[float]

    def numbers(self, part: LabelledPixels, rows: NDArray[np.int64]) -> Tensor:
        """Pictures of a part as float32 (*rows.shape, c, side, side), around 0."""
        levels = torch.from_numpy(np.ascontiguousarray(part.pixels[rows.reshape(-1)])).float()
        scaled = ((levels - torch.tensor(self.mean)) / torch.tensor(self.std)).permute(0, 3, 1, 2)
        return scaled.reshape(*rows.shape, *scaled.shape[1:])


class Draw:
    """One draw of pictures to learn from.

    Args:
        pictures: Of the study.
        protocol: Whose seed decides everything that is drawn.
        training: Says how many pictures, and whether their labels are true.
        number: Of the draw.

    Attributes:
        rows: Of the training part, to take steps on.
        kept: Of the training part, kept apart; at most 1,000 are asked about.
    """

    def __init__(self, pictures: SquarePictures, protocol: SquareProtocol, training: Training, number: int) -> None:
        self.protocol, self.number = protocol, number
        labels = pictures.train.labels
        chosen = nested_order(labels, protocol.seed * 1000 + number)[: training.n_train]
        is_kept = np.arange(len(chosen)) % KEPT_APART == KEPT_APART - 1
        # Of very many, a thousand tell as much.
        self.rows, self.kept = chosen[~is_kept], chosen[is_kept][:MOST_KEPT]
        self._labels = labels.astype(np.int64)
        if training.arm == "random_labels":
            self._labels[chosen] = self.random(_LABELS).permutation(self._labels[chosen])

    def labels(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of these pictures."""
        return self._labels[rows]

    def random(self, purpose: int) -> np.random.Generator:
        """A stream of random numbers of the draw's own."""
        return stream(self.protocol.seed, purpose, self.number)


def stream(seed: int, purpose: int, number: int) -> np.random.Generator:
    """Random numbers that no other purpose or number has."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, purpose, number])))


def batches(
    pictures: SquarePictures, training: Training, draws: Sequence[Draw], num_steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pictures (n, draws, c, side, side) and labels (draws, n) of each step, the same for every corner.

    Moved around the ring, or shifted with the border repeated, as the training says; each picture of each step anew.
    """
    protocol = draws[0].protocol
    batch = min(protocol.batch, len(draws[0].rows))
    orders = [endless_batches(len(draw.rows), batch, draw.random(_ORDER)) for draw in draws]
    moves = [draw.random(_MOVES) for draw in draws]
    for _ in range(num_steps):
        rows = np.stack([draw.rows[next(order)] for draw, order in zip(draws, orders, strict=True)])
        labels = np.stack([draw.labels(some) for draw, some in zip(draws, rows, strict=True)])
        shown = pictures.numbers(pictures.train, rows)
        if training.place == "moved":
            shown = move(shown, np.stack([random_shifts(random, (batch,), protocol.side) for random in moves]))
        elif training.arm == "shifts":
            reach = protocol.shift
            shown = slide(shown, np.stack([random.integers(-reach, reach + 1, (batch, 2)) for random in moves]))
        yield shown.transpose(0, 1), torch.from_numpy(labels)


def asked(pictures: Tensor, training: Training, protocol: SquareProtocol, part: int, draw: int | None = None) -> Tensor:
    """Pictures (n, c, side, side) as networks are asked about them: moved once and for all where training moves.

    Args:
        pictures: All of a part.
        training: Which training.
        protocol: Whose seed decides.
        part: A number from 1 to 9 that tells parts apart.
        draw: Whose part it is; None where all draws have the same.
    """
    if training.place != "moved":
        return pictures
    random = stream(protocol.seed, _TEST_MOVES, part if draw is None else 10 * (draw + 1) + part)
    return move(pictures, random_shifts(random, tuple(pictures.shape[:-3]), protocol.side))


def scored_rows(part: LabelledPixels, most: int) -> NDArray[np.int64]:
    """All pictures of a part, or at most ``most`` of them, evenly chosen."""
    return evenly_chosen(len(part), most)


def endless_batches(n: int, batch: int, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Numbers 0 .. n - 1 in random order, again and again, each time in another, in pieces of ``batch`` <= n."""
    waiting = np.empty(0, np.int64)
    while True:
        if len(waiting) < batch:
            waiting = np.concatenate([waiting, random.permutation(n)])
        yield waiting[:batch]
        waiting = waiting[batch:]
