"""A picture classifier that keeps scikit-learn's contract."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from whyconv.errors import DataError
from whyconv.recognizer import Recognizer, open_recognizer
from whyconv.settings import OptimizerName, TrainSettings
from whyconv.workflow import train


class PictureClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Trains a network on arrays of pictures; works wherever scikit-learn takes a classifier.

    The constructor keeps settings and checks nothing; what is learned ends in ``_``. Validation is carved out of
    what is given to ``fit``.

    Args:
        network: Name in the catalogue, or ``package.module:callable``.
        optimizer: One of gd, momentum, rmsprop, adam, adamw; None: by the network.
        epochs: Passes over the pictures; None: by their number.
        minutes: Time for ``fit``; None: no limit.
        size: Side the network sees, in pixels; None: by the pictures.
        batch: Pictures per step; None: by their number.
        learning_rate: Highest learning rate; None: by the optimizer.
        balance: "auto", "none" or "weights".
        flips: "auto", "on" or "off".
        random_state: Seed.
        threads: Of the processor; None: all that the process may use.

    Attributes:
        classes_: Labels, sorted (classes,).
        recognizer_: The exported recognizer that answers.
        run_: What the training amounted to.
        image_shape_: Shape of one picture given to ``fit``.
    """

    def __init__(  # noqa: PLR0913
        self,
        network: str = "plain",
        *,
        optimizer: OptimizerName | None = None,
        epochs: int | None = None,
        minutes: float | None = None,
        size: int | None = None,
        batch: int | None = None,
        learning_rate: float | None = None,
        balance: str = "auto",
        flips: str = "auto",
        random_state: int = 0,
        threads: int | None = None,
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.epochs = epochs
        self.minutes = minutes
        self.size = size
        self.batch = batch
        self.learning_rate = learning_rate
        self.balance = balance
        self.flips = flips
        self.random_state = random_state
        self.threads = threads

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> Self:  # noqa: N803
        """Trains on pictures and labels.

        Args:
            X: Pictures (n, h, w), (n, h, w, 1) or (n, h, w, 3); uint8, or any numbers as ``images.decode_array``
                takes them.
            y: Labels (n,), of any kind that can be sorted.

        Raises:
            DataError: Shapes do not fit, or the pictures cannot be trained on.
        """
        pictures = _as_pictures(X)
        labels = np.asarray(y)
        if labels.ndim != 1 or len(labels) != len(pictures):
            raise DataError(f"y has shape {labels.shape}; expected one label for each of {len(pictures)} pictures.")
        check_classification_targets(labels)
        self.classes_, indices = np.unique(labels, return_inverse=True)
        self.image_shape_ = pictures.shape[1:]
        self._fit_in_folder(pictures, indices)
        return self

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float32]:  # noqa: N803
        """Probabilities (n, classes) in [0, 1], columns in the order of ``classes_``."""
        check_is_fitted(self)
        pictures = _as_pictures(X)
        if pictures.shape[1:] != self.image_shape_:
            raise DataError(
                f"X has pictures of shape {pictures.shape[1:]}; this classifier was fitted on {self.image_shape_}."
            )
        recognizer: Recognizer = self.recognizer_
        return recognizer.predict_proba(pictures)

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:  # noqa: N803
        """The most probable label of every picture (n,)."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def _fit_in_folder(self, pictures: NDArray[Any], indices: NDArray[np.int64]) -> None:
        """Trains by way of a temporary folder: one path for arrays and for files."""
        folder = Path(tempfile.mkdtemp(prefix="whyconv-"))
        try:
            # Class names that sort like their indices, whatever the labels are.
            width = len(str(len(self.classes_)))
            names = np.array([f"{index:0{width}}" for index in range(len(self.classes_))])
            np.savez(folder / "pictures.npz", x=pictures, y=indices, classes=names)
            settings = {name: value for name, value in self.get_params().items() if name != "random_state"}
            asked = TrainSettings.of(
                {
                    "pictures": str(folder / "pictures.npz"),
                    "out": str(folder / "runs"),
                    "store": str(folder / "store"),
                    "seed": self.random_state,
                    **settings,
                },
                where="PictureClassifier",
            )
            self.run_ = train(asked)
            self.recognizer_ = open_recognizer(Path(self.run_.run), num_threads=self.threads)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _as_pictures(array: NDArray[Any]) -> NDArray[Any]:
    pictures = np.asarray(array)
    if pictures.ndim not in (3, 4) or (pictures.ndim == 4 and pictures.shape[3] not in (1, 3, 4)):
        raise DataError(
            f"X has shape {pictures.shape}; expected pictures (n, h, w), (n, h, w, 1), (n, h, w, 3) or (n, h, w, 4)."
        )
    return pictures
