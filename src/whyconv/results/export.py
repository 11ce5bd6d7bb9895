"""What an export amounts to: the file, and the proof that it answers as the network does."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from whyconv.results.record import Record
from whyconv.results.runs import Parity


class ResizeDifference(Record):
    """The resize inside a file that takes any size, beside ``prepare``, on the same pictures at their own sizes.

    ``prepare`` may decode a large JPEG at a fraction of its size; the file is given every pixel. Against the same
    pixels, resized by Pillow, only rounding is left.

    Attributes:
        n: Pictures, evenly chosen.
        num_same_answer: How many have the same first answer as after ``prepare``.
        largest_difference: Largest absolute difference of a probability from that after ``prepare``.
        mean_levels: Mean absolute difference of a pixel from ``prepare``, in gray levels, 0-255.
        largest_levels: The largest.
        largest_rounding: Largest difference from the same pixels resized by Pillow, in gray levels; at most 2.
        differing_fraction: Fraction of numbers that differ from those, in [0, 1].
    """

    n: int
    num_same_answer: int
    largest_difference: float
    mean_levels: float
    largest_levels: int
    largest_rounding: int
    differing_fraction: float


class ExportReport(Record):
    """What ``whyconv export --json`` prints.

    Attributes:
        run: The run folder.
        path: The file, or for torch the folder, that was written.
        kind: What it is for.
        num_bytes: Of it.
        pictures: What the proof was made on: a part of the run's pictures, or a folder that was named.
        against: What the answers were compared with: the network in torch, or the run's own ``model.onnx`` where torch
            has no such network.
        parity: The proof.
        batches: Numbers of pictures at once for which the answers were found to be the same.
        num_folded: Normalizations that were folded into convolutions; 0 for torch.
        resize: Where the file takes any size: how near its resize comes to ``prepare``; else None.
        versions: Of whyconv, torch, onnx, and ONNX's operator set, where these bear on it.
        data_digest: SHA-256 over the sorted lines of the run's ``digests.txt``, 64 hex characters.
    """

    run: str
    path: str
    kind: Literal["onnx", "torch"]
    num_bytes: int
    pictures: str
    against: Literal["torch", "model.onnx"]
    parity: Parity
    batches: list[int]
    num_folded: int = 0
    resize: ResizeDifference | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    data_digest: str
