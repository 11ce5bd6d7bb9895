"""The dense corner of a run's control square as an ONNX file: what a network without locality and sharing answers."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from whyconv import __version__
from whyconv.export import export
from whyconv.model_file import Metadata, find_model, read_model
from whyconv.results import Note, Notify, Square
from whyconv.settings import Plan
from whyconv.study import OneHiddenLayer, SquarePictures, train_corner
from whyconv.study.corners import num_parameters
from whyconv.study.protocol import sizes_of

DENSE_TWIN = "twin_dense.onnx"
_MOST_PARAMETERS = 8_000_000  # 32 MB


def write_dense_twin(run: Path, plan: Plan, pictures: SquarePictures, square: Square, notify: Notify) -> None:
    """Trains the dense corner once more, and writes it into the run folder as ``twin_dense.onnx``.

    It takes the same prepared pixels as the run's own network; where the square looked at smaller pictures, the mean
    over blocks of pixels makes them so inside the file. It learned from pictures as they are, never moved. Where it
    would be too large, or blocks would not come out even, there is none, and one of an earlier square is taken away.

    Args:
        run: The run folder.
        plan: Of the run.
        pictures: That the square was measured on.
        square: As measured.
        notify: Told where there is none, and why.
    """
    protocol = square.protocol
    sizes = sizes_of(protocol, pictures.num_classes)
    parameters, (blocks, rest) = num_parameters("dense", sizes), divmod(plan.network.side, protocol.side)
    if rest or parameters > _MOST_PARAMETERS:
        values = {"parameters": parameters, "side": plan.network.side, "small": protocol.side}
        notify(Note(key="dense_twin_uneven" if rest else "dense_twin_large", values=values))
        (run / DENSE_TWIN).unlink(missing_ok=True)  # that of another square
        return
    network = train_corner(pictures, square, "dense")
    metadata = read_model(find_model(run))[1]
    own = plan.network.model_copy(update=_of_the_twin(pictures))
    named = Metadata.model_validate(metadata.model_dump() | _said_of_the_twin())
    export(run / DENSE_TWIN, _at_side(network, blocks), named, own)


def _at_side(network: OneHiddenLayer, blocks: int) -> nn.Module:
    return network if blocks == 1 else nn.Sequential(nn.AvgPool2d(blocks), network)


def _of_the_twin(pictures: SquarePictures) -> dict[str, object]:
    """What the plan of a network has otherwise here: statistics at the square's side, and a single view."""
    plain = dict.fromkeys(("invariant", "window", "pooling"))
    return {"name": "dense", "mean": pictures.mean, "std": pictures.std, "views": ["upright"], **plain}


def _said_of_the_twin() -> dict[str, object]:
    """What its file says otherwise than the run's: no temperature was fitted, and nothing is promised."""
    plain = {"temperature": 1.0, "views": ("upright",), "sets": None, "unsure": None}
    return {"network": "dense", "version": __version__, **plain}
