"""One output of a layer written out in numbers, and the proof by trial of what it depends on."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from whyconv.counting.axis import PaddingMode
from whyconv.counting.convolution import Convolution
from whyconv.errors import ParityError, UsageError
from whyconv.results.layer import Term, WorkedOutput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_COLUMNS = 24
MOST_ROWS = 32
MOST_TAPS = 49
_MOST_INPUTS = 10_000  # each is changed, and the output computed anew
_BRIGHT = 10
_AT_ONCE = 256
_NUMPY_MODE = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def work_out(layer: Convolution, row: int, column: int) -> WorkedOutput:
    """Writes out the output of the first filter at (row, column).

    Every channel of the picture is 10 in its left half and 0 in its right; every row of the kernel is 1 0 ... 0 -1,
    which finds vertical edges. Each input is then changed by 1, one after the other, and the output computed anew: by
    padding and sliding, not by the arithmetic of ``Axis``, which has to agree.

    Args:
        layer: Of two axes.
        row: Of the output, from 0.
        column: Likewise.

    Raises:
        UsageError: There is no such output, or its arithmetic is too long to be read or tried.
        ParityError: The inputs that moved the output are not as many as were counted.
    """
    _require_readable(layer, row, column)
    picture = _half_bright(layer)
    weights = _edge_detector(layer)
    place = (row, column)
    # With ones for weights, an output moves exactly if the input is connected: nothing cancels.
    connected = _moves(layer, picture, weights * 0 + 1, place)
    moved = _moves(layer, picture, weights, place)
    seen = layer.in_channels // layer.groups
    counted = seen * math.prod(axis.num_inputs_at(at) for axis, at in zip(layer.axes, place, strict=True))
    if int(connected.sum()) != counted or bool((moved & ~connected).any()):
        raise ParityError(
            f"{int(connected.sum())} inputs move output {row},{column}, {counted} were counted. This is a mistake in "
            "whyconv: please report it with the command that was typed."
        )
    outputs = _slide(layer, picture[None], weights)[0]
    return WorkedOutput(
        place=place,
        picture=picture[:, :, 0].tolist(),
        weights=weights.tolist(),
        terms=_terms(layer, picture[:, :, 0], weights, place),
        num_channels=seen,
        value=int(outputs[place]),
        outputs=outputs.tolist(),
        num_connected=counted,
        num_others=layer.num_inputs - counted,
        num_others_that_moved_it=int((moved & ~connected).sum()),
        num_connected_that_moved_it=int((moved & connected).sum()),
    )


def can_be_worked_out(layer: Convolution) -> bool:
    """Whether ``work_out`` takes a layer."""
    return len(layer.axes) == 2 and not _too_much(layer)


def _require_readable(layer: Convolution, row: int, column: int) -> None:
    if len(layer.axes) != 2:
        raise UsageError(f"--show writes out layers of two axes; this one has {len(layer.axes)}.")
    height, width = layer.output_shape[1:]
    if not (0 <= row < height and 0 <= column < width):
        raise UsageError(
            f"--show {row},{column}: there is no such output. Expected a row from 0 to {height - 1} and a column from "
            f"0 to {width - 1}."
        )
    if wrong := _too_much(layer):
        raise UsageError(
            f"--show writes out every number, and this is too much to be read: {'; '.join(wrong)}. The arithmetic is "
            "the same on a small picture: try 6x6 or 12x12x3."
        )


def _too_much(layer: Convolution) -> list[str]:
    """What of a layer of two axes is too much to be read or tried; empty where nothing is."""
    most = {"rows": MOST_ROWS, "columns": MOST_COLUMNS}
    found = {name: max(axis.length, axis.output_length) for name, axis in zip(most, layer.axes, strict=True)}
    wrong = [f"{found[name]:,} {name} (at most {most[name]})" for name in most if found[name] > most[name]]
    if (taps := math.prod(axis.kernel for axis in layer.axes)) > MOST_TAPS:
        wrong.append(f"{taps:,} products (at most {MOST_TAPS})")
    if layer.num_inputs > _MOST_INPUTS:
        wrong.append(f"{layer.num_inputs:,} inputs to be changed one by one (at most {_MOST_INPUTS:,})")
    return wrong


def _half_bright(layer: Convolution) -> NDArray[np.int64]:
    """The picture (h, w, c): 10 in the left half, 0 in the right; the column in the middle is dark."""
    import numpy as np

    _, height, width = layer.input_shape
    picture = np.zeros((height, width, layer.in_channels), np.int64)
    picture[:, : width // 2] = _BRIGHT
    return picture


def _edge_detector(layer: Convolution) -> NDArray[np.int64]:
    """The kernel (h, w), the same for every channel."""
    import numpy as np

    height, width = (axis.kernel for axis in layer.axes)
    weights = np.zeros((height, width), np.int64)
    weights[:, -1] = -1
    weights[:, 0] = 1
    return weights


def _terms(
    layer: Convolution, picture: NDArray[np.int64], weights: NDArray[np.int64], place: tuple[int, int]
) -> list[Term]:
    """The products of one channel, row by row of the kernel."""
    import numpy as np

    rows, columns = (axis.sources(np.array([at])).ravel().tolist() for axis, at in zip(layer.axes, place, strict=True))
    terms = []
    for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
        has_data = row >= 0 and column >= 0
        value = int(picture[row, column]) if has_data else 0
        source = (row, column) if has_data else None
        terms.append(Term(tap=(i, j), place=source, value=value, weight=int(weights[i, j])))
    return terms


def _moves(
    layer: Convolution, picture: NDArray[np.int64], weights: NDArray[np.int64], place: tuple[int, int]
) -> NDArray[np.bool_]:
    """Which inputs (h, w, c) change the output at ``place`` when they are changed, each alone."""
    import numpy as np

    before = _slide(layer, picture[None], weights, place)[0]
    changed = []
    for start in range(0, picture.size, _AT_ONCE):
        which = np.arange(start, min(start + _AT_ONCE, picture.size))
        pictures = np.repeat(picture[None], len(which), 0)
        pictures.reshape(len(which), -1)[np.arange(len(which)), which] += 1
        changed.append(_slide(layer, pictures, weights, place) != before)
    return np.concatenate(changed).reshape(picture.shape)


def _slide(
    layer: Convolution,
    pictures: NDArray[np.int64],
    weights: NDArray[np.int64],
    place: tuple[int, int] | None = None,
) -> NDArray[np.int64]:
    """Outputs of the first filter by padding and sliding: (n, output h, output w), or (n,) at one place.

    Args:
        layer: Sizes of the window; a filter sees the channels of the first group.
        pictures: (n, h, w, c).
        weights: (kernel h, kernel w).
        place: Of the one output that is wanted.
    """
    import numpy as np

    seen = pictures[..., : layer.in_channels // layer.groups].sum(-1)
    around = ((0, 0), *(axis.padding for axis in layer.axes))
    mode: PaddingMode = layer.axes[0].mode
    padded = np.pad(seen, around, mode=_NUMPY_MODE[mode])  # type: ignore[call-overload]
    reaches = tuple(axis.reach for axis in layer.axes)
    windows = np.lib.stride_tricks.sliding_window_view(padded, reaches, (1, 2))
    height, width = layer.axes
    windows = windows[:, :: height.stride, :: width.stride, :: height.dilation, :: width.dilation]
    chosen = windows if place is None else windows[:, place[0], place[1]]
    return np.asarray((chosen * weights).sum((-2, -1)))
