"""Run folders that the page shows, made in seconds: untrained networks, a made-up square."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from made_up_why import made_up_why
from tiny_training import bars, tiny_plan
from whyconv.export import describe_layers, export, export_maps, metadata_for
from whyconv.images.prepare import PicturePolicy
from whyconv.model_file import Metadata, with_digest
from whyconv.settings import NetworkPlan
from whyconv.training.start import start_network

SIDE = 8
CLASSES = ("lies", "stands")
WINDOW = 6


def write_served_run(folder: Path) -> Path:
    """Writes the run: gray pictures of 8 x 8 pixels, two classes; convolution, pooling, dense layers; a dense twin."""
    plan = tiny_plan(SIDE, network="lesson")
    _write_run(folder, start_network(plan), plan.network)
    _write_model(folder / "twin_dense.onnx", _dense(), plan.network)
    (folder / "why.json").write_text(made_up_why().model_dump_json(), encoding="utf-8")
    return folder


def write_flat_run(folder: Path) -> Path:
    """Writes a run of dense layers alone: no map has rows."""
    return _write_run(folder, _dense(), tiny_plan(SIDE).network)


def write_windowed_run(folder: Path) -> Path:
    """Writes a run whose answers are the mean over windows of 6 x 6 pixels."""
    plan = tiny_plan(SIDE, network="lesson")
    sizes = plan.network.model_copy(update={"invariant": "realistic", "window": WINDOW})
    _write_run(folder, start_network(plan.model_copy(update={"network": sizes})), sizes)
    told = _metadata(sizes).model_dump(mode="json") | sizes.model_dump(exclude={"name"})
    (folder / "network.json").write_text(json.dumps(with_digest(told)), encoding="utf-8")
    return folder


def _write_run(folder: Path, network: nn.Module, sizes: NetworkPlan) -> Path:
    folder.mkdir(parents=True)
    _write_model(folder / "model.onnx", network, sizes)
    export_maps(folder / "why.onnx", folder / "model.onnx")
    (folder / "layers.json").write_text(json.dumps(describe_layers(folder / "model.onnx")), encoding="utf-8")
    np.save(folder / "thumbnails.npy", bars(20, seed=4).pixels)
    return folder


def _dense() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 16), nn.ReLU(), nn.Linear(16, len(CLASSES)))


def _write_model(path: Path, network: nn.Module, sizes: NetworkPlan) -> None:
    export(path, network, _metadata(sizes), sizes)


def _metadata(sizes: NetworkPlan) -> Metadata:
    return metadata_for(sizes, PicturePolicy(side=SIDE, channels=1), 1.0, {"train": 64, "validation": 32})
