"""The price of sharing where it is known: marks whose sign is turned in a part of the picture, and others."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from planted_pictures import mark_pictures
from whyconv.errors import DataError, ParityError, UsageError
from whyconv.nets.layers import LocallyConnected2d
from whyconv.results import Progress
from whyconv.results.price import PriceOfSharing, PriceProtocol
from whyconv.study import SquarePictures, drift, price_of_sharing
from whyconv.study import price_of_sharing as function
from whyconv.study.price_of_sharing import far_apart
from whyconv.study.steps import score, take_steps
from whyconv.training.intervals import paired
from whyconv.training.pixel_rows import LabelledPixels

SHORT = PriceProtocol(steps=60, batch=32, learning_rates=[0.01, 0.03], num_seeds=3)


def small_network(maps: int = 4, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, maps, 3, padding=1, padding_mode="circular"),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(maps, 2),
    )


def trained(pictures: SquarePictures) -> nn.Sequential:
    network = small_network()
    take_steps(network, pictures, steps=60, batch=32, rate=0.02, seed=5)
    return network


@pytest.fixture(scope="module")
def turned() -> PriceOfSharing:
    pictures = mark_pictures(turned_rows=4)
    return price_of_sharing(trained(pictures), pictures, SHORT)


def test_where_the_upper_half_is_turned_sharing_has_a_price(turned: PriceOfSharing) -> None:
    (layer,) = turned.layers
    # A shared filter with a mean over places cannot know where the mark was.
    assert layer.tied.value < 0.65
    assert layer.untied.value > 0.8
    assert layer.gain.low > 0.1
    assert layer.gain_over_pictures.low > 0.1
    assert layer.verdict == "price"
    assert layer.loss_change.high < 0
    assert layer.gain.n == 3
    assert layer.gain.over == "seeds"
    assert layer.gain_over_pictures.n == turned.num_test == 200


def test_the_maps_show_the_two_halves(turned: PriceOfSharing) -> None:
    found = turned.layers[0].drift
    direction = np.array(found.direction)
    assert direction.shape == np.shape(found.by_place) == (8, 8)
    # Rows 3 and 7 see marks of both kinds: circular borders, marks of 2 x 2.
    upper, lower = direction[[0, 1, 2]].mean(), direction[[4, 5, 6]].mean()
    assert upper * lower < 0
    assert found.direction_share > 0.3
    cosines = {one.distance: one for one in found.cosines}
    assert cosines[1].changes > cosines[4].changes + 0.1
    assert sum(one.num_pairs for one in found.cosines) == 64 * 63 // 2


def test_where_only_the_top_is_turned_its_filters_drift_farthest() -> None:
    pictures = mark_pictures(turned_rows=2)
    found = price_of_sharing(trained(pictures), pictures, SHORT)
    by_place = np.array(found.layers[0].drift.by_place)
    assert by_place[:2].mean() > 1.3 * by_place[3:7].mean()


def test_where_sharing_is_right_it_has_no_price() -> None:
    pictures = mark_pictures(turned_rows=0)
    found = price_of_sharing(trained(pictures), pictures, SHORT)
    (layer,) = found.layers
    assert layer.gain.low <= 0
    assert layer.verdict != "price"
    assert layer.tied.value > 0.9


def test_the_network_is_left_as_it_was_and_numbers_come_again() -> None:
    pictures = mark_pictures(turned_rows=4, n=64)
    network = trained(pictures).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    short = PriceProtocol(steps=5, learning_rates=[0.01], num_seeds=2)
    told: list[object] = []
    first, second = (price_of_sharing(network, pictures, short, told.append) for _ in range(2))
    assert first.model_copy(update={"seconds": 0}) == second.model_copy(update={"seconds": 0})
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training
    assert told[-1] == Progress(stage="price", done=1, total=1)


def test_the_first_step_of_the_tied_filter_is_the_sum_of_the_untied_ones() -> None:
    # Same batches in the same order: with plain gradients, not Adam, sums of steps are equal.
    from whyconv.nets.twins import local_twin

    pictures = mark_pictures(n=64)
    network = small_network()
    twin = local_twin(network, (1, 8, 8), only="0")
    x, labels = pictures.numbers(pictures.train, np.arange(16)), torch.arange(16) % 2
    for each in (network, twin):
        nn.functional.cross_entropy(each(x), labels).backward()
    torch.testing.assert_close(twin[0].weight.grad.sum((0, 1)), network[0].weight.grad, rtol=1e-4, atol=1e-5)


def drift_by_hand(weights: np.ndarray, live: np.ndarray) -> np.ndarray:
    places, taps = list(np.ndindex(weights.shape[:2])), list(np.ndindex(weights.shape[2:]))
    mean = {}
    for tap in taps:
        alive = [weights[place][tap] for place in places if live[place][tap]]
        mean[tap] = sum(alive) / len(alive) if alive else 0.0
    found = np.zeros(weights.shape[:2])
    for place in places:
        alive = [tap for tap in taps if live[place][tap]]
        apart = sum((weights[place][tap] - mean[tap]) ** 2 for tap in alive)
        found[place] = math.sqrt(apart) / math.sqrt(sum(mean[tap] ** 2 for tap in alive))
    return found


def random_layer(padding: int = 1, stride: int = 1) -> LocallyConnected2d:
    torch.manual_seed(1)
    layer = LocallyConnected2d(2, 3, 3, (5, 6), padding=padding, stride=stride)
    nn.init.normal_(layer.weight)
    return layer


@pytest.mark.parametrize(("padding", "stride"), [(0, 1), (1, 1), (2, 2)])
def test_drift_is_that_of_loops(padding: int, stride: int) -> None:
    layer = random_layer(padding, stride)
    live = drift.meets_data(layer)
    for row, column in np.ndindex(*layer.output_size):
        for down, across in np.ndindex(3, 3):
            at = (row * stride - padding + down, column * stride - padding + across)
            inside = 0 <= at[0] < 5 and 0 <= at[1] < 6
            assert (live[row, column].reshape(3, 2, 3, 3)[:, :, down, across] == inside).all()
    filters = drift.filters_of(layer)
    np.testing.assert_allclose(drift.drift_map(filters, live), drift_by_hand(filters, live), rtol=1e-10)
    # Dead taps say nothing: whatever stands there, the map is the same.
    np.testing.assert_allclose(drift.drift_map(filters + 9 * (1 - live), live), drift.drift_map(filters, live))


def test_cosines_are_those_of_every_pair() -> None:
    layer = random_layer()
    live, filters = drift.meets_data(layer), drift.filters_of(layer)
    before = np.broadcast_to(filters.mean((0, 1)), filters.shape)
    by_distance: dict[int, list[tuple[float, float]]] = {}
    places = list(np.ndindex(*filters.shape[:2]))
    for index, first in enumerate(places):
        for second in places[index + 1 :]:
            both = live[first] * live[second]
            pair = []
            for numbers in (filters, filters - before):
                a, b = numbers[first] * both, numbers[second] * both
                sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
                pair.append(float(((a * b).sum(1) / sizes).mean()))
            distance = round(math.hypot(first[0] - second[0], first[1] - second[1]))
            by_distance.setdefault(distance, []).append((pair[0], pair[1]))
    found = drift.cosines_by_distance(filters, before, live)
    assert [one.distance for one in found] == sorted(by_distance)
    for one in found:
        expected = by_distance[one.distance]
        assert one.num_pairs == len(expected)
        assert (one.filters, one.changes) == pytest.approx(tuple(np.mean(expected, axis=0)), abs=1e-10)


def test_shared_filters_have_not_drifted_and_two_kinds_lie_in_one_direction() -> None:
    layer = random_layer()
    live = drift.meets_data(layer)
    shared = np.broadcast_to(drift.filters_of(layer)[2, 2], (5, 6, 3, 18))
    assert drift.drift_map(shared, live).max() < 1e-12
    assert drift.leading_direction(shared, live)[1] == 0.0
    assert all(one.filters == pytest.approx(1) for one in drift.cosines_by_distance(shared, shared * 0, live))
    halves = np.where(np.arange(6)[None, :, None, None] < 2, -shared, shared)
    along, share = drift.leading_direction(halves, np.ones_like(live))
    assert share == pytest.approx(1)
    assert (along[:, :2] * along[:, 2:3] < 0).all()
    assert along.max() == pytest.approx(1)


def test_what_is_not_measured_is_listed_with_the_reason() -> None:
    pictures = mark_pictures(n=64)
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(8), nn.Conv2d(2, 3, 1), nn.Flatten(), nn.Linear(3, 2)
    )
    bytes_of_first = (2 * 9 + 2) * 64 * 4 * 8
    tight = PriceProtocol(steps=2, learning_rates=[0.01], num_seeds=2, most_bytes=bytes_of_first - 1)
    found = price_of_sharing(network, pictures, tight)
    assert found.layers == []
    assert [(one.layer, one.cause, one.num_bytes) for one in found.left_out] == [
        ("0", "memory", bytes_of_first),
        ("3", "one_place", 0),
    ]
    room = tight.model_copy(update={"most_bytes": bytes_of_first})
    assert [one.layer for one in price_of_sharing(network, pictures, room).layers] == ["0"]
    late = price_of_sharing(network, pictures, room, seconds=0.0)
    assert [(one.layer, one.cause) for one in late.left_out] == [("0", "time"), ("3", "one_place")]
    assert late.left_out[0].seconds > 0
    network[0].weight.requires_grad_(False)
    fixed = price_of_sharing(network, pictures, room)
    assert [(one.layer, one.cause) for one in fixed.left_out] == [("0", "fixed"), ("3", "one_place")]


def test_a_layer_without_a_twin_is_left_out_in_words() -> None:
    pictures = mark_pictures(n=64)
    network = small_network()
    nn.utils.parametrizations.weight_norm(network[0])
    (left,) = price_of_sharing(network, pictures, PriceProtocol(steps=2, num_seeds=2)).left_out
    assert left.cause == "no_twin"
    assert "way of its own" in left.reason


def test_a_twin_that_answers_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = sys.modules["whyconv.study.price_of_sharing"]
    right = module.local_twin

    def broken(*arguments, **keywords) -> nn.Module:
        twin = right(*arguments, **keywords)
        with torch.no_grad():
            twin[0].weight[3, 3] += 1
        return twin

    monkeypatch.setattr(module, "local_twin", broken)
    with pytest.raises(ParityError, match="0 untied, before any training"):
        function(small_network(), mark_pictures(n=64), PriceProtocol(steps=2, num_seeds=2))


def test_wrong_questions_are_refused() -> None:
    pictures = mark_pictures(n=64)
    with pytest.raises(UsageError, match=re.escape("no convolution '1'")):
        price_of_sharing(small_network(), pictures, layers=["1"])
    empty = LabelledPixels(pictures.test.pixels[:0], pictures.test.labels[:0])
    none = SquarePictures(pictures.train, empty, pictures.test, num_classes=2, mean=[128.0], std=[32.0])
    with pytest.raises(DataError, match="validation"):
        price_of_sharing(small_network(), none)


def test_a_stop_ends_it() -> None:
    class StoppedHereError(Exception):
        pass

    def stop() -> None:
        raise StoppedHereError

    with pytest.raises(StoppedHereError):
        price_of_sharing(small_network(), mark_pictures(n=64), SHORT, check_stop=stop)


def test_layers_far_apart_come_first() -> None:
    assert far_apart(1) == [0]
    assert far_apart(0) == []
    assert far_apart(5) == [0, 4, 2, 1, 3]
    assert all(sorted(far_apart(n)) == list(range(n)) for n in range(20))


def test_the_interval_over_pictures_covers_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    for shares in ([0.02, 0.01], [0.1, 0.05], [0.0, 0.0]):
        truth = shares[0] - shares[1]
        hits = 0
        for _ in range(400):
            draws = generator.random(150)
            differences = np.where(draws < shares[0], 1.0, np.where(draws > 1 - shares[1], -1.0, 0.0))
            found = paired(differences)
            assert found.low <= found.value <= found.high
            hits += found.low <= truth <= found.high
        assert hits / 400 > 0.93
    nothing = paired(np.zeros(100))
    assert nothing.low == -nothing.high < -0.02


def test_scores_are_those_of_a_plain_loop() -> None:
    pictures, network = mark_pictures(n=64), small_network()
    found = score(network, pictures, pictures.test, 1000)
    with torch.no_grad():
        logits = torch.stack([network(pictures.numbers(pictures.test, np.array([row])))[0] for row in range(200)])
    expected = logits.argmax(1).numpy() == pictures.test.labels
    assert found.accuracy == expected.mean()
    labels = torch.from_numpy(pictures.test.labels.astype(np.int64))
    assert found.loss == pytest.approx(float(nn.functional.cross_entropy(logits, labels)), rel=1e-5)
