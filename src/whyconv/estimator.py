"""A picture classifier that keeps scikit-learn's contract."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections import Counter
from numbers import Integral
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from whyconv.errors import ArrayError, DataError, ModelFileError, PictureError, SettingsError, StoppedError
from whyconv.export import with_classes
from whyconv.images.array_levels import UNCLEAR, are_unclear, smaller_white, to_levels, white_of
from whyconv.model_file import find_model
from whyconv.recognizer import Recognizer
from whyconv.results import RunSummary
from whyconv.settings import OptimizerName, TrainSettings
from whyconv.workflow import train

_CTRL_C = 130


class PictureClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Trains a network on arrays of pictures; works wherever scikit-learn takes a classifier.

    The constructor keeps settings and checks nothing; what is learned ends in ``_``. A validation part is carved out
    of what is given to ``fit``, and no test part: that is for the caller to keep. A fitted one can be pickled.

    Which value is white is decided by all pictures given to ``fit`` (1, 255 or 65535) and kept for ``predict``, which
    refuses what ``fit`` would read by a smaller one.

    Args:
        network: Name in the catalogue, or ``package.module:callable``.
        optimizer: One of gd, momentum, rmsprop, adam, adamw, muon; None: by the network.
        epochs: Passes over the pictures; None: by their number.
        minutes: Time for ``fit``; None: no limit.
        size: Side the network sees, in pixels; None: by the pictures.
        batch: Pictures per step; None: by their number.
        learning_rate: Highest learning rate; None: by the optimizer.
        balance: "auto", "on" or "off".
        flips: "auto", "on" or "off".
        validation_fraction: Part that decides which epoch is kept, in [0, 0.5]; None: 0.15, at most 2,000 pictures.
        random_state: Seed; None: 0. A ``RandomState`` is asked for one.
        threads: Of the processor; None: all that the process may use.
        device: "cpu", "cuda" for an NVIDIA card, or "auto", which takes the card where torch can use one.

    Attributes:
        classes_: Labels, sorted (classes,).
        recognizer_: The exported recognizer that answers; it names classes by their labels as text, or, where these
            cannot be names (two alike, or of more than 1,000 letters), by their places in ``classes_``.
        run_: What the training amounted to, with labels as text; its ``run`` is empty, for no folder is kept.
        image_shape_: Shape of one picture given to ``fit``.
        image_dtype_: Type of its values.
        white_: The value that stands for white: 1, 255 or 65535.
    """

    def __init__(  # noqa: PLR0913
        self,
        network: str = "swift",
        *,
        optimizer: OptimizerName | None = None,
        epochs: int | None = None,
        minutes: float | None = None,
        size: int | None = None,
        batch: int | None = None,
        learning_rate: float | None = None,
        balance: str = "auto",
        flips: str = "auto",
        validation_fraction: float | None = None,
        random_state: int | np.random.RandomState | None = 0,
        threads: int | None = None,
        device: str = "auto",
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
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.threads = threads
        self.device = device

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> Self:  # noqa: N803
        """Trains on pictures and labels.

        Args:
            X: Pictures (n, h, w), (n, h, w, 1), (n, h, w, 3) or (n, h, w, 4): uint8, bool, whole numbers up to 255
                or 65535, fractions up to 1 or 255.
            y: Labels (n,), of any kind that can be sorted.

        Raises:
            ArrayError: Shapes or values do not fit, or the pictures cannot be trained on.
            SettingsError: A setting is out of range.
            KeyboardInterrupt: Ctrl-C; SystemExit: another signal that asks to end. Nothing is kept of this fit.
        """
        pictures = _as_pictures(X)
        labels = np.asarray(y)
        if labels.ndim != 1 or len(labels) != len(pictures):
            raise ArrayError(f"y has shape {labels.shape}; expected one label for each of {len(pictures)} pictures.")
        white = white_of(pictures.dtype, pictures.min(), pictures.max())
        if white is None:
            raise ArrayError(_no_pixels(pictures))
        classes, indices = _sorted_classes(labels)
        _require_choice(classes, indices)
        try:
            run, recognizer = self._trained(to_levels(pictures, white), indices, classes)
        except DataError as error:
            raise ArrayError(str(error)) from error
        except StoppedError as stopped:
            # Searches go on after an error of one candidate; nothing was kept, as the message would say.
            raise _interrupt(stopped) from None
        # All at once: a fit that fails leaves what was fitted before.
        self.classes_, self.run_, self.recognizer_ = classes, run, recognizer
        self.image_shape_, self.image_dtype_, self.white_ = pictures.shape[1:], pictures.dtype, white
        return self

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float32]:  # noqa: N803
        """Probabilities (n, classes) in [0, 1], columns in the order of ``classes_``.

        Args:
            X: Pictures (n, *image_shape_) in the range of those given to ``fit``.

        Raises:
            ArrayError: They are of another shape, out of that range, or so dark that another range is meant.
        """
        check_is_fitted(self)
        pictures = _as_pictures(X)
        if pictures.shape[1:] != self.image_shape_:
            raise ArrayError(
                f"X has pictures of shape {pictures.shape[1:]}; this classifier was fitted on {self.image_shape_}."
            )
        recognizer: Recognizer = self.recognizer_
        return recognizer.predict_proba(iter(self._levels(pictures)))

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:  # noqa: N803
        """The most probable label of every picture (n,)."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        return tags

    def _levels(self, pictures: NDArray[Any]) -> NDArray[np.uint8]:
        """Pictures as uint8, by the rule of ``fit``."""
        smaller = smaller_white(pictures, self.white_, self.image_dtype_)
        if smaller is not None:
            raise ArrayError(_too_dark(pictures.dtype, smaller, self.white_, self.image_dtype_))
        try:
            return to_levels(pictures, self.white_)
        except PictureError as error:
            raise ArrayError(_no_numbers(pictures) or f"X is {error}.") from error

    def _trained(
        self, pictures: NDArray[np.uint8], indices: NDArray[np.int64], classes: NDArray[Any]
    ) -> tuple[RunSummary, Recognizer]:
        """Trains by way of a temporary folder: one path for arrays and for files."""
        folder = Path(tempfile.mkdtemp(prefix="whyconv-"))
        try:
            # Class names that sort like their indices, whatever the labels are.
            width = len(str(len(classes)))
            names = [f"{index:0{width}}" for index in range(len(classes))]
            np.savez(folder / "pictures.npz", x=pictures, y=indices, classes=np.array(names))
            run = train(self._asked(folder), only_model=True)
            model = find_model(run.run).read_bytes()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        labels = [str(label) for label in classes]
        given = dict(zip(names, labels, strict=True))
        validation = None if run.validation is None else run.validation.with_names(given)
        kept = run.model_copy(update={"run": "", "validation": validation})
        return kept, Recognizer(_named(model, labels), num_threads=self.threads)

    def _asked(self, folder: Path) -> TrainSettings:
        """The settings of a training of which everything lies in ``folder``."""
        given = self.get_params()
        seed = _seed(given.pop("random_state"))
        asked = {name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()}
        places = {"pictures": folder / "pictures.npz", "out": folder / "runs", "store": folder / "store"}
        asked |= {name: str(path) for name, path in places.items()}
        asked |= {"seed": seed, "test_fraction": 0.0}
        return TrainSettings.of(asked, where="PictureClassifier")


def _named(model: bytes, labels: list[str]) -> bytes:
    """The file with classes called by their labels; as it is where these cannot be names."""
    try:
        return with_classes(model, labels)
    except ModelFileError:
        return model


def _no_pixels(array: NDArray[Any]) -> str:
    if told := _no_numbers(array):
        return told
    low, high = array.min(), array.max()
    held = f"X ({array.dtype}) holds values from {low} to {high}"
    if array.dtype.kind == "f" and are_unclear(low, high):
        return f"{held}, {UNCLEAR}."
    return (
        f"{held}; expected 0 to 255, whole numbers 0 to 65535, or fractions 0 to 1 (pictures before any normalization)."
    )


def _no_numbers(pictures: NDArray[Any]) -> str:
    """In which pictures values are NaN; "" where none is."""
    if pictures.dtype.kind != "f":
        return ""
    held = [row for row, picture in enumerate(pictures) if np.isnan(picture).any()]
    if not held:
        return ""
    return (
        f"X holds NaN in {len(held):,} of {len(pictures):,} pictures, first in X[{held[0]}]; expected a number for "
        "every pixel."
    )


def _too_dark(given: np.dtype[Any], smaller: int, white: int, known: np.dtype[Any]) -> str:
    if given == np.bool_:
        held = "X holds False and True"
    elif given.kind == "f" and smaller == 1:
        held = "X holds fractions up to 1"
    else:
        held = f"X ({given}) holds nothing above {smaller}"
    return (
        f"{held}; this classifier was fitted on 0 to {white} ({known}). Multiply by {white // smaller} if white is "
        f"{smaller} here; if the pictures are that dark, give them as {'uint8' if white == 255 else 'uint16'}."
    )


def _sorted_classes(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The labels that there are, sorted, and the place among them of each that was given."""
    # First, as scikit-learn would warn of how it casts them.
    _require_labels(labels)
    try:
        check_classification_targets(labels)
        classes, indices = np.unique(labels, return_inverse=True)
    except (TypeError, ValueError) as error:
        raise ArrayError(_odd_label(labels.tolist()) or str(error)) from error
    return classes, indices


