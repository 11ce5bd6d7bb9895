"""A frozen feature network: how its ONNX file takes pictures and gives features, and what is known of its origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyconv.errors import ModelFileError
from whyconv.onnx_file.running import open_session, run_session
from whyconv.settings import View
from whyconv.training.views import seen

Layout = Literal["nchw", "nhwc"]
# Axes of the places of a map.
CHANNELS_FIRST, CHANNELS_LAST = (2, 3), (1, 2)
# numpy's names of what a file may take.
_TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}
_TYPES |= {"tensor(double)": np.float64}


@dataclass(frozen=True, eq=False)
class Backbone:
    """A feature network in an ONNX file.

    Attributes:
        model: The graph; any number of pictures at once.
        name: Of the network, for people.
        start: What the plan calls it: "pretrained", or the file's path.
        digest: Of the weights or the file.
        picture: Name of the input.
        layout: Order of its axes.
        kind: onnxruntime's word for the type of its numbers.
        side: Of the pictures, in pixels.
        mean: Gray level of each of the three channels that becomes 0.
        std: Gray levels that become 1; where the network takes uint8, mean is 0 and std 1.
        features: Name of the output.
        rank: Its axes: 2 (n, d); 3 (n, tokens, d), of which the first token is taken; 4, a map, whose mean over the
            places is taken.
        width: d.
        places: The axes of a map that are places: (2, 3) of (n, d, h, w), (1, 2) of (n, h, w, d).
    """

    model: onnx.ModelProto
    name: str
    start: str
    digest: str
    picture: str
    layout: Layout
    kind: str
    side: int
    mean: Sequence[float]
    std: Sequence[float]
    features: str
    rank: int
    width: int
    places: tuple[int, int] = CHANNELS_FIRST

    @property
    def takes_levels(self) -> bool:
        """Whether it takes gray levels as they are, and normalizes them itself."""
        return self.kind == "tensor(uint8)"


class FrozenNetwork:
    """A feature network that answers.

    Args:
        backbone: Which.
        threads: Of the processor.

    Raises:
        ModelFileError: onnxruntime cannot run it.
    """

    def __init__(self, backbone: Backbone, threads: int) -> None:
        self.backbone = backbone
        self._session = open_session(backbone.model.SerializeToString(), threads, backbone.name)

    def look(
        self, pixels: NDArray[np.uint8], view: View, maps: Sequence[str] = ()
    ) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """Shows it one view of pictures.

        Args:
            pixels: uint8 (n, side, side, 3).
            view: Which.
            maps: Further outputs that are wanted.

        Returns:
            Features (n, d), and the further outputs.

        Raises:
            ModelFileError: It fails, or its features are no finite numbers.
        """
        backbone = self.backbone
        first, *rest = self.run(as_seen(pixels, backbone.mean, backbone.std, view), [backbone.features, *maps])
        features = pooled(first, backbone.places)
        if features.shape != (len(pixels), backbone.width) or not np.isfinite(features).all():
            raise ModelFileError(
                f"{backbone.name} gives {backbone.features} of shape {first.shape} for {len(pixels)} pictures, or such "
                f"that are no finite numbers. Expected {len(pixels)} x {backbone.width}."
            )
        return features, rest

    def run(self, x: Tensor, outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        """Asks for outputs by name.

        Args:
            x: Pictures (n, 3, side, side), normalized, as a view shows them.
            outputs: Their names.

        Raises:
            ModelFileError: onnxruntime fails.
        """
        backbone = self.backbone
        pictures = x.numpy() if backbone.layout == "nchw" else x.permute(0, 2, 3, 1).contiguous().numpy()
        if backbone.takes_levels:
            pictures = np.clip(np.rint(pictures), 0, 255)
        pictures = pictures.astype(_TYPES[backbone.kind], copy=False)
        found = run_session(self._session, list(outputs), {backbone.picture: pictures}, backbone.name)
        return [np.asarray(each, np.float32) for each in found]


def pooled(values: NDArray[np.float32], places: tuple[int, int]) -> NDArray[np.float32]:
    """One vector a picture (n, d): of tokens (n, tokens, d) the first, of a map the mean over its ``places``."""
    if values.ndim == 3:
        return np.ascontiguousarray(values[:, 0])
    return values.mean(axis=places) if values.ndim == 4 else values


def as_seen(pixels: NDArray[np.uint8], mean: Sequence[float], std: Sequence[float], view: View) -> Tensor:
    """Pictures uint8 (n, side, side, 3) normalized, as one view shows them: float32 (n, 3, side, side)."""
    x = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).to(torch.float32)
    level, unit = (torch.tensor(each, dtype=torch.float32).view(1, -1, 1, 1) for each in (mean, std))
    return seen((x - level) / unit, view).contiguous()
