"""Why convolutions, for a run: everything that is measured, written into the run folder and read again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import Literal

import numpy as np

from whyconv import __version__
from whyconv.dense_twin_file import write_dense_twin
from whyconv.dissecting import Dissection, dissect
from whyconv.errors import DataError, ModelFileError, StoppedError, UsageError
from whyconv.explained import KeptParts, Pixels, minutes_of_longer, write_why
from whyconv.images.split import TRAIN
from whyconv.moving import Moved, measure_moved, network_of
from whyconv.nets.windowed import without_windows
from whyconv.results import Note, Notify, SquareProtocol
from whyconv.results.certificate import Certificate
from whyconv.results.hyperparameters import HyperparameterProtocol, Hyperparameters
from whyconv.results.keeping import Keep
from whyconv.results.why import Question, Why
from whyconv.settings import Plan
from whyconv.study import (
    QUICK,
    Extent,
    KeptTrials,
    SquarePictures,
    fitting_extent,
    make_protocol,
    make_study,
    measure_square,
    missing_parts,
    patch_pixels,
    predict_seconds,
    rescale,
    study_hyperparameters,
    tell_bill,
    tell_left_out,
    whole,
)
from whyconv.texts import as_typed
from whyconv.training.pictures import Division, channel_statistics, parts_of
from whyconv.training.pixel_rows import some
from whyconv.training.realistic import through_middle
from whyconv.training.stopping import stop_requests, stops_say_how_to_go_on
from whyconv.untrusted import mistakes_in, sound_json_in

TRIALS, PARTS, CERTIFICATE = "why-trials.jsonl", "why-parts.json", "certificate.json"
USUAL_MINUTES = 10.0
# Of the time for everything what each question beside the square may take; of longer times, as of these minutes.
_MOVING_FRACTION, _DISSECTING_FRACTION, _HYPERPARAMETERS_FRACTION = 0.1, 0.18, 0.1
_ENOUGH_MINUTES = 40.0
_QUICK_MOVING_SECONDS = 6.0
_LEAST_TRAIN, _LEAST_TEST = 10, 2

# What cannot be asked of a run that started from a frozen network, by the sentence that says why.
_NOT_OF_FROZEN = {
    **dict.fromkeys(("equivariance", "surgery", "detectors"), "why_frozen_closed"),
    "price": "why_frozen_learned_elsewhere",
    "fields": "why_frozen_prepares",
}

Side = Literal[8, 16, 32]
SIDES: tuple[Side, ...] = (8, 16, 32)


def settle_question(side: int | None, minutes: float | None, quick: bool, seed: int, found: int) -> Question:
    """Checks what was asked for, and decides what was left open.

    Args:
        side: Of the square's pictures, as asked for, or None.
        minutes: As asked for, or None.
        quick: Whether the short form was asked for.
        seed: As asked for.
        found: Side of the pictures that the run's network sees.

    Returns:
        The side asked for; else 8 where the run saw fewer than 16 pixels, and 16 where it saw more. Minutes asked for,
        else 10; None for the short form.

    Raises:
        UsageError: Names every mistake at once.
    """
    mistakes = []
    if side is not None and not (_is_number(side, is_whole=True) and side in SIDES):
        mistakes.append(f"side = {side!r}: expected 8, 16 or 32, a power of two that one of the controls needs")
    if minutes is not None and not (_is_number(minutes) and 0 < minutes <= 100_000):
        mistakes.append(f"minutes = {minutes!r}: expected a number above 0, at most 100,000")
    if minutes is not None and quick:
        mistakes.append("quick and minutes: expected one of the two")
    if not (_is_number(seed, is_whole=True) and 0 <= seed < 2**31):
        mistakes.append(f"seed = {seed!r}: expected a whole number, 0 to 2147483647")
    if mistakes:
        raise UsageError("\n  ".join([f"whyconv why: {len(mistakes)} mistake(s)", *mistakes]))
    settled = int(side or _usual_side(found))
    return Question(side=settled, minutes=None if quick else float(minutes or USUAL_MINUTES), seed=int(seed))


def _is_number(value: object, *, is_whole: bool = False) -> bool:
    """Whether this is a number, Python's or numpy's; True and False are none."""
    return isinstance(value, Integral if is_whole else Real) and not isinstance(value, bool)


def measure_why(run: Path, plan: Plan, division: Division, question: Question, notify: Notify) -> Why:
    """Measures why convolutions, for a run, and writes it into the run folder.

    Args:
        run: The run folder.
        plan: Of the run.
        division: Of its pictures.
        question: What is asked.
        notify: Told what is done and how far it has come.

    Raises:
        DataError: There is no test part, or too few pictures to learn from.
        StoppedError: Ctrl-C or SIGTERM; trainings and parts that had ended are kept, and not carried out again.
    """
    began = time.perf_counter()
    origin = {"run": str(run), "digest": division.digest, "version": __version__}
    if question.side != plan.network.side:
        notify(Note(key="square_side", values={"found": plan.network.side, "side": question.side}))
    pictures = _pictures_at(plan, division, question.side, notify)
    with stops_say_how_to_go_on(_asking(run, question, plan.network.side)), stop_requests() as stop_requested:

        def check_stop() -> None:
            if code := stop_requested():
                raise StoppedError("Stopped; trainings that had ended are kept.", code)

        kept = KeptTrials(run / TRIALS, f"{division.digest} {__version__}")
        protocol, left_out = _decide(plan, pictures, question, kept, began, notify)
        square = measure_square(pictures, protocol, notify, check_stop=check_stop, kept=kept, **origin)
        keep = KeptParts(run / PARTS, f"{division.digest} {__version__} {question.model_dump_json()}")
        moved = keep("moved", Moved, lambda: _moved(run, plan, division, question, notify, check_stop))
        why = Why(
            run=str(run),
            digest=division.digest,
            version=__version__,
            question=question,
            square=square,
            left_out=[*left_out, *(moved.left_out if question.minutes else [])],
            translation=moved.measured,
            not_measured=moved.not_measured,
            certificate=_certificate(run),
            not_available={} if plan.frozen is None else _NOT_OF_FROZEN,
            seconds=0.0,
        )
        pixels = Pixels()
        if question.minutes is not None:
            found, pixels = _taken_apart(run, plan, division, question, notify, check_stop, keep=keep)
            hyperparameters = _hyperparameters(pictures, question, found.failed, notify, check_stop, keep)
            why = why.model_copy(update={**vars(found), "hyperparameters": hyperparameters})
        if minutes_of_longer(run, question, division.digest) is None:
            write_dense_twin(run, plan, pictures, square, notify)
    why = why.model_copy(update={"seconds": round(time.perf_counter() - began, 1)})
    write_why(run, why, pixels, notify)
    keep.forget()
    return why


def _asking(run: Path, question: Question, found: int) -> str:
    """The command that asks a question of a run whose network sees pictures of ``found`` pixels."""
    words = ["whyconv why", as_typed(run)]
    if question.minutes is None:
        words.append("--quick")
    elif question.minutes != USUAL_MINUTES:
        words.append(f"--minutes {question.minutes:g}")
    if question.side != _usual_side(found):
        words.append(f"--side {question.side}")
    if question.seed:
        words.append(f"--seed {question.seed}")
    return " ".join(words)


def _usual_side(found: int) -> int:
    return 8 if found < 16 else 16


def _certificate(run: Path) -> Certificate | None:
    """What an invariant run was certified when it was trained; None for another one."""
    path = run / CERTIFICATE
    try:
        return Certificate.model_validate_json(sound_json_in(path)) if path.exists() else None
    except ValueError as error:
        raise ModelFileError(f"{path} is damaged: {mistakes_in(error)}. Train anew to have one.") from None


def _seconds(question: Question, fraction: float) -> float:
    """What a part of the minutes comes to, beside the square; 0 for the short form."""
    return 60 * min(question.minutes or 0.0, _ENOUGH_MINUTES) * fraction


def square_seconds(minutes: float) -> float:
    """What the square may take of the minutes for everything: three fifths, and all that the others cannot use."""
    others = _MOVING_FRACTION + _DISSECTING_FRACTION + _HYPERPARAMETERS_FRACTION
    return 60 * (minutes - min(minutes, _ENOUGH_MINUTES) * others)


def _moved(
    run: Path,
    plan: Plan,
    division: Division,
    question: Question,
    notify: Notify,
    check_stop: Callable[[], None],
) -> Moved:
    """How the network takes moved pictures, in its part of the minutes."""
    seconds = _seconds(question, _MOVING_FRACTION) or _QUICK_MOVING_SECONDS
    return measure_moved(run, plan, division, notify, seconds=seconds, seed=question.seed, check_stop=check_stop)


def _taken_apart(  # noqa: PLR0913
    run: Path,
    plan: Plan,
    division: Division,
    question: Question,
    notify: Notify,
    check_stop: Callable[[], None],
    *,
    keep: Keep,
) -> tuple[Dissection, Pixels]:
    """What the layers of the run's own network say, and the pictures that the report shows; nothing of a frozen one.

    Where answers are the mean over windows, what looks through them is asked about the middle one.
    """
    if plan.frozen is not None:
        return Dissection(), Pixels()
    own = _pictures_at(plan, division, plan.network.side, notify)
    train, validation, test = (through_middle(one, plan.network) for one in (own.train, own.validation, own.test))
    mean, std = plan.network.mean, plan.network.std
    own = replace(own, train=train, validation=validation, test=test, mean=mean, std=std)
    seconds = _seconds(question, _DISSECTING_FRACTION)
    looking = without_windows(network_of(run, plan))
    found = dissect(looking, own, notify, seconds=seconds, seed=question.seed, check_stop=check_stop, keep=keep)
    return found, _pixels(found, own)


def _hyperparameters(
    pictures: SquarePictures,
    question: Question,
    failed: dict[str, str],
    notify: Notify,
    check_stop: Callable[[], None],
    keep: Keep,
) -> Hyperparameters | None:
    """What the layer's own hyperparameters do; None where it cannot be measured, and ``failed`` gets the reason."""

    def study() -> Hyperparameters:
        protocol, seconds = HyperparameterProtocol(seed=question.seed), _seconds(question, _HYPERPARAMETERS_FRACTION)
        return study_hyperparameters(pictures, protocol, notify, seconds=seconds, check_stop=check_stop)

    try:
        return keep("hyperparameters", Hyperparameters, study)
    except DataError as error:
        failed["hyperparameters"] = str(error)
        return None


