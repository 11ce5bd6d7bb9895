"""When pictures may be mirrored: answers made up to be just on either side of each rule, and a true trial."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tiny_training import bars, tiny_plan
from whyconv.results import Event, Progress
from whyconv.training.pixel_rows import LabelledPixels
from whyconv.training.probe import MirrorTrial, try_mirror
from whyconv.training.start import start_network


def trial(*classes: tuple[int, int, int]) -> MirrorTrial:
    """Each class as (pictures, right as they are, right when mirrored); what is wrong is taken for the next class."""
    truth = np.repeat(np.arange(len(classes)), [n for n, _, _ in classes])
    wrong = (truth + 1) % len(classes)
    places = np.concatenate([np.arange(n) for n, _, _ in classes])
    answers, mirrored = (
        np.where(places < np.repeat([each[which] for each in classes], [n for n, _, _ in classes]), truth, wrong)
        for which in (1, 2)
    )
    return MirrorTrial(truth, answers, mirrored, 0.1, 0.01)


@pytest.mark.parametrize(
    ("classes", "verdict"),
    [
        ([(2, 2, 0), (2, 2, 0)], "unlearned"),  # 4 of 4 right: chance does that once in 16
        ([(2, 2, 2), (2, 2, 2)], "unlearned"),
        ([(90, 90, 90), (10, 0, 0)], "unlearned"),  # the largest class, guessed
        ([(50, 26, 26), (50, 26, 26)], "unlearned"),  # more than guessing gets, by chance
        ([(20, 17, 17), (11, 9, 8)], "flips"),  # few pictures: 26 right and 25
        ([(20, 17, 16), (11, 9, 8)], "flips"),
        ([(20, 17, 15), (11, 9, 8)], "lost"),  # a loss of three is too much for 31
        ([(7, 7, 7), (7, 7, 6)], "lost"),  # 14 pictures may lose none, 15 one
        ([(8, 8, 8), (7, 7, 6)], "flips"),
        ([(19, 19, 7)] * 9 + [(18, 17, 1)], "lost"),  # the digits: 188 of 189, mirrored 64
        ([(500, 400, 392), (500, 400, 388)], "flips"),  # 2 % of 1,000
        ([(500, 400, 392), (500, 400, 387)], "lost"),
        ([(100, 80, 80)] * 8 + [(5, 5, 0), (5, 0, 5)], "class_lost"),  # arrows among many other signs
        ([(100, 80, 80)] * 8 + [(5, 5, 3), (5, 3, 5)], "flips"),
        ([(100, 80, 80)] * 8 + [(4, 4, 0)], "flips"),  # too few to tell
    ],
)
def test_the_verdict_on(classes: list[tuple[int, int, int]], verdict: str) -> None:
    found = trial(*classes)
    assert found.num_right == sum(right for _, right, _ in classes)
    assert found.num_right_mirrored == sum(mirrored for _, _, mirrored in classes)
    assert found.verdict == verdict


def test_the_class_that_would_suffer_is_named() -> None:
    found = trial(*[(100, 80, 80)] * 3, (6, 6, 1), (9, 9, 2), (20, 0, 12))
    assert found.verdict == "class_lost"
    assert found.lost_class == 4
    assert found.right_of(4) == (9, 2)


def test_no_validation_pictures_are_no_evidence() -> None:
    nothing = np.zeros(0, np.int64)
    assert MirrorTrial(nothing, nothing, nothing, 0.1, 0.01).verdict == "unlearned"


def leaning(n: int, seed: int) -> LabelledPixels:
    """Class 0 has its light on the left, class 1 on the right: mirroring changes the label."""
    pixels = np.random.default_rng(seed).integers(0, 60, (n, 8, 8, 1), dtype=np.uint8)
    labels = np.arange(n, dtype=np.int32) % 2
    pixels[labels == 0, :, :3] += 150
    pixels[labels == 1, :, 5:] += 150
    return LabelledPixels(pixels, labels)


@pytest.mark.parametrize(("pictures", "verdict"), [(bars, "flips"), (leaning, "lost")])
def test_a_trial_finds_out_what_mirroring_does(pictures, verdict: str) -> None:
    plan = tiny_plan(epochs=15)
    plan = plan.model_copy(update={"augment": plan.augment.model_copy(update={"flip": False})})
    events: list[Event] = []
    found = try_mirror(
        start_network(plan), pictures(64, 0), pictures(40, 1), plan, deadline=math.inf, notify=events.append
    )
    assert found.verdict == verdict
    assert found.seconds_per_step > 0 < found.seconds_per_picture
    steps = [(event.done, event.total) for event in events if isinstance(event, Progress) and event.stage == "trial"]
    assert steps == [(done, 60) for done in range(1, 61)] + [(60, 60)]


def test_without_validation_what_a_picture_takes_follows_from_a_step() -> None:
    plan = tiny_plan(epochs=2)
    found = try_mirror(start_network(plan), bars(64), bars(0), plan, deadline=math.inf, notify=lambda event: None)
    assert found.seconds_per_picture == pytest.approx(found.seconds_per_step / plan.training.batch / 3)


def test_a_trial_ends_inside_an_epoch_when_its_time_is_over() -> None:
    plan = tiny_plan(epochs=2, batch=2)
    events: list[Event] = []
    try_mirror(start_network(plan), bars(200), bars(20), plan, deadline=0.0, notify=events.append)
    assert [event.done for event in events if isinstance(event, Progress)] == [1, 2, 3, 4, 5, 200]
