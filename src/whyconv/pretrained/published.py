"""EfficientNet-Lite0 with its published weights: read once from the package, kept as ONNX and safetensors."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from whyconv import files
from whyconv.errors import ModelFileError
from whyconv.images.cache import NETWORKS, default_folder
from whyconv.nets.efficientnet import EfficientNetLite0
from whyconv.nets.pretrained import MEAN, NETWORK, SHA256, SIDE, STD, read_published_weights
from whyconv.pretrained.backbone import Backbone
from whyconv.pretrained.drawing import FEATURES, INPUT, draw
from whyconv.settings import PRETRAINED
from whyconv.training.checkpoint import put_weights, read_tensors, save_weights

# Where tuning may begin: with the last four blocks or the last two. Both see 7 x 7 places.
CUTS = (12, 14)
_CLASSES = 1000
# Part of the files' names: raised whenever they are written in another way.
_VERSION = "2"


def published_backbone(store: Path | None) -> Backbone:
    """The frozen network, from the cache or else from the package.

    Args:
        store: The cache folder; None is the default one.

    Raises:
        MissingExtraError: It is not in the cache, and the package is not installed.
        ModelFileError: The package's file is not the one known.
        StorageError: The cache cannot be written.
    """
    return Backbone(
        model=_model(store),
        name=NETWORK,
        start=PRETRAINED,
        digest=SHA256,
        picture=INPUT,
        layout="nchw",
        kind="tensor(float)",
        side=SIDE,
        mean=[MEAN] * 3,
        std=[STD] * 3,
        features=FEATURES,
        rank=2,
        width=1280,
    )


def published_network(store: Path | None) -> EfficientNetLite0:
    """The same in torch, with its 1,000 ImageNet classes; errors as above."""
    network = EfficientNetLite0(num_classes=_CLASSES, side=SIDE)
    path = _path(store, "safetensors")
    try:
        put_weights(path, network, read_tensors(path))
    except ModelFileError:  # not there yet, or damaged
        network.load_state_dict(read_published_weights())
        save_weights(path, network, {"sha256": SHA256})
    return network.eval()


def _model(store: Path | None) -> onnx.ModelProto:
    path = _path(store, "onnx")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        onnx.checker.check_model(model)
    except (OSError, DecodeError, onnx.checker.ValidationError):  # not there yet, or damaged
        model = draw(published_network(store), SIDE, CUTS)
        files.write_bytes(path, model.SerializeToString())
    return model


def _path(store: Path | None, kind: str) -> Path:
    return (store or default_folder()) / NETWORKS / f"{NETWORK}-{SHA256[:12]}-{_VERSION}.{kind}"