def _pixels(found: Dissection, pictures: SquarePictures) -> Pixels:
    """What answers most, cut out, and the first test picture."""
    layers, test = found.detectors.layers if found.detectors else [], pictures.test
    cut = {(layer.layer, one.channel): patch_pixels(test, one) for layer in layers for one in layer.detectors}
    return Pixels(cut, np.asarray(test.pixels[np.array([0])][0]))


def _decide(
    plan: Plan, pictures: SquarePictures, question: Question, kept: KeptTrials, began: float, notify: Notify
) -> tuple[SquareProtocol, list[str]]:
    """The protocol that fits into the minutes, and what it leaves out; tells the bill."""
    draft = make_protocol(
        whole() if question.minutes else QUICK,
        side=_as_side(question.side),
        channels=plan.network.in_channels,
        num_train=len(pictures.train),
        num_classes=pictures.num_classes,
        seed=question.seed,
    )
    predict = predict_seconds(make_study(pictures, draft), kept)
    if question.minutes is None:
        tell_bill(draft, kept, predict(draft), notify)
        return draft, []

    def protocol_of(extent: Extent) -> SquareProtocol:
        return rescale(draft, extent, len(pictures.train), pictures.num_classes)

    left = square_seconds(question.minutes) - (time.perf_counter() - began)
    extent, names = fitting_extent(lambda one: predict(protocol_of(one)), left)
    protocol = protocol_of(extent)
    left_out = missing_parts(names, protocol, draft)
    if predict(protocol) > left:
        notify(Note(key="square_no_time", values={"minutes": question.minutes}, level="warning"))
    tell_bill(protocol, kept, predict(protocol), notify)
    tell_left_out(left_out, notify)
    return protocol, left_out


def _as_side(side: int) -> Side:
    return next(one for one in SIDES if one == side)


def _pictures_at(plan: Plan, division: Division, side: int, notify: Notify) -> SquarePictures:
    _, (train, validation, test) = parts_of(plan, division, notify, side=side)
    # Copies would stand among the pictures that are learned from and those that choose settings.
    seen, alone = some(train.data, division.without_copies(TRAIN)), some(test.data, test.independent)
    _require_enough(len(seen), len(alone))
    mean, std = channel_statistics(train.data.pixels)
    return SquarePictures(seen, validation.data, alone, len(plan.network.classes), mean, std)


def _require_enough(num_train: int, num_test: int) -> None:
    if num_test < _LEAST_TEST:
        raise DataError(
            f"The run has {num_test} test picture(s) that are no copies; accuracies are over at least {_LEAST_TEST}. "
            "Train anew with more pictures, or without --test-fraction 0."
        )
    if num_train < _LEAST_TRAIN:
        raise DataError(
            f"The run has {num_train} training picture(s) that are no copies; draws are taken from at least "
            f"{_LEAST_TRAIN}. Add pictures, and train anew."
        )
