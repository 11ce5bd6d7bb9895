"""How each tool reads a picture file where it reads its training pictures, as its documentation has it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image


class Reader(NamedTuple):
    """One tool.

    Attributes:
        package: That it comes in.
        read: The picture as the network will see it, but for its size: (h, w, 1, 3 or 4), 0 to 255.
    """

    package: str
    read: Callable[[Path], np.ndarray]

    def version(self) -> str:
        """Of the package."""
        return importlib.metadata.version(self.package)


def by_whyconv(path: Path) -> np.ndarray:
    """The one way for training, prediction and serving."""
    from whyconv.images.prepare import PicturePolicy, full_pixels

    return full_pixels(path.read_bytes(), PicturePolicy(side=32, channels=3))


def by_fastai(path: Path) -> np.ndarray:
    """``PILImage.create``, which ``ImageBlock`` calls."""
    from fastai.vision.core import PILImage

    return np.asarray(PILImage.create(path))


def by_torchvision(path: Path) -> np.ndarray:
    """``default_loader`` of ``ImageFolder``."""
    from torchvision.datasets.folder import default_loader

    return np.asarray(default_loader(str(path)))


def by_keras(path: Path) -> np.ndarray:
    """``image_dataset_from_directory``, at the size that is stored; what it does not list is refused."""
    import keras

    with Image.open(path) as image:
        size = image.height, image.width
    pictures = keras.utils.image_dataset_from_directory(
        path.parent, labels=None, image_size=size, batch_size=1, shuffle=False, verbose=False
    )
    return np.asarray(next(iter(pictures))[0])


def by_load_img(path: Path) -> np.ndarray:
    """``load_img``, which the guides of Keras use for single pictures."""
    import keras

    return np.asarray(keras.utils.img_to_array(keras.utils.load_img(path)))


READERS = {
    "whyconv": Reader("whyconv", by_whyconv),
    "fastai": Reader("fastai", by_fastai),
    "torchvision": Reader("torchvision", by_torchvision),
    "keras": Reader("keras", by_keras),
    "keras-load-img": Reader("keras", by_load_img),
}
