"""Pictures that are streamed: the ones that the order names, whoever reads them and wherever reading begins."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shard_files import number_of, picture, write_numbered, write_parquet, write_tar
from tiny_training import tiny_plan
from whyconv.errors import DataError, DivergedError
from whyconv.images.content import content_digest
from whyconv.images.prepare import PicturePolicy
from whyconv.images.shards import open_shards
from whyconv.results import Note, ignore
from whyconv.settings import StreamPlan
from whyconv.training import streamed
from whyconv.training.distributed import Group
from whyconv.training.loop import train_network
from whyconv.training.mixing import mixing
from whyconv.training.pixel_rows import LabelledPixels
from whyconv.training.start import start_network
from whyconv.training.streamed import Stream, StreamedPictures, window_for

POLICY = PicturePolicy(side=4, channels=3)


def stream(
    folder: Path, text: str, *, window: int = 48, block: int = 5, held: frozenset[bytes] = frozenset(), seed: int = 1
) -> Stream:
    shards = open_shards(text, folder=folder / "cache")
    nothing = [np.zeros(0, np.int64)] * len(shards.listings)
    plan = StreamPlan(
        shards=text,
        digest=shards.digest,
        epoch_pictures=64,
        block=block,
        window=window,
        validation_fraction=0.1,
        test_fraction=0.1,
    )
    return Stream(shards, shards.blocks(block, nothing), nothing, held, POLICY, seed, plan)


def numbers(pictures: StreamedPictures, steps: range, own: slice | None = None) -> np.ndarray:
    """Of the pictures of some steps: shape (steps, own rows)."""
    rows = np.arange(pictures.batch)[own or slice(None)]
    seen = [pictures.seen(step * pictures.batch + rows) for step in steps]
    found = np.stack([number_of(pixels) for pixels, _ in seen])
    assert np.array_equal(np.stack([labels for _, labels in seen]), found * 3 // 200)
    return found


class Talking(Group):
    """Two processes in one, each in a thread of its own; one such pair at a time."""

    said = ["", ""]  # noqa: RUF012
    barrier = threading.Barrier(2)

    def __init__(self, rank: int) -> None:
        self.rank, self.size = rank, 2

    def said_by_each(self, text: str) -> list[str]:
        self.said[self.rank] = text
        self.barrier.wait(timeout=60)
        found = list(self.said)
        self.barrier.wait(timeout=60)
        return found


@pytest.fixture
def text(tmp_path: Path) -> str:
    return write_numbered(tmp_path / "s", (70, 1, 129))


def test_what_is_seen_is_what_the_order_names(tmp_path: Path, text: str) -> None:
    source = stream(tmp_path, text)
    pictures = StreamedPictures(source, 8, 2, ignore)
    starts = np.concatenate([[0], np.cumsum(source.blocks.count)])
    order = source.order(8)
    wanted = []
    for number in range(2 * order.windows):
        blocks, places = order.window(number, slice(0, 8))
        wanted.append(starts[blocks] + places)  # numbered as they lie in the shards
    assert np.array_equal(numbers(pictures, range(2 * order.steps)), np.concatenate(wanted))
    assert sorted(np.concatenate(wanted)[: order.steps].ravel().tolist()) == list(range(200))
    pictures.close()


def test_it_goes_on_in_the_middle_of_a_window(tmp_path: Path, text: str) -> None:
    source = stream(tmp_path, text)
    whole = numbers(StreamedPictures(source, 8, 1, ignore), range(60))
    for start in (1, 5, 6, 24, 25, 26, 59):
        assert np.array_equal(numbers(StreamedPictures(source, 8, 2, ignore), range(start, 60)), whole[start:])


@pytest.mark.parametrize("batch", [8, 10])
def test_each_process_sees_its_part_of_the_same_batches(tmp_path: Path, text: str, batch: int) -> None:
    source = stream(tmp_path, text)
    whole = numbers(StreamedPictures(source, batch, 1, ignore), range(30))
    for size in (2, 3, 4):
        ends = [batch * rank // size for rank in range(size + 1)]
        parts = [
            numbers(StreamedPictures(source, batch, 1, ignore), range(30), slice(first, last))
            for first, last in itertools.pairwise(ends)
        ]
        assert np.array_equal(np.concatenate(parts, axis=1), whole)


def test_only_what_is_near_is_read_ahead(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = StreamedPictures(stream(tmp_path, text), 8, 1, ignore)
    read = list[int]()
    real = pictures._read
    monkeypatch.setattr(pictures, "_read", lambda number, *own: (read.append(number), real(number, *own))[1])
    numbers(pictures, range(6))  # one window
    pictures._pool.submit(int).result()  # what is read ahead has been read
    pictures.close()
    assert read == [0, 1]


def test_nothing_is_read_for_steps_that_do_not_come(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = StreamedPictures(stream(tmp_path, text), 8, 1, ignore, steps=12)
    read = list[int]()
    real = pictures._read
    monkeypatch.setattr(pictures, "_read", lambda number, *own: (read.append(number), real(number, *own))[1])
    numbers(pictures, range(12))  # two windows
    pictures._pool.submit(int).result()
    assert read == [0, 1]


def test_what_is_read_ahead_is_given_up(tmp_path: Path, text: str) -> None:
    pictures = StreamedPictures(stream(tmp_path, text), 8, 1, ignore)
    pictures._is_closed.set()
    with pytest.raises(CancelledError):
        pictures._read(0, 0, 8)


def test_pictures_that_cannot_be_read_and_copies_of_held_ones_are_replaced_and_told(tmp_path: Path) -> None:
    samples = [(f"{n:03d}", b"no picture" if n in {3, 77} else picture(n), f"c{n * 3 // 200}") for n in range(200)]
    write_tar(tmp_path / "s" / "a-0.tar", samples)
    held = frozenset({content_digest(picture(50)).tobytes()})
    notes = list[Any]()
    pictures = StreamedPictures(stream(tmp_path, f"{tmp_path}/s/a-*.tar", held=held), 8, 2, notes.append)
    seen = numbers(pictures, range(25))
    assert not {3, 50, 77} & set(seen.ravel().tolist())
    assert len(np.unique(seen)) == 197
    told = {note.key: note for note in notes if isinstance(note, Note)}
    assert told["stream_unread"].values["n"] == 2
    assert "a-0.tar[" in str(told["stream_unread"].values["named"])
    assert told["stream_copies"].values["n"] == 1
    assert np.array_equal(numbers(StreamedPictures(pictures.stream, 8, 1, ignore), range(25)), seen)


@pytest.mark.parametrize("processes", [1, 2])
def test_each_picture_that_cannot_be_read_is_counted_once_however_often_it_is_come_to(
    tmp_path: Path, processes: int
) -> None:
    damaged = set(range(0, 60, 3))
    samples = [(f"{n:03d}", b"no picture" if n in damaged else picture(n), f"c{n % 2}") for n in range(60)]
    path = write_tar(tmp_path / "s" / "a-0.tar", samples)
    source, notes = stream(tmp_path, f"{path}::{path}", window=16), list[Note]()

    def train(rank: int) -> None:
        notify: Any = notes.append if rank == 0 else ignore
        group = Group() if processes == 1 else Talking(rank)
        pictures = StreamedPictures(source, 8, 1, notify, group=group)
        for step in range(3 * source.order(8).steps):
            pictures.seen(step * 8 + np.arange(8)[group.part(8)])
        pictures.close()

    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(train, range(processes)))
    counts = [int(note.values["n"]) for note in notes]
    assert counts == sorted(set(counts))
    named = [name for note in notes for name in str(note.values["named"]).replace("; ...", "").split("; ")]
    assert len(named) == len(set(named))
    if processes == 1:
        assert counts[-1] == len(damaged)
        assert {note.key for note in notes} == {"stream_unread"}
    else:
        assert 0 < counts[-1] <= len(damaged)
        assert {(note.key, note.values["processes"]) for note in notes} == {("stream_unread_by_first", 2)}


def test_visits_are_named_by_the_shard_and_the_picture_there(tmp_path: Path, text: str) -> None:
    source = stream(tmp_path, text)
    pictures, steps = StreamedPictures(source, 8, 1, ignore), 2 * source.order(8).steps
    seen = numbers(pictures, range(steps)).ravel().tolist()
    shards = (tmp_path / "s" / f"pics-{shard:03d}.tar" for shard in range(3))
    places = [f"{shard}[{entry}]" for shard, count in zip(shards, (70, 1, 129), strict=True) for entry in range(count)]
    assert [pictures.name_of(row) for row in range(8 * steps)] == [places[number] for number in seen]
    assert pictures.name_of(3) == places[seen[3]]


def test_pictures_of_a_step_without_a_number_are_named(tmp_path: Path, text: str) -> None:
    pictures = StreamedPictures(stream(tmp_path, text), 8, 1, ignore)
    plan = tiny_plan(side=4, channels=3, batch=8, learning_rate=1e30)
    network = plan.network.model_copy(update={"classes": list("abc")})
    recipe = plan.training.model_copy(update={"class_offsets": [0.0] * 3})
    plan = plan.model_copy(update={"network": network, "training": recipe})
    nothing = LabelledPixels(np.zeros((0, 4, 4, 3), np.uint8), np.zeros(0, np.int32))
    with pytest.raises(DivergedError, match=r"The pictures of this step: .*pics-00\d\.tar\[\d+\], ") as raised:
        train_network(start_network(plan), pictures, nothing, plan)
    pictures.close()
    assert len(raised.value.rows) == 8
    assert all(pictures.name_of(row) in str(raised.value) for row in raised.value.rows)


def test_where_nothing_can_be_read_it_ends(tmp_path: Path) -> None:
    write_tar(tmp_path / "s" / "a-0.tar", [(f"{n}", b"no picture", f"c{n % 2}") for n in range(40)])
    pictures = StreamedPictures(stream(tmp_path, f"{tmp_path}/s/a-*.tar"), 8, 2, ignore)
    with pytest.raises(DataError, match="none of 40 pictures"):
        pictures.seen(np.arange(8))


def test_a_shard_that_is_gone_is_named(tmp_path: Path, text: str) -> None:
    pictures = StreamedPictures(stream(tmp_path, text), 8, 2, ignore)
    numbers(pictures, range(6))
    pictures._pool.submit(int).result()  # what is read ahead has been read
    for path in (tmp_path / "s").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"pics-00.\.tar cannot be read: No such file"):
        numbers(pictures, range(6, 60))


def test_parquet_is_streamed_too(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "p.parquet", range(60), group=7)
    pictures = StreamedPictures(stream(tmp_path, f"{path}::{path}"), 6, 2, ignore)
    seen = np.concatenate([number_of(pictures.seen(np.arange(step * 6, step * 6 + 6))[0]) for step in range(20)])
    assert np.bincount(seen, minlength=60).tolist() == [2] * 60


def test_draws_depend_on_step_and_seed_alone(tmp_path: Path, text: str) -> None:
    pictures = StreamedPictures(stream(tmp_path, text), 8, 1, ignore)
    first, second = pictures.visits(5, 1, 8), pictures.visits(5, 2, 8)
    assert list(first.sizes) == [8] * 8
    assert second.rows(0).tolist() == list(range(64, 72))
    assert first.draws(3).shape == (8, 11)
    assert np.array_equal(first.draws(3), pictures.visits(5, 1, 8).draws(3))
    assert not np.array_equal(first.draws(3), second.draws(3))
    assert not np.array_equal(first.draws(3), pictures.visits(6, 1, 8).draws(3))


def test_windows_are_bounded_by_memory() -> None:
    assert window_for(PicturePolicy(side=32, channels=3)) == streamed._MOST_OF_A_WINDOW
    large = PicturePolicy(side=512, channels=3)
    assert 0.99 * streamed._WINDOW_BYTES < window_for(large) * 512 * 512 * 3 <= streamed._WINDOW_BYTES


def test_mixing_is_1_for_a_full_shuffle_and_large_without_one(tmp_path: Path) -> None:
    text = write_numbered(tmp_path / "s", (1500, 1500))
    fine, coarse = (mixing(stream(tmp_path, text, window=300, block=block), 30) for block in (1, 150))
    assert fine is not None
    assert coarse is not None
    assert fine.low < 1.1
    assert fine.high > 0.9
    # 3.75 pictures of a batch are of one block, and so of one class; 8 of 20 blocks are met without replacement.
    assert 1 < coarse.low < 3.75 * (20 - 8) / (20 - 1) < coarse.high
    assert mixing(stream(tmp_path, text, window=3000), 30) is None  # one window, which is a full shuffle


def test_mixing_against_brute_force(tmp_path: Path) -> None:
    text = write_numbered(tmp_path / "s", (200,))
    source = stream(tmp_path, text, window=60, block=20)
    order, wanted = source.order(10), []
    shares = np.bincount(np.arange(200) * 3 // 200) / 200
    for number in (each * 4 + each * 4 // 32 for each in range(32)):
        blocks, places = order.window(number, slice(0, 10))
        rows = []
        for batch in blocks * 20 + places:
            counts = np.bincount(batch * 3 // 200, minlength=3)
            rows.append(sum((counts - 10 * shares) ** 2 / (10 * shares)))
        wanted.append(np.mean(rows) / (2 * 190 / 199))
    found = mixing(source, 10)
    assert found is not None
    assert found.value == pytest.approx(np.mean(wanted))
    assert (found.n, order.windows) == (32, 4)


@pytest.mark.parametrize("rank", [0, 1])
def test_what_one_process_cannot_read_ends_all_of_them_at_the_same_step(tmp_path: Path, text: str, rank: int) -> None:
    source = stream(tmp_path, text)
    steps = source.order(8).window_steps

    def train(own: int) -> tuple[int, str]:
        pictures = StreamedPictures(source, 8, 1, ignore, group=Talking(own))
        read = pictures._read

        def failing(number: int, *rows: int) -> Any:
            if number == 2 and own == rank:
                raise DataError("a.tar cannot be read.")
            return read(number, *rows)

        pictures._read = failing  # type: ignore[method-assign]
        for step in range(100):
            try:
                pictures.seen(step * 8 + np.arange(own * 4, own * 4 + 4))
            except DataError as error:
                pictures.close()
                return step, str(error)
        return 100, ""

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(train, range(2)))
    assert found == [(2 * steps, f"Process {rank} of 2: a.tar cannot be read.")] * 2
