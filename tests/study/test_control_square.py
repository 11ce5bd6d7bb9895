"""The whole square on bars: every number is there, comes from its own training, and can be stopped at any step."""

from __future__ import annotations

import pytest
import torch

from small_square import SMALL, small_pictures
from whyconv.errors import ParityError, StoppedError
from whyconv.results import CONTROLS, CORNERS, PLACES, Progress, Square
from whyconv.study import LADDER, make_protocol, make_study, measure_square, predict_seconds
from whyconv.study.protocol import Training, all_trainings, needed_trainings, same_training


@pytest.fixture(scope="module")
def square() -> Square:
    return measure_square(small_pictures(), SMALL, run="runs/bars-1", digest="d", version="0")


def test_every_corner_is_scored_everywhere(square: Square) -> None:
    plain = {(one.corner, one.place, one.n_train) for one in square.scores if one.control is None}
    assert plain == {(corner, place, n) for corner in CORNERS for place in PLACES for n in SMALL.sizes}
    controlled = {(one.corner, one.place, one.control) for one in square.scores if one.control}
    assert controlled == {(corner, "moved", control) for corner in CORNERS for control in CONTROLS}
    assert all(0 <= value <= 1 for one in square.scores for value in one.by_draw)
    assert all(one.accuracy.n == len(one.by_draw) == 3 for one in square.scores)
    assert (square.num_validation, square.num_test, square.largest_class_fraction) == (20, 40, 0.5)
    assert square.weights == {"dense": 64 * 4 * 65, "local": 64 * 4 * 10, "shared_global": 4 * 65, "convolution": 40}


def test_what_a_control_takes_is_exactly_nothing_where_unmoved(square: Square) -> None:
    for loss in square.losses:
        ends = (loss.points.low, loss.points.value, loss.points.high)
        assert not loss.is_unmoved or ends == (0, 0, 0)
        plain, changed = (
            square.score(loss.corner, loss.place, control=control).accuracy.value for control in (None, loss.control)
        )
        assert loss.points.value == pytest.approx(changed - plain)


def test_bars_are_learned(square: Square) -> None:
    assert square.score("dense", "still").accuracy.value > 0.9


def test_the_record_survives_json_and_reads_as_a_table(square: Square) -> None:
    assert Square.model_validate_json(square.model_dump_json()) == square
    lines = str(square).splitlines()
    assert len(lines) == 2 + len(PLACES) * len(SMALL.sizes)
    assert max(map(len, lines)) <= 100
    with pytest.raises(KeyError):
        square.score("dense", "still", 11)


def test_only_what_is_like_no_other_is_trained() -> None:
    everything, needed = list(all_trainings(SMALL)), needed_trainings(SMALL)
    assert len(set(everything)) == len(everything) == 16 + 12
    assert len(needed) == 12 + 7
    for training in everything:
        word, like = same_training(training, SMALL)
        assert (word == "") == (like == training)
    with_places = SMALL.model_copy(update={"readout": "places"})
    assert Training("convolution", "moved", None, 10) in needed_trainings(with_places)


def test_it_says_how_far_it_is_and_stops_when_asked() -> None:
    told: list[Progress] = []

    def check_stop() -> None:
        if sum(one.stage == "square" for one in told) >= 5:
            raise StoppedError("Stopped.")

    with pytest.raises(StoppedError):
        measure_square(small_pictures(), SMALL, told.append, check_stop=check_stop)
    assert [one.done for one in told if one.stage == "square_exact"] == list(range(1, 17))
    assert [one.done for one in told if one.stage == "square"] == [1, 2, 3, 4, 5]
    assert told[-1].total == len(needed_trainings(SMALL)) * SMALL.steps


def test_a_corner_that_notices_what_it_cannot_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whyconv.study.exactness.match_weights", lambda network, control: network.state_dict())
    with pytest.raises(ParityError, match="dense should not notice pictures that are permuted"):
        measure_square(small_pictures(), SMALL)


def test_the_same_seed_gives_the_same_numbers_whatever_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    short = SMALL.model_copy(update={"steps": 3, "sizes": [10], "controlled": []})
    squares = []
    for cores in (1, 3):
        monkeypatch.setattr("whyconv.study.side_by_side.num_cores", lambda cores=cores: cores)
        squares.append(measure_square(small_pictures(), short))
    assert squares[0].scores == squares[1].scores


def test_less_is_predicted_to_take_less() -> None:
    torch.manual_seed(0)
    predict = predict_seconds(make_study(small_pictures(), SMALL))
    ladder = [make_protocol(rung, side=8, channels=1, num_train=1000, num_classes=10, seed=0) for rung in LADDER]
    predicted = [predict(one) for one in ladder]
    assert predicted == sorted(predicted, reverse=True)
    assert predicted[-1] > 0