def _require_labels(labels: NDArray[Any]) -> None:
    if labels.dtype.kind not in "fO":
        return
    for place, label in enumerate(labels.tolist()):
        if label is None or (isinstance(label, float) and math.isnan(label)):
            raise ArrayError(f"y[{place}] is {label}, so that picture has no label. Leave it out, or give it a label.")


def _odd_label(labels: list[Any]) -> str:
    """Which label is of another kind than most; "" where none is."""
    usual = Counter(map(type, labels)).most_common(1)[0][0]
    for place, label in enumerate(labels):
        if type(label) is not usual:
            return (
                f"y[{place}] is {label!r:.80} ({type(label).__name__}) among labels of type {usual.__name__}; expected "
                "labels of one kind, which can be sorted."
            )
    return ""


def _require_choice(classes: NDArray[Any], indices: NDArray[np.int64]) -> None:
    """Refuses labels between which nothing can be learned, by the names that the caller gave."""
    if len(classes) == 1:
        raise ArrayError(
            f"There is one class in y, '{classes[0]}', with {len(indices):,} pictures; to recognize is to choose, so "
            "at least two are needed. Add pictures with another label."
        )
    if len(classes) == len(indices):
        raise ArrayError(
            f"Each of the {len(classes):,} classes in y has a single picture, so nothing would be left to validate "
            "with. Expected at least 2 of each, better 10 and more. Are these labels, or numbers of the pictures?"
        )


