"""ONNX files for tests: networks that torch exports, and graphs that are written node by node."""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn


def export(network: nn.Module, example: Tensor, path: Path) -> Path:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (example,),
            path,
            dynamo=True,
            verbose=False,
            external_data=False,
            dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
        )
    return path


def drawn(network: nn.Module) -> nn.Module:
    """Gives every parameter numbers that no exporter can leave out, as it does with zeros and ones."""
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return network


def write(
    path: Path, nodes: list[onnx.NodeProto], arrays: dict[str, np.ndarray], shape: list[Any], opset: int = 20
) -> Path:
    graph = helper.make_graph(
        nodes,
        "by hand",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    versions = [helper.make_opsetid("", opset), helper.make_opsetid("example.org", 1)]
    onnx.save(helper.make_model(graph, opset_imports=versions, ir_version=8), path)
    return path
