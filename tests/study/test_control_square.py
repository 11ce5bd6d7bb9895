"""The whole square on bars: every number is there, comes from its own training, and can be stopped at any step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from small_square import SMALL, small_pictures
from whyconv.errors import ParityError, StoppedError
from whyconv.results import CONTROLS, CORNERS, PLACES, Progress, Square, SquareProtocol
from whyconv.study import (
    Extent,
    KeptTrials,
    make_protocol,
    make_study,
    measure_square,
    missing_parts,
    predict_seconds,
    train_corner,
    whole,
)
from whyconv.study.protocol import (
    ADDITIONS,
    BASE,
    LEAST,
    Training,
    all_trainings,
    fitting_extent,
    needed_trainings,
    same_training,
    tuned_like,
)
from whyconv.study.trials import Glance, Job, JobResult, Settings
from whyconv.study.tuning import tune, wide_jobs


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
    assert (square.num_test, square.largest_class_fraction) == (40, 0.5)
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
        if sum(one.stage == "square_tuning" for one in told) >= 5:
            raise StoppedError("Stopped.")

    with pytest.raises(StoppedError):
        measure_square(small_pictures(), SMALL, told.append, check_stop=check_stop)
    assert [one.done for one in told if one.stage == "square_exact"] == list(range(1, 17))
    assert [one.done for one in told if one.stage == "square_tuning"] == [1, 2, 3, 4, 5]


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
    everything = SMALL.model_copy(update={"arms": list(whole().arms)})
    predict = predict_seconds(make_study(small_pictures(), everything), KeptTrials(None, ""))
    # Not the greatest of the least beside the base: that one has a control, and the base has more settings.
    for extents in (LEAST, (BASE, whole()), (LEAST[2], whole())):
        protocols = [make_protocol(one, side=8, channels=1, num_train=1000, num_classes=10, seed=0) for one in extents]
        predicted = [predict(one) for one in protocols]
        assert predicted == sorted(predicted)
        assert predicted[0] > 0


def test_what_fits_is_chosen_in_order_and_the_rest_is_named() -> None:
    def cost(extent: Extent) -> float:
        if extent in LEAST:
            return float(1 + LEAST.index(extent))
        parts = [(10, bool(extent.controlled)), (40, extent.num_sizes > 3), (80, extent.most_extensions > 1)]
        parts += [(20, extent.tunes_each_size), (60, extent.most_times > 3), *((20, True) for _ in extent.arms)]
        return 100 + sum(seconds for seconds, is_there in parts if is_there)

    assert fitting_extent(lambda one: 0.0, 1) == (whole(), [])
    rest = [name for name in ADDITIONS if name != "controls"]
    assert fitting_extent(cost, 1.5) == (LEAST[0], ["rates", "decays", "steps", "longer", "controls", *rest])
    assert fitting_extent(cost, 2.5) == (LEAST[1], ["rates", "decays", "steps", "longer", "controls_still", *rest])
    assert fitting_extent(cost, 5.5) == (LEAST[4], ["decays", "controls_still", *rest])
    assert fitting_extent(cost, 0.5)[0] == LEAST[0]
    extent, left_out = fitting_extent(cost, 100 + 10)
    assert extent.controlled == PLACES
    assert left_out == [name for name in ADDITIONS if name != "controls"]


@pytest.mark.parametrize(("num_train", "are_missing"), [(60, False), (177, False), (300, False), (1000, True)])
def test_more_sizes_are_missing_only_where_the_pictures_allow_more(num_train: int, are_missing: bool) -> None:
    def made(extent: Extent) -> SquareProtocol:
        return make_protocol(extent, side=16, channels=3, num_train=num_train, num_classes=2, seed=0)

    extent, names = fitting_extent(lambda one: float(one == BASE), 0.5)
    assert extent == LEAST[-1]
    found = missing_parts(names, made(extent), made(whole()))
    assert found == [name for name in names if name != "sizes" or are_missing]


def test_all_arms_have_scores_and_what_follows_from_them() -> None:
    arms = ["shifts", "places", "random_labels"]
    protocol = SMALL.model_copy(update={"arms": arms, "sizes": [10, 30, 60], "steps": 12, "controlled": []})
    square = measure_square(small_pictures(), protocol)
    found = {(one.place, one.arm) for one in square.scores}
    assert found == {
        *((place, arm) for place in PLACES for arm in ("plain", "places")),
        *(("still", arm) for arm in ("shifts", "averaged")),
    }
    assert {(one.place, one.arm) for one in square.splits} == found
    assert {one.corner for one in square.memorized} == set(CORNERS)
    assert all(len(one.steps) == 3 for one in square.memorized)
    assert {(one.place, one.corner) for one in square.gaps} == {
        (place, corner) for place in PLACES for corner in CORNERS
    }
    assert {one.target for one in square.needed if one.arm == "plain" and one.place == "still"}
    # Without the mean, a shared corner knows places, and is trained on moved pictures too.
    assert {one.same_as for one in square.scores if (one.arm, one.place) == ("places", "moved")} == {""}


def test_settings_come_from_draws_that_give_no_result() -> None:
    for training in needed_trainings(SMALL):
        assert tuned_like(training, SMALL) == training
    other = Training("dense", "still", None, 10, "random_labels")
    assert tuned_like(other, SMALL) == Training("dense", "still", None, 10)
    tried = {draw for job in wide_jobs(SMALL, [0.1]) for draw in job.draws}
    assert len(tried) == SMALL.num_tuning_draws
    assert not tried & set(range(SMALL.num_draws))
    told: list[Progress] = []
    measure_square(small_pictures(), SMALL.model_copy(update={"controlled": [], "steps": 2}), told.append)
    assert {one.stage for one in told} == {"square_exact", "square_tuning", "square"}


def test_what_was_trained_once_is_not_trained_again(tmp_path: Path) -> None:
    short = SMALL.model_copy(update={"steps": 4, "controlled": []})
    path = tmp_path / "trials.jsonl"
    first = measure_square(small_pictures(), short, kept=KeptTrials(path, "pictures"))
    text = path.read_text(encoding="utf-8")
    path.write_text(text + text.splitlines()[0][:40], encoding="utf-8")  # cut short by a kill
    told: list[Progress] = []
    again = measure_square(small_pictures(), short, told.append, kept=KeptTrials(path, "pictures"))
    assert again.scores == first.scores
    assert again.tried_rates == sorted(short.learning_rates)
    assert {one.stage for one in told} == {"square_exact"}
    measure_square(small_pictures(), short, told.append, kept=KeptTrials(path, "other pictures"))
    assert "square" in {one.stage for one in told}


def test_the_rates_go_on_while_the_best_lies_at_an_end() -> None:
    protocol = SMALL.model_copy(update={"learning_rates": [1e-5, 1e-4], "most_extensions": 3, "controlled": []})
    tried: list[float] = []

    def run(jobs: Sequence[Job]) -> dict[Job, JobResult]:
        tried.extend(sorted({settings.learning_rate for job in jobs for settings in job.settings}))
        return {job: JobResult(glances=[[likes(member)] for _ in job.draws for member in job.settings]) for job in jobs}

    def likes(settings: Settings) -> Glance:
        return Glance(step=1, train=1.0, kept=1 - abs(math.log10(settings.learning_rate / 2e-3)) / 8, kept_loss=1.0)

    tuned = tune(protocol, run)
    assert tried == [1e-5, 1e-4, 1e-3, 1e-2]
    assert {one.settings.learning_rate for one in tuned.values()} == {1e-3}
    assert not any(one.is_rate_at_edge for one in tuned.values())
    once = tune(protocol.model_copy(update={"most_extensions": 1}), run)
    assert all(one.is_rate_at_edge for one in once.values())


def test_what_learns_slowly_is_trained_longer_and_told_after_the_same_steps_too() -> None:
    protocol = SMALL.model_copy(update={"steps": 4, "most_times": 3, "controlled": [], "arms": ["shifts"]})
    told: list[Progress] = []
    square = measure_square(small_pictures(), protocol, told.append)
    assert [one.done == one.total for one in told if one.stage == "square"][-2:] == [False, True]
    short = measure_square(small_pictures(), protocol.model_copy(update={"most_times": 1}))
    lengths = {one.num_steps for one in square.scores}
    assert lengths <= {4, 12}
    assert 12 in lengths
    for one, beside in zip(square.scores, short.scores, strict=True):
        if one.n_train == protocol.sizes[-1]:
            assert one.same_steps_by_draw == beside.by_draw == beside.same_steps_by_draw
        assert one.num_steps == 12 or one.by_draw == one.same_steps_by_draw
    slow = [one for one in square.scores if one.num_steps == 12]
    assert any(one.by_draw != one.same_steps_by_draw for one in slow)
    assert {one.n_train for one in square.unlearned()} <= {protocol.sizes[-1]}
    assert all(one.train_accuracy.value < 0.99 for one in square.unlearned())


def test_the_network_behind_a_score_is_trained_once_more_as_long_as_it_was() -> None:
    pictures = small_pictures()
    protocol = SMALL.model_copy(update={"steps": 4, "most_times": 3, "controlled": [], "sizes": [60]})
    square = measure_square(pictures, protocol)
    rows = np.arange(len(pictures.test))
    for score in square.scores:
        if score.place == "still":
            network = train_corner(pictures, square, score.corner)
            right = network(pictures.numbers(pictures.test, rows)).argmax(1).numpy() == pictures.test.labels
            assert right.mean() == pytest.approx(score.by_draw[0])
    assert 12 in {one.num_steps for one in square.scores}