def _seed(given: Any) -> int:  # noqa: ANN401 - checked here
    if given is None:
        return 0
    if isinstance(given, np.random.RandomState):
        return given.randint(2**31)
    # Beyond these the settings would refuse a "seed", which nobody gave.
    if type(given) is not bool and isinstance(given, Integral) and 0 <= int(given) < 2**63:
        return int(given)
    raise SettingsError(
        f"random_state is {given!r}; expected a whole number from 0 to 2**63 - 1, a numpy RandomState or None."
    )


def _interrupt(stopped: StoppedError) -> BaseException:
    if stopped.exit_code == _CTRL_C:
        return KeyboardInterrupt()
    return SystemExit(stopped.exit_code)


def _as_pictures(array: NDArray[Any]) -> NDArray[Any]:
    try:
        pictures = np.asarray(array)
    except ValueError as error:
        raise ArrayError(
            "X holds pictures of several shapes; expected one array (n, h, w) or (n, h, w, c). Bring them to one size, "
            "or train on a folder, where sizes may differ:  whyconv train FOLDER"
        ) from error
    if not pictures.size:
        raise ArrayError(
            f"X is empty, of shape {pictures.shape}; expected at least one picture, as (n, h, w) or (n, h, w, c)."
        )
    has_shape = pictures.ndim == 3 or (pictures.ndim == 4 and pictures.shape[3] in (1, 3, 4))
    if not has_shape:
        raise ArrayError(
            f"X has shape {pictures.shape}; expected pictures (n, h, w), (n, h, w, 1), (n, h, w, 3) or (n, h, w, 4)."
        )
    if pictures.dtype.kind not in "buif":
        raise ArrayError(f"X holds {pictures.dtype}; expected numbers.")
    return pictures
