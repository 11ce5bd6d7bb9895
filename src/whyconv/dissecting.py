"""A run's own network taken apart: what breaks translation, what sharing costs, where its detectors are useful."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from whyconv.errors import StoppedError, StorageError, WhyconvError
from whyconv.measures.equivariance import equivariance
from whyconv.measures.surgery import surgery
from whyconv.results import Notify, Progress
from whyconv.results.detectors import DetectorProtocol, Detectors
from whyconv.results.equivariance import Equivariance
from whyconv.results.keeping import Keep, Part, anew
from whyconv.results.price import PriceOfSharing, PriceProtocol
from whyconv.results.surgery import Surgery
from whyconv.results.unit_fields import UnitFields
from whyconv.study import SquarePictures, price_of_sharing, scored_rows, study_detectors, unit_fields

# Of the time there is.
_SURGERY, _DETECTORS = 0.25, 0.2
# Pictures whose maps of all layers are kept at a time, and the fewest that anything is said about.
_MOST_HEARD, _MOST_OPERATED, _LEAST = 64, 300, 20
# Looks that surgery takes at one picture: repairs x shifts, each about so many times as long as a plain look.
_LOOKS, _DENSE = 6 * 9, 4
# Looks that detectors take: layers x detectors x (quadrants and everywhere).
_NUM_DETECTORS = 8
_PRICE_STEPS = 60
_SILENCES = 2 * _NUM_DETECTORS * 5


@dataclass
class Dissection:
    """What came out; what is None was not measured, and ``failed`` says why."""

    fields: UnitFields | None = None
    equivariance: Equivariance | None = None
    surgery: Surgery | None = None
    price: PriceOfSharing | None = None
    detectors: Detectors | None = None
    failed: dict[str, str] = field(default_factory=dict)


def dissect(  # noqa: PLR0913
    network: nn.Module,
    pictures: SquarePictures,
    notify: Notify,
    *,
    seconds: float,
    seed: int,
    check_stop: Callable[[], None],
    keep: Keep = anew,
) -> Dissection:
    """Asks a network's layers, one question after the other.

    Args:
        network: In evaluation mode; not changed.
        pictures: At its side, with the mean and deviation that it was trained with.
        notify: Told how far it has come.
        seconds: For everything.
        seed: Of everything random.
        check_stop: Called before every step; may raise to end it all.
        keep: Of answers from before.
    """
    found = Dissection()
    each = _seconds_each(network, pictures)

    def some(most: float) -> tuple[Tensor, list[int]]:
        chosen = scored_rows(pictures.test, max(_LEAST, int(most)))
        return pictures.numbers(pictures.test, chosen), pictures.test.labels[chosen].tolist()

    heard, _ = some(_MOST_HEARD)
    operated, labels = some(min(_MOST_OPERATED, seconds * _SURGERY / (each * _LOOKS * _DENSE)))
    protocol = DetectorProtocol(
        most_scored=max(_LEAST, min(500, int(seconds * _DETECTORS / (each * _SILENCES)))),
        most_detectors=_NUM_DETECTORS,
        seed=seed,
    )
    price = PriceProtocol(steps=_PRICE_STEPS, seed=seed)
    began = time.perf_counter()

    def left() -> float:
        return seconds - (time.perf_counter() - began)

    def ask(stage: str, kind: type[Part], question: Callable[[], Part]) -> Part | None:
        check_stop()
        return _answer(stage, lambda: keep(stage, kind, question), found.failed, notify)

    def price_of_each() -> PriceOfSharing:
        return price_of_sharing(network, pictures, price, notify, seconds=left(), check_stop=check_stop)

    shape = heard.shape[1], heard.shape[2], heard.shape[3]
    found.fields = ask("fields", UnitFields, lambda: unit_fields(network, shape))
    found.equivariance = ask("equivariance", Equivariance, lambda: equivariance(network, heard, "circular", seed=seed))
    found.surgery = ask(
        "surgery", Surgery, lambda: surgery(network, operated, labels, ["circular"], reach=1, seed=seed)
    )
    found.detectors = ask(
        "detectors", Detectors, lambda: study_detectors(network, pictures, protocol, notify, check_stop=check_stop)
    )
    found.price = ask("price", PriceOfSharing, price_of_each)
    return found


def _answer(stage: str, question: Callable[[], Part], failed: dict[str, str], notify: Notify) -> Part | None:
    """The answer, or None where a network of this kind has none; the reason is kept."""
    notify(Progress(stage=stage, done=0, total=1))
    try:
        answer = question()
    except (StoppedError, StorageError):
        raise
    except WhyconvError as error:
        failed[stage] = str(error)
        return None
    finally:
        notify(Progress(stage=stage, done=1, total=1))
    return answer


def _seconds_each(network: nn.Module, pictures: SquarePictures) -> float:
    """Of one look at one picture."""
    sample = pictures.numbers(pictures.test, np.arange(min(8, len(pictures.test))))
    with torch.inference_mode():
        network(sample)
        began = time.perf_counter()
        network(sample)
    return (time.perf_counter() - began) / len(sample)
