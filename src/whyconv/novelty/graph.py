"""The number as nodes of the exported file: every program that runs the file gets it, as the output ``novelty``.

Only operators are used whose form is the same in all operator sets from 11 on; a sum over a row is a product with ones.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from whyconv.errors import ModelFileError
from whyconv.model_file import METADATA_KEY, NOVELTY, NOVELTY_PREFIX
from whyconv.novelty.fitting import Novelty
from whyconv.novelty.looks import DIFFERENCES, ROUNDING_VARIANCE, WHITE, num_scales, planes

_TINY = 1e-6


def add_novelty(content: bytes, novelty: Novelty | None, metadata: str) -> bytes:
    """Returns an exported file with the output ``novelty``, float32 (n,), and with other metadata.

    Args:
        content: A file as ``export`` writes it.
        novelty: What is computed; None: only the metadata change.
        metadata: JSON of ``Metadata``.

    Raises:
        ModelFileError: The file has no softmax that gives its probabilities.
    """
    model = onnx.load_model_from_string(content)
    if novelty is not None:
        _Nodes(model, novelty).add()
    helper.set_model_props(model, {METADATA_KEY: metadata})
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


class _Nodes:
    """Appends nodes to a model, with names of their own.

    Args:
        model: That is added to.
        novelty: What they compute.
    """

    def __init__(self, model: onnx.ModelProto, novelty: Novelty) -> None:
        self.graph = model.graph
        self.novelty = novelty

    def add(self) -> None:
        """Adds all nodes, and the output."""
        own = self._call("Add", [self._own(), self._number("offset", 1 - self.novelty.threshold)], "own")
        look = self._call("Div", [self._strangeness(), self._number("limit", self.novelty.look_limit)], "look")
        steepness = self.novelty.look_steepness
        steep = self._call("Mul", [look, self._number("steepness", steepness)], "look.steeply")
        steep = self._call("Add", [steep, self._number("steepness.offset", 1 - steepness)], "look.steep")
        shifted = self._call("Max", [own, self._call("Min", [look, steep], "look.less")], "column")
        shape = self._tensor("flat", np.array([-1], np.int64))
        self.graph.node.append(helper.make_node("Reshape", [shifted, shape], [NOVELTY], NOVELTY_PREFIX + "flat"))
        batch = self.graph.input[0].type.tensor_type.shape.dim[0]
        size = batch.dim_param or batch.dim_value or "n"
        self.graph.output.append(helper.make_tensor_value_info(NOVELTY, TensorProto.FLOAT, [size]))

    def _own(self) -> str:
        """What the network's own features and logits say (n, 1)."""
        measure = self.novelty.measure
        if measure == "energy":
            return self._standard("energy", self._energy())
        if measure == "neighbors":
            return self._standard("neighbors", self._distance())
        pair = [self._standard("energy", self._energy()), self._standard("neighbors", self._distance())]
        return self._call("Mul", [self._call("Add", pair, "both.sum"), self._number("half", 0.5)], "both")

    def _standard(self, name: str, x: str) -> str:
        x = self._call("Sub", [x, self._number(f"{name}.center", self.novelty.centers[name])], f"{name}.centered")
        return self._call("Div", [x, self._number(f"{name}.spread", self.novelty.spreads[name])], f"{name}.standard")

    def _energy(self) -> str:
        """-ln Σ e^logit = ln of the greatest probability, less the logit it comes from (n, 1)."""
        softmax = [node for node in self.graph.node if node.op_type == "Softmax" and "probabilities" in node.output]
        if not softmax:
            raise ModelFileError("The exported file has no softmax that gives its probabilities.")
        one = self._tensor("one", np.array([1], np.int64))
        top = self._call("TopK", [softmax[0].input[0], one], "top", "top.place", axis=1)
        share = self._call("TopK", ["probabilities", one], "share", "share.place", axis=1)
        return self._call("Sub", [self._call("Log", [share], "log"), top], "energy")

    def _distance(self) -> str:
        """Distance to the so many-th nearest of the known features (n, 1)."""
        known, number = self.novelty.known, self.novelty.num_neighbors
        ones = self._tensor("ones", np.ones((known.shape[1], 1), np.float32))
        square = self._call("Mul", ["features", "features"], "squares")
        length = self._call("Sqrt", [self._call("MatMul", [square, ones], "square")], "length")
        length = self._call("Max", [length, self._number("tiny", _TINY)], "length.least")
        x = self._call("Div", ["features", length], "direction")
        bank = self._call("Cast", [self._tensor("known", np.ascontiguousarray(known.T))], "bank", to=TensorProto.FLOAT)
        similar = self._call("MatMul", [x, bank], "similar")
        many = self._tensor("many", np.array([number], np.int64))
        nearest = self._call("TopK", [similar, many], "nearest", "nearest.place", axis=1)
        last = self._call("Gather", [nearest, self._tensor("last", np.array([number - 1], np.int64))], "kth", axis=1)
        gap = self._call("Sub", [self._number("unit", 1.0), last], "gap")
        gap = self._call("Mul", [self._call("Relu", [gap], "gap.least"), self._number("two", 2.0)], "gap.double")
        return self._call("Sqrt", [gap], "neighbors")

    def _strangeness(self) -> str:
        """Root mean square of the look on the scale of the training pictures (n, 1)."""
        scale = self.novelty.look_scale
        num_pieces, size = scale.starts.shape
        apart = self._tensor("look.apart", np.array([-1, 1, size], np.int64))
        x = self._call("Reshape", [self._looks(), apart], "look.apart.all")
        x = self._call("Sub", [x, self._floats("look.starts", scale.starts[None])], "look.beyond")
        lengths = self._floats("look.lengths", scale.lengths[None])
        x = self._call("Min", [self._call("Relu", [x], "look.after"), lengths], "look.inside")
        x = self._call("Mul", [x, self._floats("look.slopes", scale.slopes[None])], "look.pieces")
        x = self._call("MatMul", [self._floats("look.each", np.ones((1, num_pieces))), x], "look.line")
        together = self._tensor("look.together", np.array([-1, size], np.int64))
        x = self._call("Reshape", [x, together], "look.normal")
        x = self._call("Sub", [x, self._floats("look.mean", scale.mean - scale.lowest)], "look.centered")
        x = self._call("MatMul", [x, self._floats("look.whitening", scale.whitening)], "look.white")
        squares = self._call("Mul", [x, x], "look.squares")
        share = self._floats("look.share.each", np.full((size, 1), 1 / size))
        return self._call("Sqrt", [self._call("MatMul", [squares, share], "look.square")], "look.strangeness")

    def _looks(self) -> str:
        """The look of each picture (n, m), as ``looks`` describes it."""
        _, side, _, channels = (dim.dim_value for dim in self.graph.input[0].type.tensor_type.shape.dim)
        x = self._call("Cast", ["pixels"], "levels", to=TensorProto.FLOAT)
        x = self._call("Div", [x, self._number("white", WHITE)], "light")
        x = self._call("Transpose", [x], "channels", perm=[0, 3, 1, 2])
        weights = planes(channels).astype(np.float32)[:, :, None, None]
        x = self._call("Conv", [x, self._tensor("planes.weight", weights)], "planes")
        rows = [self._call("GlobalAveragePool", [x], "mean")]
        for scale in range(num_scales(side)):
            variance = self._variance(x, len(weights), f"{scale}.variance")
            x = self._call("AveragePool", [x], f"{scale}.half", kernel_shape=[2, 2], strides=[2, 2])
            contrast = self._log_mean(variance, ROUNDING_VARIANCE, f"{scale}.contrast")
            fourth = self._call("Mul", [variance, variance], f"{scale}.fourth")
            fourth = self._log_mean(fourth, ROUNDING_VARIANCE**2, f"{scale}.spread")
            twice = self._call("Add", [contrast, contrast], f"{scale}.twice")
            rows += [contrast, self._call("Sub", [fourth, twice], f"{scale}.unevenness")]
        return self._call("Flatten", [self._call("Concat", rows, "look.rows", axis=1)], "look.vector", axis=1)

    def _variance(self, x: str, num_planes: int, name: str) -> str:
        """The variance inside of each block of two by two (n, planes, h / 2, w / 2).

        As the sum of Haar's three squared differences: less the square of a mean, a mean of squares is cancelled in
        float32 where a picture is bright and has little contrast.
        """
        each = self._floats("differences", np.tile(DIFFERENCES[:, None], (num_planes, 1, 1, 1)))
        x = self._call("Conv", [x, each], f"{name}.differences", kernel_shape=[2, 2], strides=[2, 2], group=num_planes)
        sums = self._floats("differences.sum", np.ones((num_planes, len(DIFFERENCES), 1, 1)))
        return self._call("Conv", [self._call("Mul", [x, x], f"{name}.squares"), sums], name, group=num_planes)

    def _log_mean(self, x: str, least: float, name: str) -> str:
        """ln(mean over the places + least)."""
        mean = self._call("GlobalAveragePool", [x], f"{name}.mean")
        return self._call("Log", [self._call("Add", [mean, self._number(f"{name}.least", least)], f"{name}.sum")], name)

    def _number(self, name: str, value: float) -> str:
        return self._tensor(name, np.array(value, np.float32))

    def _floats(self, name: str, value: NDArray[np.floating]) -> str:
        return self._tensor(name, value.astype(np.float32))

    def _tensor(self, name: str, value: NDArray[np.generic]) -> str:
        name = f"{NOVELTY_PREFIX}{name}"
        if all(each.name != name for each in self.graph.initializer):
            self.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def _call(self, kind: str, inputs: list[str], *made: str, **attributes: int | list[int]) -> str:
        """Adds a node; returns the name of the first value it makes."""
        names = [f"{NOVELTY_PREFIX}{name}" for name in made]
        node = helper.make_node(kind, inputs, names, names[0])
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self.graph.node.append(node)
        return names[0]
