"""What the frozen network said is asked once, kept whole, and kept on the disk where memory is short."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tiny_backbone import SIDE, write_backbone
from whyconv.errors import StoppedError, StorageError
from whyconv.pretrained import features as room
from whyconv.pretrained.backbone import FrozenNetwork
from whyconv.pretrained.features import BATCH, Bank, mean_over_views
from whyconv.pretrained.foreign import foreign_backbone
from whyconv.results import Progress
from whyconv.training.pixel_rows import LabelledPixels


@pytest.fixture
def network(tmp_path: Path) -> FrozenNetwork:
    return FrozenNetwork(foreign_backbone(write_backbone(tmp_path / "tiny.onnx"), 1), 1)


def data(n: int) -> LabelledPixels:
    pixels = np.random.default_rng(0).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)
    return LabelledPixels(pixels, np.zeros(n, np.int32))


def test_each_view_of_each_part_is_asked_once(network: FrozenNetwork, tmp_path: Path) -> None:
    bank, part, events = Bank(network, tmp_path / "room"), data(BATCH + 3), []
    first = bank.look("train", part, "upright", notify=events.append)
    assert [(each.done, each.total) for each in events if isinstance(each, Progress)] == [(32, 35), (35, 35)]
    assert bank.look("train", part, "upright", notify=events.append) is first
    mirrored = bank.look("train", part, "mirrored", notify=events.append)
    assert len(events) == 4
    turned = LabelledPixels(part.pixels[:, :, ::-1].copy(), part.labels)
    again = Bank(network, tmp_path).look("train", turned, "upright", notify=events.append)
    assert np.allclose(mirrored.features, again.features, atol=1e-5)
    assert not (tmp_path / "room").exists()


def test_an_empty_part_has_no_features(network: FrozenNetwork, tmp_path: Path) -> None:
    seen = Bank(network, tmp_path).look("validation", data(0), "upright", notify=lambda event: None)
    assert seen.features.shape == (0, network.backbone.width)


def test_what_is_large_lies_on_the_disk_and_is_the_same(network, tmp_path: Path, monkeypatch) -> None:
    small = Bank(network, tmp_path).look("train", data(40), "upright", notify=lambda event: None)
    monkeypatch.setattr(room, "memory_bytes", lambda: 1000)
    bank = Bank(network, tmp_path / "room")
    large = bank.look("train", data(40), "upright", notify=lambda event: None)
    assert isinstance(large.features, np.memmap)
    assert np.array_equal(small.features, large.features)
    monkeypatch.setattr(room, "free_disk_bytes", lambda folder: 0)
    with pytest.raises(StorageError, match="no room"):
        Bank(network, tmp_path / "room").look("train", data(40), "upright", notify=lambda event: None)
    del bank, large
    assert not list((tmp_path / "room").iterdir())


def test_a_stop_is_heard_between_two_batches(network: FrozenNetwork, tmp_path: Path) -> None:
    answers = iter([0, 130])
    with pytest.raises(StoppedError) as caught:
        Bank(network, tmp_path).look(
            "train", data(3 * BATCH), "upright", notify=lambda event: None, stop_requested=lambda: next(answers)
        )
    assert caught.value.exit_code == 130


@pytest.mark.parametrize("num_views", [1, 2, 4])
def test_the_mean_over_views_takes_no_more_memory_than_one_of_them(num_views: int) -> None:
    views = np.random.default_rng(0).normal(size=(num_views, 1000, 250)).astype(np.float32)
    expected = views.mean(axis=0)
    tracemalloc.start()
    found = mean_over_views(iter(views))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.dtype == np.float32
    assert np.array_equal(found, expected)
    assert not np.shares_memory(found, views)
    assert peak < 1.2 * found.nbytes
