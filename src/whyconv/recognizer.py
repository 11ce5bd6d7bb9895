"""An ONNX file and pictures in, ranked labels out; numpy and onnxruntime, no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from os import PathLike
from pathlib import Path

import numpy as np

from whyconv.answer_sets import least_probability, require_level
from whyconv.errors import ModelFileError, PictureError, UsageError
from whyconv.images.array_levels import White, hold_ones, to_levels, white_of, why_unclear
from whyconv.images.prepare import PicturePolicy, prepare
from whyconv.images.sources import list_images
from whyconv.images.sources.listing import read_file
from whyconv.images.threads import map_in_order
from whyconv.machine import num_cores
from whyconv.model_file import NOVELTY, find_model, read_metadata, read_model
from whyconv.onnx_file.running import open_session, run_session
from whyconv.results import Prediction, RankedLabel

Content = bytes | np.ndarray
Picture = str | Path | bytes | bytearray | memoryview | np.ndarray
Loader = Callable[[], Content]

BATCH_SIZE = 32
TOP = 5
_A_PICTURE = "a path, an array, or file content (of an open file: file.read())"


@dataclass(frozen=True)
class Answers:
    """What the network says about a batch.

    Attributes:
        probabilities: float32 (n, classes), in [0, 1], rows sum to 1.
        features: float32 (n, d), what the last layer decides from; None where the file does not give it.
        novelty: float32 (n,), how unlike the known pictures each is; None where the file does not give it.
    """

    probabilities: np.ndarray
    features: np.ndarray | None
    novelty: np.ndarray | None = None


def open_recognizer(path: str | PathLike[str], *, num_threads: int | None = None) -> Recognizer:
    """Opens a run folder or an exported ONNX file for prediction.

    Args:
        path: ``runs/<name>/`` or ``FILE.onnx``, or what ``train`` returned.
        num_threads: Threads for decoding and for the network; by default the cores this process may use.

    Raises:
        ModelFileError: The file is missing, not ONNX, not written by whyconv, newer than this whyconv,
            damaged, or points to data outside of itself.
        UsageError: ``num_threads`` is no whole number from 1.
    """
    return Recognizer(find_model(path), num_threads=num_threads)


class Recognizer:
    """Names what pictures show. Can be pickled and copied: it carries the file's content with it.

    Args:
        model: The ONNX file, or its content.
        num_threads: Threads for decoding and for the network; by default the cores this process may use.

    Attributes:
        where: The ONNX file's path, for people; "model in memory" where there is none.
        metadata: What the file says about itself.
    """

    def __init__(self, model: Path | bytes, *, num_threads: int | None = None) -> None:
        if isinstance(model, Path):
            self.where = str(model)
            self._content, self.metadata = read_model(model)
        else:
            self.where = "model in memory"
            self._content, self.metadata = model, read_metadata(model, self.where)
        self._open(num_cores() if num_threads is None else num_threads)
        self._check_graph()

    def _open(self, num_threads: int) -> None:
        if not _is_count(num_threads):
            raise UsageError(f"num_threads is {num_threads!r}. Expected a whole number from 1.")
        self._num_threads = int(num_threads)
        self._session = open_session(self._content, self._num_threads, self.where)
        self._outputs = [output.name for output in self._session.get_outputs()]

    def with_threads(self, num_threads: int) -> Recognizer:
        """Returns one with a session of its own, which shares the file's content with this one.

        Args:
            num_threads: As for the class, of the new one.
        """
        other = Recognizer.__new__(Recognizer)
        other.where, other._content, other.metadata = self.where, self._content, self.metadata
        other._open(num_threads)
        return other

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the probabilities."""
        return self.metadata.classes

    @property
    def policy(self) -> PicturePolicy:
        """How a picture becomes the pixels that the network takes."""
        return self.metadata.policy

    @property
    def content(self) -> bytes:
        """The ONNX file."""
        return self._content

    @property
    def num_threads(self) -> int:
        """Threads for decoding and for the network."""
        return self._num_threads

    def __reduce__(self) -> tuple[Callable[[bytes], Recognizer], tuple[bytes]]:
        return partial(Recognizer, num_threads=self._num_threads), (self._content,)

    def __repr__(self) -> str:
        names = ", ".join(self.classes[:6]) + (", ..." if len(self.classes) > 6 else "")
        side = self.policy.side
        return f"Recognizer({self.where!r}: {len(self.classes)} classes ({names}), {side} x {side} pixels)"

    @property
    def tells_unsure(self) -> bool:
        """Whether the file can tell that a picture is unlike those it knows."""
        return self.metadata.unsure is not None and NOVELTY in self._outputs

    def predict(
        self, pictures: Picture | Iterable[Picture], *, top: int | None = None, sets: float | None = None
    ) -> Prediction | list[Prediction]:
        """Names what one picture or many show.

        Args:
            pictures: One picture (path, file content, or array (h, w), (h, w, 1), (h, w, 3) or (h, w, 4)), or
                many: a folder, an array (n, h, w) or (n, h, w, c) of one scale, or any iterable of single pictures.
            top: How many labels to give, most probable first; all of them by default.
            sets: Give the set of labels that holds the truth in at least this fraction of pictures like those of the
                validation part, such as 0.95, as ``label_set``.

        Returns:
            One prediction for one picture, else a list in the order given, where a picture that cannot be
            read has ``error`` set and no labels. ``is_unsure`` is None where the file cannot tell.

        Raises:
            PictureError: The one picture asked for cannot be read.
            UsageError: ``pictures`` is nothing that can be read as pictures, ``top`` is no whole number from 1, or sets
                at that level cannot be made.
        """
        items, is_single = _as_items(pictures, self.metadata.array_white)
        predictions = list(self.stream(items, top=top, sets=sets))
        if not is_single:
            return predictions
        if predictions[0].error is not None:
            raise PictureError(f"{predictions[0].name}: {predictions[0].error}")
        return predictions[0]

    def predict_proba(self, pictures: Picture | Iterable[Picture]) -> np.ndarray:
        """Returns the probability of every class for every picture.

        Args:
            pictures: As for ``predict``; one picture counts as a batch of one.

        Returns:
            float32 (n, classes), in [0, 1], rows sum to 1; columns in the order of ``classes``.

        Raises:
            PictureError: A picture cannot be read; the first one is named.
            UsageError: ``pictures`` is nothing that can be read as pictures.
        """
        return self.ask(pictures).probabilities

    def ask(self, pictures: Picture | Iterable[Picture]) -> Answers:
        """Returns all that the network says about every picture.

        Args:
            pictures: As for ``predict``; one picture counts as a batch of one.

        Raises:
            PictureError: A picture cannot be read; the first one is named.
            UsageError: ``pictures`` is nothing that can be read as pictures.
        """
        answered = []
        for batch, answers in self._answer(_as_items(pictures, self.metadata.array_white)[0], BATCH_SIZE):
            for name, content in batch:
                if isinstance(content, str):
                    raise PictureError(f"{name}: {content}")
            answered.append(answers)
        return joined(answered) if answered else self._nothing()

    def least_probability(self, level: float) -> float:
        """The probability from which on a label belongs to the answer set; the first answer always does.

        Raises:
            UsageError: Sets at that level cannot be made by this file.
        """
        sets = self.metadata.sets
        require_level(level, len(sets.truths) if sets is not None else None)
        assert sets is not None
        return least_probability(sets.truths, level)

    def stream(
        self,
        items: Iterable[tuple[str, Loader]],
        *,
        batch_size: int = BATCH_SIZE,
        top: int | None = TOP,
        sets: float | None = None,
    ) -> Iterator[Prediction]:
        """Yields one prediction per item, in order, in memory that does not grow with their number.

        Threads read and prepare the next pictures while the network answers the last ones.

        Args:
            items: Pairs of a name, and a function that gives the picture's content when it is called.
            batch_size: Pictures the network sees at once; the answers do not depend on it.
            top: How many labels to give, most probable first; None for all.
            sets: As for ``predict``.

        Raises:
            UsageError: ``top`` or ``batch_size`` is no whole number from 1, or sets at that level cannot be made.
        """
        least = None if sets is None else self.least_probability(sets)
        if not (_is_count(batch_size) and (top is None or _is_count(top))):
            raise UsageError(f"Batch size is {batch_size!r} and top is {top!r}. Expected whole numbers from 1.")
        for batch, answers in self._answer(items, int(batch_size)):
            order = np.argsort(-answers.probabilities, axis=1, kind="stable")
            row = 0
            for name, content in batch:
                if isinstance(content, str):
                    yield Prediction(name=name, labels=[], error=content)
                    continue
                yield self._prediction(name, answers, row, order[row], top, least)
                row += 1

    def run(self, pixels: np.ndarray) -> Answers:
        """Asks the network.

        Args:
            pixels: uint8 (n, side, side, channels), prepared by ``policy``. A file that takes any size takes pictures
                (n, h, w, channels) too; its resize leaves prepared ones as they are.

        Raises:
            ModelFileError: The file's network gives something other than probabilities.
        """
        if len(pixels) == 0:
            return self._nothing()
        found = dict(zip(self._outputs, run_session(self._session, None, {"pixels": pixels}, self.where), strict=True))
        probabilities = found["probabilities"]
        if probabilities.shape != (len(pixels), len(self.classes)) or not np.isfinite(probabilities).all():
            raise ModelFileError(f"{self.where} gives no probability for each class: shape {probabilities.shape}.")
        return Answers(probabilities, found.get("features"), found.get(NOVELTY))

    def _nothing(self) -> Answers:
        novelty = np.empty(0, np.float32) if self.tells_unsure else None
        return Answers(np.empty((0, len(self.classes)), np.float32), None, novelty)

    def _prediction(
        self, name: str, answers: Answers, row: int, order: np.ndarray, top: int | None, least: float | None
    ) -> Prediction:
        """The answer in one row of a batch; ``least`` is the probability from which on a label is in the set."""
        probabilities, unsure = answers.probabilities[row], self.metadata.unsure
        novelty = None if answers.novelty is None or unsure is None else float(answers.novelty[row])
        in_set = [self.classes[k] for place, k in enumerate(order) if place == 0 or probabilities[k] >= (least or 0)]
        return Prediction(
            name=name,
            labels=self._rank(probabilities, order[:top]),
            # What is not a number is surely not known.
            is_unsure=None if novelty is None or unsure is None else not novelty <= unsure.threshold,
            novelty=novelty,
            label_set=None if least is None else in_set,
        )

    def _rank(self, probabilities: np.ndarray, order: np.ndarray) -> list[RankedLabel]:
        return [RankedLabel(label=self.classes[k], probability=float(probabilities[k])) for k in order]

    def _answer(
        self, items: Iterable[tuple[str, Loader]], batch_size: int
    ) -> Iterator[tuple[list[tuple[str, np.ndarray | str]], Answers]]:
        """Yields batches of (name, pixels or the reason there are none), with the answers for those readable."""
        # Two batches ahead: one for the network, one that the threads fill meanwhile.
        look_ahead = -(-2 * batch_size // self._num_threads)
        # A picture alone is read where it is asked for: starting threads would take longer than reading it.
        num_threads = 1 if isinstance(items, Sequence) and len(items) == 1 else self._num_threads
        prepared = map_in_order(self._prepare, items, num_threads, look_ahead=look_ahead)
        while batch := list(islice(prepared, batch_size)):
            readable = [pixels for _, pixels in batch if not isinstance(pixels, str)]
            shape = (0, self.policy.side, self.policy.side, self.policy.channels)
            yield batch, self.run(np.stack(readable) if readable else np.empty(shape, np.uint8))

    def _prepare(self, item: tuple[str, Loader]) -> tuple[str, np.ndarray | str]:
        """Returns a picture's name, and its pixels or the reason there are none."""
        name, load = item
        try:
            return name, prepare(load(), self.policy, white=self.metadata.array_white)
        except PictureError as error:
            return name, str(error)

    def _check_graph(self) -> None:
        """Refuses a graph whose doors are not those the metadata speaks of."""
        side, channels = self.policy.side, self.policy.channels
        inputs = self._session.get_inputs()
        tail = ["h", "w", channels] if self.metadata.takes == "any_size" else [side, side, channels]
        is_ours = [(i.name, i.type, i.shape[1:]) for i in inputs] == [("pixels", "tensor(uint8)", tail)]
        if not is_ours or "probabilities" not in self._outputs:
            found = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
            raise ModelFileError(
                f"{self.where} takes {found} and gives {', '.join(self._outputs)}. "
                f"Expected pixels tensor(uint8) [n, {', '.join(map(str, tail))}] and probabilities. Export it again."
            )


def joined(parts: Sequence[Answers]) -> Answers:
    """Returns the answers of several batches, at least one, as one."""
    features = [each.features for each in parts if each.features is not None]
    novelty = [each.novelty for each in parts if each.novelty is not None]
    return Answers(
        np.concatenate([each.probabilities for each in parts]),
        np.concatenate(features) if len(features) == len(parts) else None,
        np.concatenate(novelty) if len(novelty) == len(parts) else None,
    )


def _is_count(value: object) -> bool:
    """Whether this is a whole number from 1, Python's or numpy's."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 1


def _as_items(pictures: Picture | Iterable[Picture], white: White | None) -> tuple[Iterable[tuple[str, Loader]], bool]:
    """Returns (name, loader) pairs, and whether one single picture was meant."""
    if isinstance(pictures, str | Path) and Path(pictures).is_dir():
        return ((str(path), partial(read_file, path)) for path in list_images([pictures])), False
    if isinstance(pictures, str | Path | bytes | bytearray | memoryview):
        return [_as_item(0, pictures)], True
    if isinstance(pictures, np.ndarray):
        return _items_of_array(pictures, white)
    if isinstance(pictures, Mapping):
        raise UsageError(f"{type(pictures).__name__} is a mapping. Expected one picture or many, such as its values().")
    # Python would give the lines of an open file as many pictures.
    if not hasattr(pictures, "read") and isinstance(pictures, Iterable):
        return (_as_item(index, picture) for index, picture in enumerate(pictures)), False
    raise UsageError(f"{type(pictures).__name__} is no picture. Expected {_A_PICTURE}, or many of them.")


def _items_of_array(pictures: np.ndarray, white: White | None) -> tuple[Iterable[tuple[str, Loader]], bool]:
    is_single = pictures.ndim == 2 or (pictures.ndim == 3 and pictures.shape[-1] in (1, 3, 4))
    if pictures.ndim == 3 and pictures.shape[-1] == 2:
        height, width, _ = pictures.shape
        raise UsageError(
            f"An array of shape {pictures.shape} is either one gray picture of {height} x {width} with alpha, or "
            f"{height} of {width} x 2. Give the gray values alone, or one array a picture."
        )
    if not is_single and pictures.ndim not in (3, 4):
        raise UsageError(
            f"An array of shape {pictures.shape} is no picture. Expected (h, w), (h, w, c) or (n, h, w, c)."
        )
    if is_single:
        return [_as_item(0, pictures)], True
    unclear = why_unclear(pictures, white, is_alone=len(pictures) == 1)
    told = _white_of_all(pictures) if white is None else None
    loaders = (partial(_of_many, picture, white, told, unclear) for picture in pictures)
    return ((f"[{index}]", load) for index, load in enumerate(loaders)), False


def _white_of_all(pictures: np.ndarray) -> White | None:
    """What is white by the range of a whole array; None where its type says so, or the range does not."""
    kind, size = pictures.dtype.kind, pictures.dtype.itemsize
    if kind not in "iuf" or (kind == "u" and size <= 2) or not pictures.size:
        return None
    return white_of(pictures.dtype, pictures.min(), pictures.max())


def _of_many(picture: np.ndarray, white: White | None, told: White | None, unclear: str) -> np.ndarray:
    """One picture of an array, whose numbers have the scale of all of them: by training, else as they tell."""
    if unclear:
        raise PictureError(unclear)
    if told:
        return to_levels(picture, told)
    # From here on it stands alone, where a dark one would be taken for fractions, or for a mask.
    is_scaled = picture.dtype.kind == "f" and white not in (None, 1)
    return to_levels(picture, white or 255) if is_scaled or hold_ones(picture, white) else picture


def _as_item(index: int, picture: Picture) -> tuple[str, Loader]:
    if isinstance(picture, str | Path):
        return str(picture), partial(read_file, Path(picture))
    if isinstance(picture, bytes | bytearray | memoryview):
        return f"[{index}]", partial(bytes, picture)
    if isinstance(picture, np.ndarray):
        return f"[{index}]", lambda: picture
    raise UsageError(f"Picture {index} is of type {type(picture).__name__}. Expected {_A_PICTURE}.")
